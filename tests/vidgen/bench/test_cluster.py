"""Plans on a Ray cluster of nodes on this machine: rows as locally, and a node that dies costs none of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.stranger import install
from tests.vidgen.bench.test_runs import FAULTS, wait_for
from vidgen.bench.engine import Finished
from vidgen.bench.plan import Job, Plan
from vidgen.bench.store import Store
from vidgen.bench.worker import Outcome

SKIP = "Ray is not installed: pip install 'vidgen-components[ray]'"
EXTRA = """
import os, signal
import vidgen
from vidgen.bench.suite import Suite, SuiteConfig
from vidgen.config import config
from vidgen.hookspecs import hookimpl

@config
class TogetherConfig(SuiteConfig):
    READS = ("autoencoder", "scheduler")
    SHARES = ("autoencoder",)

class Together(Suite):
    def measure(self, work):
        with work.sharing("work", ("autoencoder",)) as path:
            work.add("made", not path.exists())
            path.touch()

@config
class PlaceConfig(SuiteConfig):
    READS = ("scheduler",)

class Place(Suite):
    def measure(self, work):
        work.add("device", float(os.environ.get("CUDA_VISIBLE_DEVICES") or -1))

@config
class GrudgeConfig(SuiteConfig):
    READS = ("scheduler",)

class Grudge(Suite):
    def measure(self, work):
        if work.seed == 0:  # the worker is our parent's parent, or our parent if there is no fork server
            worker = open(f"/proc/{os.getppid()}/stat").read().rpartition(")")[2].split()[1]
            os.kill(int(worker), signal.SIGKILL)
        work.add("seed", work.seed)

@hookimpl
def vidgen_components():
    return [vidgen.ComponentSpec(kind="suite", name=kind.__name__.lower(), target=f"extra_module:{kind.__name__}",
                                 config=settings, summary="Of a stranger.")
            for kind, settings in ((Together, TogetherConfig), (Place, PlaceConfig), (Grudge, GrudgeConfig))]
"""


@pytest.fixture
def cluster(stranger, tmp_path, monkeypatch):
    """Return what starts a cluster of nodes that know the strangers' suites; no process may outlive it."""
    pytest.importorskip("ray", reason=SKIP)
    from ray.cluster_utils import Cluster

    install(tmp_path / "extra", EXTRA, name="extra", distribution="extra")
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # paths of sockets must be short
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(stranger), str(tmp_path / "extra")]))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_TMPDIR", folder)
    made = Cluster()

    def start(*nodes: dict) -> Cluster:
        # A dead node is noticed soon, and on a busy machine a worker may take its time to start.
        quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 3,
                 "worker_register_timeout_seconds": 300, "worker_niceness": 0}  # fmt: skip
        for index, node in enumerate(nodes or ({}, {})):
            head = (
                {"include_dashboard": False, "no_monitor": True, "_system_config": quick}
                if index == 0
                else {}
            )
            made.add_node(num_cpus=1, object_store_memory=80 << 20, include_log_monitor=False, **head, **node)
        return made

    yield start
    made.shutdown()
    wait_for(lambda: not of(folder), seconds=20)
    shutil.rmtree(folder)


def of(folder: str) -> list[int]:
    """Return the processes that were started with a folder as Ray's."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"RAY_TMPDIR={folder}".encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:  # it ended meanwhile
            continue
    return found


@pytest.fixture
def on(bench, tmp_path):
    """Run ``vidgen bench`` on a cluster to its end; returns what it says and its rows."""

    def run(made, *words: object):
        said = bench(*words, *plan(made), path=str(tmp_path / "extra"))
        return said, rows(tmp_path / "r.db")

    return run


def plan(made) -> tuple[str, ...]:
    return ("--out", "r.db", "--engine", "ray", "--address", made.address)


def rows(path):
    with Store(path, create=False) as store:
        return store.rows(artefacts=True)


def nodes_of(path: Path) -> Counter[str]:
    """Return how many rows nodes have made so far, without being in the way of who writes them."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
            return Counter(json.loads(one)["node"] for (one,) in file.execute('SELECT machine FROM "row"'))
    except sqlite3.Error:  # not there yet
        return Counter()


