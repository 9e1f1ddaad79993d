"""Whole runs: whatever a row does, it is a row, and nothing is lost or done twice."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.stranger import install
from vidgen.bench.engine import Finished, affordable
from vidgen.bench.plan import Plan
from vidgen.bench.run import run_plan
from vidgen.bench.store import Measure, Store
from vidgen.bench.worker import Outcome
from vidgen.errors import ResultsError

FAULTS = {
    "crash": ("error", "SIGSEGV. It last said: about to crash"),
    "killed": ("oom", "signal 9"),
    "leaves": ("error", "exit code 3"),
    "hangs": ("timeout", "6 s"),
    "nan": ("error", "loss came out as nan"),
    "raises": ("error", "ValueError: no good"),
    "worse": ("error", "better is 'less', 'more' or ''"),
    "unnamed": ("error", "name is a text"),
    "endless": ("error", "loss came out as -inf"),
    "odd": ("error", "ValueError: no \\udce9"),
    "orphans": ("error", "exit code 3"),
    "misfits": ("incompatible", "too large"),
    "greedy": ("oom", "MemoryError"),
}


def rows(path):
    with Store(path, create=False) as store:
        return store.rows(artefacts=True)


def test_every_fault_is_a_row_and_the_others_go_on(bench, tmp_path):
    faults = ["fine", *FAULTS, "fine"]
    seeds = ",".join(str(number) for number, _ in enumerate(faults))
    bench("--suite", "faulty", "--out", "r.db", "--timeout", "6s", "--seeds", seeds, "--scheduler", "euler",
          "--set", f"faulty.faults={json.dumps(faults)}")  # fmt: skip
    found = rows(tmp_path / "r.db")
    assert [row.seed for row in found] == list(range(len(faults)))
    fine = [row for row in found if row.status == "ok"]
    assert [row.measures[0].value for row in fine] == [row.seed for row in fine] == [0, len(faults) - 1]
    assert fine[0].measures[1].value != fine[1].measures[1].value  # a process each
    assert fine[0].artefacts[0].data == b"fine"
    assert fine[0].parts == {"autoencoder": "", "denoiser": "", "text_encoder": "", "scheduler": "euler"}
    assert {"cores", "threads", "processor"} <= fine[0].machine.keys()
    assert {"python", "torch", "faulty"} <= fine[0].versions.keys()
    failed = {faults[row.seed]: row for row in found if row.status != "ok"}
    assert {fault: row.status for fault, row in failed.items()} == {
        f: status for f, (status, _) in FAULTS.items()
    }
    for fault, (_, words) in FAULTS.items():
        assert words in failed[fault].reason


@pytest.mark.skipif(
    sys.platform != "linux", reason="other systems do not keep to a limit of the address space"
)
@pytest.mark.parametrize("limit", ["6", "0"])
def test_a_row_beyond_the_memory_is_a_row_and_the_others_go_on(bench, tmp_path, limit):
    faults = ["fine", "hoards", "fine", "hoards_tensors", "fine"]
    bench("--suite", "faulty", "--out", "r.db", "--seeds", "0,1,2,3,4", "--scheduler", "euler", "--memory", limit,
          "--set", f"faulty.faults={json.dumps(faults)}")  # fmt: skip
    found = {row.seed: row for row in rows(tmp_path / "r.db")}
    short = "oom" if limit == "6" else "ok"  # without a limit nothing is wrong with these rows
    assert [found[seed].status for seed in range(5)] == ["ok", short, "ok", short, "ok"]
    if short == "oom":
        assert "MemoryError" in found[1].reason
        assert "allocate memory" in found[3].reason


def test_a_plugin_that_does_not_import_is_a_row(bench, tmp_path):
    install(
        tmp_path / "broken", "raise RuntimeError('broken at import')", name="broken", distribution="broken"
    )
    parts = ("--scheduler", "euler,theirs", "--suite", "faulty", "--out", "r.db")
    bench(*parts, path=str(tmp_path / "broken"))
    made = {row.parts["scheduler"]: row for row in rows(tmp_path / "r.db")}
    assert made["euler"].status == "ok"
    assert made["theirs"].status == "error"
    assert "broken at import" in made["theirs"].reason


def test_a_second_run_finds_all_done_and_failures_can_be_tried_again(bench, tmp_path):
    plan = ("--suite", "faulty", "--out", "r.db", "--seeds", "0,1")
    assert "2 ok; 0 were there" in bench(*plan)
    before = rows(tmp_path / "r.db")
    assert "nothing; 2 were there" in bench(*plan)
    assert "nothing; 2 were there" in bench(*plan, "--retry", "error,oom")
    assert rows(tmp_path / "r.db") == before
    assert "2 ok; 0 were there" in bench(*plan, "--retry", "ok")
    assert rows(tmp_path / "r.db") != before


class Told:
    """An engine that answers what it is told."""

    def __init__(self, answer):
        self.answer = answer

    def run(self, jobs, may_begin):
        for job in jobs:
            if outcome := self.answer(job):
                yield Finished(job, outcome, "2026-01-01T00:00:00.000Z", 1.0, 0.0)


PLAN = Plan(autoencoder=("sora-vae/tiny",), denoiser=("sora-dit/tiny",), text_encoder=("words/tiny",),
            scheduler=("euler", "heun"))  # fmt: skip


def test_a_row_that_cannot_be_written_is_a_row_and_the_others_go_on(tmp_path):
    def answer(job):
        same = Measure("a", 1.0)
        return Outcome(status="ok", measures=(same, same) if job.parts["scheduler"] == "euler" else (same,))

    assert run_plan(PLAN, tmp_path / "r.db", engine=Told(answer)).made == {"error": 1, "ok": 1}
    made = {row.parts["scheduler"]: row for row in rows(tmp_path / "r.db")}
    assert "UNIQUE" in made["euler"].reason
    assert made["heun"].status == "ok"


def test_a_row_that_is_tried_again_stays_until_the_new_one_is_there(tmp_path):
    path = tmp_path / "r.db"
    fine = Outcome(status="ok", measures=(Measure("a", 1.0),))
    run_plan(PLAN, path, engine=Told(lambda _: fine))
    before = rows(path)
    summary = run_plan(PLAN, path, engine=Told(lambda _: None), retry=["ok"])
    assert (summary.left, rows(path)) == (2, before)
    run_plan(PLAN, path, engine=Told(lambda _: Outcome(status="error", reason="no")), retry=["ok"])
    assert [(row.status, row.measures) for row in rows(path)] == [("error", ())] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_a_link_leads_to_the_same_file(tmp_path):
    (tmp_path / "link.db").symlink_to(tmp_path / "r.db")

    def again(_):
        with pytest.raises(ResultsError, match="Another run"):
            run_plan(PLAN, tmp_path / "link.db", engine=Told(lambda _: None))

    assert run_plan(PLAN, tmp_path / "r.db", engine=Told(again)).left == 2


def test_as_many_rows_take_turns_as_the_time_allows(tmp_path):
    guess = PLAN.jobs()[0].guess
    assert len(affordable(PLAN.jobs(), lambda jobs: sum(job.guess for job in jobs) <= guess)) == 1
    assert affordable(PLAN.jobs(), lambda _: False) == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_row_starts_ends_with_it(bench, tmp_path):
    bench("--suite", "faulty", "--out", "r.db", "--scheduler", "euler", "--set", 'faulty.faults=["starts"]')
    (row,) = rows(tmp_path / "r.db")
    assert row.reason == ""
    found = {one.name: one.value for one in row.measures}
    assert found["helper"] == 0
    wait_for(lambda: not alive(int(found["child"])), seconds=10)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ctrl_c_is_one_line_while_the_code_is_loaded(start, tmp_path):
    process = start(
        "--suite", "faulty", "--out", "r.db", "--set", "faulty.seconds=60", start_new_session=True
    )
    wait_for(lambda: planned(tmp_path / "r.db") and offspring(process.pid))
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped" in said
    assert "Traceback" not in said


def test_no_row_is_begun_beyond_the_time(bench, tmp_path):
    said = bench(
        "--suite",
        "faulty",
        "--out",
        "r.db",
        "--seeds",
        "0,1,2",
        "--set",
        "faulty.seconds=0.2",
        "--time",
        "0s",
    )
    assert "3 left" in said
    assert rows(tmp_path / "r.db") == []


def test_a_dry_run_measures_nothing_and_says_all(foresee, tmp_path):
    said = foresee("--scheduler", "euler,heun", "--denoiser", "sora-dit@kinetic,sora-dit/tiny", "--autoencoder",
                   "sora-vae/tiny", "--suite", "faulty,speed", "--out", "r.db")  # fmt: skip
    assert said["combinations"] == {"refused": 2, "must be trained": 2}
    counts = {one["suite"]: (one["to measure"], one["refused"]) for one in said["suites"]}
    assert counts == {"faulty": (2, 0), "speed": (2, 2)}  # faulty reads the scheduler alone
    assert [one["rows"] for one in said["refusals"]] == [2]
    assert not (tmp_path / "r.db").exists()


def test_two_runs_do_not_write_one_file(start, bench, tmp_path):
    first = start("--suite", "faulty", "--out", "r.db", "--set", "faulty.seconds=30")
    wait_for(lambda: (tmp_path / "r.db.lock").exists() and planned(tmp_path / "r.db"))
    second = start("--suite", "faulty", "--out", "r.db", "--set", "faulty.seconds=30")
    _, said = second.communicate(timeout=120)
    first.kill()
    first.communicate()
    assert second.returncode == 2
    assert "Another run writes" in said


def planned(path) -> bool:
    try:
        return bool(sqlite3.connect(path).execute("SELECT count(*) FROM plan").fetchone()[0])
    except sqlite3.Error:
        return False


def wait_for(holds, seconds=120.0):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_kill_9_at_random_moments_loses_nothing_and_doubles_nothing(start, bench, tmp_path):
    plan = ("--suite", "faulty", "--scheduler", "euler,heun,unipc", "--seeds", ",".join(map(str, range(12))),
            "--set", "faulty.seconds=0.2", "--out", "r.db")  # fmt: skip
    chance, kept, cut = random.Random(0), {}, 0
    for _ in range(10):
        process = start(*plan)
        time.sleep(chance.uniform(1, 9))
        cut += process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (tmp_path / "r.db").exists():
            now = {row.key: row for row in rows(tmp_path / "r.db")}
            assert all(now.get(key) == row for key, row in kept.items())  # not lost, not measured again
            kept = now
    assert cut
    bench(*plan)
    found = rows(tmp_path / "r.db")
    assert {row.key: row for row in found} | kept == {row.key: row for row in found}
    asked = {(s, n) for s in ("euler", "heun", "unipc") for n in range(12)}
    assert sorted((row.parts["scheduler"], row.seed) for row in found) == sorted(asked)
    assert all(row.status == "ok" and len(row.measures) == 2 for row in found)


@pytest.mark.slow
def test_rows_that_are_timed_take_turns_and_a_crash_among_them_stops_nobody(bench, tmp_path):
    faults = ["goes_on", "crash", "goes_on", "hangs", "goes_on"]
    bench("--suite", "turns", "--out", "r.db", "--seeds", "0,1,2,3,4", "--timeout", "5s", "--scheduler", "euler",
          "--set", f"turns.faults={json.dumps(faults)}")  # fmt: skip
    found = {row.seed: row for row in rows(tmp_path / "r.db")}
    assert [found[seed].status for seed in range(5)] == ["ok", "error", "ok", "timeout", "ok"]
    first, second = (
        found[seed].measures[0].samples for seed in (0, 2)
    )  # 0 to 3 take turns, 4 comes after them
    for turn in range(2):
        assert max(first[turn], second[turn]) < min(first[turn + 1], second[turn + 1])
    assert found[4].measures[0].samples[0] > max(first[-1], second[-1])


def test_rows_run_beside_each_other_where_nothing_is_timed(bench, tmp_path):
    bench("--suite", "faulty", "--out", "r.db", "--seeds", "0,1,2,3,4,5", "--scheduler", "euler",
          "--set", "faulty.seconds=1.0", "--jobs", "2")  # fmt: skip
    found = rows(tmp_path / "r.db")
    assert [row.status for row in found] == ["ok"] * 6
    assert len({row.measures[1].value for row in found}) == 6
    begun = [datetime.fromisoformat(row.started).timestamp() for row in found]
    span = max(begin + row.seconds for begin, row in zip(begun, found, strict=True)) - min(begun)
    # Whoever ends makes room at once: one after the other would be 1, two throughout 2.
    assert sum(row.seconds for row in found) / span > 1.5


@pytest.mark.slow
def test_no_row_outlives_a_run_that_was_killed(start, tmp_path):
    process = start("--suite", "faulty", "--out", "r.db", "--set", "faulty.seconds=60")
    wait_for(lambda: planned(tmp_path / "r.db"))
    wait_for(lambda: len(offspring(process.pid)) >= 3)  # the fork server, its tracker, and the row
    family = offspring(process.pid)
    process.kill()
    process.communicate()
    wait_for(lambda: not any(alive(one) for one in family), seconds=20)


def offspring(pid: int) -> set[int]:
    """Return the processes below one, by /proc."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
    found, before = {pid}, set()
    while found != before:
        before, found = found, found | {child for child, parent in parents.items() if parent in found}
    return found - {pid}


def alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
