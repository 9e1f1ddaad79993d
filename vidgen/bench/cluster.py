"""The Ray engine: a plan on a cluster, where every node works off by a local engine what it is handed. No torch here.

Only this process writes rows. What a node had not answered when it died is handed to another one.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import re
import socket
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vidgen.bench.engine import Finished, LocalEngine, affordable, parts_of
from vidgen.bench.machine import commit, load, machine, versions
from vidgen.bench.plan import Job
from vidgen.bench.store import now
from vidgen.bench.worker import Outcome, reason_of, status_of
from vidgen.errors import ConfigError, MissingDependencyError, ResultsError

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # of 40 s each; 20 to find that a port is not Ray's
try:
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as problem:
    raise MissingDependencyError(
        f"The engine 'ray' needs Ray: pip install 'vidgen-components[ray]' ({problem})."
    ) from problem

__all__ = ["RayEngine"]

LOSSES = 3
"""Times that a row may lose its node before it is given up, and that a node may fail to start a worker."""

LOOK = 5.0
"""Seconds after which nodes that joined are looked for, where nothing else happens."""

ADDRESS = re.compile(r"(?:ray://)?\[?(?P<host>[^\[\]/]+?)\]?:(?P<port>\d+)")


class RayEngine:
    """Works jobs off on a Ray cluster that somebody else has started.

    Each node has one worker, with all CPUs that Ray counts there; or one a GPU, with its share of them, where the plan
    asks for an accelerator. A worker has one heat of rows that are timed, or up to `jobs` other rows at a time, each
    row in a process of its own as in `LocalEngine`. Rows that share a training go to the same node.

    Args:
        shared: Folder for what rows may share; nodes that do not see it use one of their own.
        address: ``HOST:PORT``, ``ray://HOST:PORT``, or ``auto`` for the cluster that this machine belongs to.
        jobs: Rows at a time on a worker, of suites that allow it.
        arms: Rows that take turns, of suites that measure time.
        timeout: Seconds that a row may have the turn.
        memory: Largest address space of a row in bytes; 0 for any.
    """

    def __init__(
        self,
        shared: Path,
        *,
        address: str = "auto",
        jobs: int = 1,
        arms: int = 4,
        timeout: float = 1800.0,
        memory: int = 0,
    ) -> None:
        self.shared, self.address, self.jobs, self.arms = shared, address, jobs, arms
        self.timeout, self.memory = timeout, memory

    def run(
        self, jobs: Iterable[Job], may_begin: Callable[[Sequence[Job]], bool] = lambda _: True
    ) -> Generator[Finished]:
        """Yield rows as they are done; whatever runs when the caller stops listening is ended.

        Args:
            jobs: What to measure.
            may_begin: Asked before rows are begun; once it says no, none is begun any more.

        Raises:
            ConfigError: When there is no cluster at the address.
            ResultsError: When no node is there, or left, that can work.
        """
        jobs = list(jobs)
        with _connected(self.address):
            crew = _Crew(self, jobs, may_begin)
            try:
                yield from crew.work_off()
            finally:
                crew.dismiss()


@dataclass(eq=False, slots=True)
class _Heat:
    """Rows that one worker has at a time, those that are done taken out."""

    jobs: list[Job]
    serial: bool
    group: str
    started: str = ""


@dataclass(eq=False, slots=True)
class _Hand:
    """A worker as its driver knows it."""

    node: str
    actor: Any
    ready: bool = False
    heats: list[_Heat] = field(default_factory=list)


class _Crew:
    """The workers of one run, and what they have to do."""

    def __init__(
        self, engine: RayEngine, jobs: Sequence[Job], may_begin: Callable[[Sequence[Job]], bool]
    ) -> None:
        self.engine, self.may_begin, self.parts = engine, may_begin, parts_of(jobs)
        self.waiting, self.over = _heats(jobs, engine.arms), False
        self.hands: list[_Hand] = []
        self.calls: dict[Any, tuple[_Hand, _Heat | None]] = {}
        self.homes: dict[str, str] = {}
        self.losses: Counter[str] = Counter()
        self.last = ""
        self.mark = _mark(engine.shared)
        devices = {job.settings["device"] for job in jobs}
        self.accelerated = devices != {"cpu"} and any(_gpus(node) for node in _nodes())
        if not self.accelerated and devices - {"cpu", "auto"}:
            raise ResultsError("The plan asks for an accelerator, and no node of the cluster has a GPU.")

    def work_off(self) -> Iterator[Finished]:
        """Yield rows as they are done."""
        while self.waiting or any(hand.heats for hand in self.hands):
            self._hire()
            self._hand_out()
            if not self.calls:
                if self.waiting:
                    raise ResultsError(
                        "No node of the cluster is left that can work; what is done is kept, the same command goes on."
                        f"{self.last}"
                    )
                break
            for call in ray.wait(list(self.calls), timeout=LOOK)[0]:
                hand, heat = self.calls.pop(call)
                try:
                    said = ray.get(call)
                except RayError as problem:
                    yield from self._lose(hand, problem)
                else:
                    yield from self._hear(hand, heat, said)

    def dismiss(self) -> None:
        """End all workers, with the rows that they have."""
        for hand in self.hands:
            _end(hand)

    def _hire(self) -> None:
        """Start the workers that nodes lack, on those too that joined meanwhile."""
        for node in _nodes():
            identity, cpus = node["NodeID"], node["Resources"].get("CPU", 0.0)
            wanted = _gpus(node) if self.accelerated else 1
            if cpus and self.losses[identity] < LOSSES:
                for _ in range(wanted - sum(hand.node == identity for hand in self.hands)):
                    self._start(identity, cpus / wanted)

    def _start(self, node: str, cpus: float) -> None:
        engine, cpus = self.engine, int(cpus) or cpus  # Ray takes fractions of one CPU only
        remote: Any = ray.remote(Worker)
        actor = remote.options(
            num_cpus=cpus,
            num_gpus=int(self.accelerated),
            scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
            max_concurrency=engine.jobs,
        ).remote(
            node,
            parts=self.parts,
            shared=str(engine.shared.absolute()),
            mark=self.mark,
            folder=str(Path.cwd()),
            timeout=engine.timeout,
            memory=engine.memory,
            threads=max(1, int(cpus) // engine.jobs) if engine.jobs > 1 else 0,  # Ray has said how many
        )
        hand = _Hand(node, actor)
        self.hands.append(hand)
        self.calls[actor.ready.remote()] = hand, None

    def _hand_out(self) -> None:
        """Give every worker as much as it may have."""
        for hand in self.hands:
            while hand.ready and (heat := self._pick(hand)):
                some = affordable(heat.jobs, self.may_begin)
                if not some:
                    self.waiting, self.over = [], True
                    return
                rest = heat.jobs[len(some) :]
                at = self.waiting.index(heat)
                self.waiting[at : at + 1] = [replace(heat, jobs=rest)] if rest else []
                heat.jobs = some
                hand.heats.append(heat)
                heat.started = now()
                if heat.group:
                    self.homes[heat.group] = hand.node
                self._ask(hand, heat, heat.jobs)

    def _pick(self, hand: _Hand) -> _Heat | None:
        """Return the first heat that a worker may begin beside what it has."""
        for heat in self.waiting:
            alone = heat.serial or any(one.serial for one in hand.heats)
            full = hand.heats and (alone or len(hand.heats) >= self.engine.jobs)
            if not full and self.homes.get(heat.group, hand.node) == hand.node:
                return heat
        return None

    def _ask(self, hand: _Hand, heat: _Heat, jobs: Sequence[Job] = ()) -> None:
        self.calls[hand.actor.next.remote(id(heat), list(jobs))] = hand, heat

    def _hear(self, hand: _Hand, heat: _Heat | None, said: Finished | None) -> Iterator[Finished]:
        if heat is None:
            hand.ready = True
        elif said is None:
            hand.heats.remove(heat)
        else:
            heat.jobs = [job for job in heat.jobs if job.key != said.job.key]
            self._ask(hand, heat)
            yield said

    def _lose(self, hand: _Hand, problem: RayError) -> Iterator[Finished]:
        """Take a worker out that died, or cannot be reached; give what it had to others, or up."""
        _end(hand)  # one that only cannot be reached must not go on
        self.hands.remove(hand)
        self.calls = {call: who for call, who in self.calls.items() if who[0] is not hand}
        self.homes = {group: node for group, node in self.homes.items() if node != hand.node}
        self.losses[hand.node] += not hand.ready
        self.last = f" Last: {reason_of(problem)}"
        for heat in hand.heats:
            self.losses.update(job.key for job in heat.jobs)
            given_up = [job for job in heat.jobs if self.losses[job.key] >= LOSSES]
            heat.jobs = [job for job in heat.jobs if job not in given_up]
            if heat.jobs and not self.over:
                self.waiting.insert(0, heat)
            for job in given_up:
                why = f"Its node was lost {LOSSES} times while it was under way. Last: {reason_of(problem)}"
                outcome = Outcome(status=status_of(problem), reason=why)
                where = {"machine": {"node": hand.node}}
                yield Finished(job, outcome, heat.started, 0.0, 0.0, where)


class Worker:
    """What stands on a node: a local engine, which works heats off.

    Args:
        node: Ray's name of it.
        parts: Parts whose code is loaded once for all rows.
        shared: Folder of the driver for what rows share.
        mark: What stands in that folder, if it is the driver's.
        folder: Where the driver stands, for paths in a plan.
        timeout: As in `LocalEngine`.
        memory: As in `LocalEngine`.
        threads: As in `LocalEngine`.
    """

    def __init__(
        self,
        node: str,
        *,
        parts: Sequence[tuple[str, str]],
        shared: str,
        mark: str,
        folder: str,
        timeout: float,
        memory: int,
        threads: int,
    ) -> None:
        vars(sys.modules["__main__"]).pop("__file__", None)  # else every row would import Ray's main module
        with contextlib.suppress(OSError):
            os.chdir(folder)
        with contextlib.suppress(OSError):  # Ray makes workers nice; what they start should not be, if we may
            os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, os.getppid()))
        niceness = os.getpriority(os.PRIO_PROCESS, 0)
        here = {**machine(), "host": platform.node(), "node": node, "niceness": niceness}
        self.around: dict[str, Any] = {"machine": here, "versions": versions(), "git_commit": commit()}
        self.engine = LocalEngine(
            _visible(Path(shared), mark), timeout=timeout, memory=memory, threads=threads, load=load
        )
        self.engine.warm_up(parts)
        self.heats: dict[int, Iterator[Finished]] = {}

    def ready(self) -> None:
        """Answer once it stands."""

    def next(self, heat: int, jobs: Sequence[Job]) -> Finished | None:
        """Return the next row of a heat that is done; None when all are.

        Args:
            heat: Which.
            jobs: Its rows when it is begun; none later.
        """
        if jobs:
            self.heats[heat] = self.engine.run(jobs)
        done = next(self.heats[heat], None)
        if done is None:
            del self.heats[heat]
            return None
        return replace(done, around=self.around)


def _heats(jobs: Sequence[Job], arms: int) -> list[_Heat]:
    """Return heats, those that are timed first; in none are rows of two groups."""
    timed: dict[str, list[Job]] = {}
    for job in jobs:
        if job.serial:
            timed.setdefault(job.group, []).append(job)
    heats = [
        _Heat(some[i : i + arms], True, group)
        for group, some in timed.items()
        for i in range(0, len(some), arms)
    ]
    return heats + [_Heat([job], False, job.group) for job in jobs if not job.serial]


def _nodes() -> list[dict[str, Any]]:
    """Return the nodes that are alive, as Ray describes them."""
    return [node for node in ray.nodes() if node["Alive"]]


def _gpus(node: Mapping[str, Any]) -> int:
    return int(node["Resources"].get("GPU", 0))


def _end(hand: _Hand) -> None:
    with contextlib.suppress(Exception):  # it is gone, or the cluster is
        ray.kill(hand.actor)


def _mark(shared: Path) -> str:
    """Return what tells this folder from others of its name; written into it the first time."""
    shared.mkdir(parents=True, exist_ok=True)
    file = shared / "mark"
    if not file.exists():
        file.write_text(uuid.uuid4().hex)
    return file.read_text()


def _visible(shared: Path, mark: str) -> Path:
    """Return the driver's folder where this node sees it, else one of the node's own for the same results."""
    with contextlib.suppress(OSError):
        if (shared / "mark").read_text() == mark:
            return shared
    own = Path(tempfile.gettempdir()) / f"vidgen-bench-{mark}"
    own.mkdir(mode=0o700, exist_ok=True)
    return own


@contextlib.contextmanager
def _connected(address: str) -> Iterator[None]:
    """Be a driver of a cluster; a connection that the caller has stays as it is."""
    if ray.is_initialized():
        yield
        return
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or "auto"
    hint = "start one by `ray start --head`, or name its --address HOST:PORT."
    if address != "auto":
        # Ray itself tries for minutes, and then ends this process.
        parsed = ADDRESS.fullmatch(address)
        if not parsed:
            raise ConfigError(
                f"A cluster's address reads HOST:PORT, ray://HOST:PORT or auto, not {address!r}."
            )
        try:
            socket.create_connection((parsed["host"], int(parsed["port"])), timeout=LOOK).close()
        except (OSError, OverflowError) as problem:
            raise ConfigError(f"There is no Ray cluster at {address} ({problem}); {hint}") from None
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as problem:
        said = " ".join(str(problem).split())[:300]
        where = "on this machine" if address == "auto" else f"at {address}"
        raise ConfigError(f"There is no Ray cluster {where}; {hint} Ray says: {said}") from problem
    try:
        yield
    finally:
        ray.shutdown()