def by_node(found) -> Counter[str]:
    return Counter(row.machine["node"] for row in found)


@pytest.mark.slow
def test_a_node_that_is_killed_on_the_way_costs_no_row(cluster, start, tmp_path):
    made = cluster()
    (second,) = made.worker_nodes
    process = start("--suite", "faulty", "--scheduler", "euler,heun", "--seeds", "0,1,2,3,4,5,6,7", "--set",
                    "faulty.seconds=0.5", *plan(made))  # fmt: skip
    path = tmp_path / "r.db"
    wait_for(lambda: len(nodes_of(path)) == 2, seconds=400)
    done = rows(path)
    (raylet,) = second.all_processes["raylet"]
    os.kill(raylet.process.pid, signal.SIGKILL)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    assert "16 ok; 0 were there" in out  # each once: what is answered twice would be counted twice
    found = rows(path)
    assert sorted((row.parts["scheduler"], row.seed) for row in found) == [
        (name, seed) for name in ("euler", "heun") for seed in range(8)
    ]
    assert all(row.status == "ok" and row.artefacts[0].data == b"fine" for row in found)
    assert [row for row in found if row.key in {one.key for one in done}] == done
    of_dead = by_node(found)[second.node_id]
    assert 0 < of_dead < 8
    made.remove_node(second, allow_graceful=False)


def job(seed: int, **more) -> Job:
    """Return a job that only a worker of these tests understands."""
    told = {"suite": "none", "parts": {}, "recipe": {}, "settings": {"device": "cpu"}, **more}
    return Job(key=str(seed), seed=seed, **told)


def play_worker(monkeypatch) -> None:
    """Let workers be quick ones: they sleep for a row, die where its seed is negative, or wait for others to come."""
    from vidgen.bench import cluster

    class Player:  # within a function, so that it travels to nodes by value
        def __init__(self, node: str, *, shared: str, **_: object) -> None:
            self.node, self.jobs, self.folder = node, {}, Path(shared)
            (self.folder / node).touch()

        def ready(self) -> None:
            pass

        def next(self, heat: int, jobs: list[Job]) -> Finished | None:
            left = self.jobs.setdefault(heat, list(jobs))
            if not left:
                return None
            time.sleep(0.3)
            if left[0].seed < 0:
                os._exit(1)
            while len(list(self.folder.iterdir())) < left[0].seed - 100:  # wait for a node
                time.sleep(0.1)
            return Finished(left.pop(0), Outcome(status="ok"), "", 0.3, 0.0, {"machine": {"node": self.node}})

    monkeypatch.setattr(cluster, "Worker", Player)


def test_what_a_dead_node_had_is_done_by_another_and_by_one_that_joins(cluster, tmp_path, monkeypatch):
    made = cluster()
    from vidgen.bench.cluster import RayEngine

    play_worker(monkeypatch)
    (second,) = made.worker_nodes
    wanted = [job(seed, serial=True) for seed in range(10)]
    wanted += [job(seed, group=f"group {seed % 4}") for seed in range(10, 40)]
    wanted += [job(seed) for seed in (104, *range(40, 44))]  # the mark and three nodes
    engine, found, killed = RayEngine(tmp_path / "shared", address=made.address, arms=3), [], False
    for done in engine.run(wanted):
        found.append((done.job.seed, done.around["machine"]["node"]))
        if not killed and sum(node == second.node_id for _, node in found) == 6:
            killed = True
            (raylet,) = second.all_processes["raylet"]
            os.kill(raylet.process.pid, signal.SIGKILL)
            third = made.add_node(num_cpus=1, object_store_memory=80 << 20, include_log_monitor=False)
    made.remove_node(second, allow_graceful=False)
    assert sorted(seed for seed, _ in found) == [*range(44), 104]  # each once
    nodes = Counter(node for _, node in found)
    assert nodes[second.node_id] in (6, 7)  # what it had said before it died may still be heard
    assert len(nodes) == 3
    assert nodes[third.node_id] > 0


@pytest.mark.slow
def test_a_row_that_costs_worker_after_worker_is_given_up_and_no_other(cluster, tmp_path, monkeypatch):
    made = cluster({})
    from vidgen.bench.cluster import RayEngine

    play_worker(monkeypatch)
    engine = RayEngine(tmp_path / "shared", address=made.address)
    found = {done.job.seed: done.outcome for done in engine.run([job(-1), job(0), job(1)])}
    assert {seed: one.status for seed, one in found.items()} == {-1: "error", 0: "ok", 1: "ok"}
    assert "lost 3 times" in found[-1].reason
    begun = [job(seed) for seed in range(8)]
    limited = list(engine.run(begun, lambda some: some[0].seed < 3))
    assert sorted(done.job.seed for done in limited) == [0, 1, 2]


@pytest.mark.slow
def test_every_fault_is_the_row_that_it_is_locally(cluster, on):
    faults = ["fine", *FAULTS, "fine"]
    seeds, told = ",".join(map(str, range(len(faults)))), json.dumps(faults)
    _, found = on(cluster(), "--suite", "faulty,turns", "--timeout", "6s", "--seeds", seeds, "--scheduler", "euler",
                  "--set", f"faulty.faults={told}", "--set", f"turns.faults={told}")  # fmt: skip
    assert len(found) == 2 * len(faults)
    assert len(by_node(found)) == 2
    for row in found:
        status, words = FAULTS.get(faults[row.seed], ("ok", ""))
        assert row.status == status
        assert words in row.reason
        assert {"host", "processor", "cores", "niceness"} <= row.machine.keys()
        assert row.load > 0
        assert row.versions["faulty"] == "0.1"
    measured = [row for row in found if row.status == "ok"]
    assert all(row.machine["threads"] == 1 for row in measured)  # of the CPU that a node has
    for node in by_node(found):  # beside a row that is timed nothing runs there
        begun = {name: [row.started for row in found if row.suite == name and row.machine["node"] == node]
                 for name in ("faulty", "turns")}  # fmt: skip
        assert max(begun["turns"], default="") < min(begun["faulty"], default="9")


@pytest.mark.slow
def test_rows_that_share_go_to_one_node_and_a_plugin_that_is_not_there_is_a_reason(cluster, on, monkeypatch):
    made = cluster()
    _, found = on(made, "--suite", "together", "--autoencoder", "sora-vae/tiny,wf-vae/tiny,videogpt-vqvae/tiny",
                  "--scheduler", "euler,heun,unipc")  # fmt: skip
    assert [row.status for row in found] == ["ok"] * 9
    for name in ("sora-vae/tiny", "wf-vae/tiny", "videogpt-vqvae/tiny"):
        group = [row for row in found if row.parts["autoencoder"] == name]
        assert len(by_node(group)) == 1
        assert sum(row.measures[0].value for row in group) == 1
    assert len(by_node(found)) == 2

    monkeypatch.setenv("PYTHONPATH", "")
    third = made.add_node(num_cpus=1, object_store_memory=80 << 20, include_log_monitor=False)
    _, found = on(made, "--suite", "faulty", "--seeds", "0,1,2,3,4,5,6,7,8", "--set", "faulty.seconds=1")
    found = [row for row in found if row.suite == "faulty"]
    poor = [row for row in found if row.machine["node"] == third.node_id]
    assert len(found) == 9
    assert poor
    assert all(
        row.status == "error" and "'faulty'" in row.reason and "faulty" not in row.versions for row in poor
    )
    assert all(row.status == "ok" for row in found if row not in poor)


@pytest.mark.slow
def test_every_gpu_has_a_worker_and_a_row_that_ends_its_worker_is_given_up(cluster, on):
    made = cluster({"num_gpus": 2})
    _, found = on(made, "--suite", "place", "--seeds", "0,1,2,3,4,5", "--device", "auto")
    assert {row.measures[0].value for row in found} == {0, 1}
    _, found = on(made, "--suite", "grudge", "--seeds", "0,1,2")
    found = {row.seed: row for row in found if row.suite == "grudge"}
    assert [found[seed].status for seed in range(3)] == ["error", "ok", "ok"]
    assert "lost 3 times" in found[0].reason


@pytest.mark.slow
def test_a_driver_that_is_killed_leaves_nothing_running_and_its_rows_are_kept(cluster, start, on, tmp_path):
    made = cluster()
    standing = set(of(os.environ["RAY_TMPDIR"]))
    words = ("--suite", "faulty", "--seeds", ",".join(map(str, range(12))), "--set", "faulty.seconds=0.5")
    process = start(*words, *plan(made))
    path = tmp_path / "r.db"
    wait_for(lambda: sum(nodes_of(path).values()) >= 3)
    process.kill()
    process.communicate()
    done = rows(path)
    wait_for(
        lambda: not any(b"forkserver" in command(one) for one in of(os.environ["RAY_TMPDIR"])), seconds=30
    )
    assert standing <= set(of(os.environ["RAY_TMPDIR"]))
    said, found = on(made, *words)
    assert f"{12 - len(done)} ok; {len(done)} were there" in said
    assert [row for row in found if row.key in {one.key for one in done}] == done


def command(process: int) -> bytes:
    try:
        return (Path("/proc") / str(process) / "cmdline").read_bytes()
    except OSError:
        return b""


def refusal(start, *words: str, **more: str) -> str:
    """Return the last line of a run that is refused."""
    process = start("--suite", "faulty", "--out", "r.db", *words, **more)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    return err.strip().splitlines()[-1]


def test_without_ray_the_extra_is_named(start, tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "ray.py").write_text("raise ImportError('no ray here')")
    assert "pip install 'vidgen-components[ray]'" in refusal(
        start, "--engine", "ray", path=str(tmp_path / "none")
    )


@pytest.mark.parametrize(
    ("address", "words"),
    [("127.0.0.1:1", "There is no Ray cluster at 127.0.0.1:1"), ("here", "reads HOST:PORT")],
)
def test_where_no_cluster_is_one_line_says_so(start, address, words):
    pytest.importorskip("ray", reason=SKIP)
    assert words in refusal(start, "--engine", "ray", "--address", address)
    assert words in refusal(start, "--engine", "ray", RAY_ADDRESS=address)


def test_other_engines_and_addresses_for_nothing_are_refused(start):
    assert "'local', 'ray'" in refusal(start, "--engine", "slurm")
    assert "--engine ray" in refusal(start, "--address", "10.0.0.1:6379")


def test_how_a_plan_is_worked_off_is_not_part_of_its_rows():
    tables = {"suites": ["speed"], "scheduler": ["euler"]}
    away = Plan.from_dict({**tables, "run": {"engine": "ray", "address": "10.0.0.1:6379"}})
    assert [job.key for job in away.jobs()] == [job.key for job in Plan.from_dict(tables).jobs()]


def test_a_folder_that_is_not_the_drivers_is_not_shared(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason=SKIP)
    from vidgen.bench import cluster

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    mark = cluster._mark(tmp_path / "shared")
    assert cluster._mark(tmp_path / "shared") == mark
    assert cluster._visible(tmp_path / "shared", mark) == tmp_path / "shared"
    own = cluster._visible(tmp_path / "elsewhere", mark)
    assert own.parent == tmp_path / "tmp"
    cluster._mark(tmp_path / "elsewhere")
    assert cluster._visible(tmp_path / "elsewhere", mark) == own
