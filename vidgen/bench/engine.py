"""The local engine: every row in a process of its own, forked from one that has torch loaded. No torch here.

Only this process writes, and a row is written when its process has answered or died; so a kill at any moment loses at
most what was under way.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from vidgen.bench.plan import Job
from vidgen.bench.store import now
from vidgen.bench.worker import PAUSED, Outcome, Task, work_off

__all__ = ["Finished", "LocalEngine", "affordable", "parts_of"]

WARM, PARTS = "vidgen.bench.warm", "VIDGEN_BENCH_PARTS"
"""What the fork server loads, and the variable that tells it of parts; naming the module would import torch here."""

LONGEST = 86400.0
"""Seconds to wait at a time: a system call takes no number of weeks."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A row that was measured, or that died trying; `around` says where, if not on the writer's machine."""

    job: Job
    outcome: Outcome
    started: str
    seconds: float
    load: float
    around: Mapping[str, Any] = field(default_factory=dict)


def parts_of(jobs: Sequence[Job]) -> list[tuple[str, str]]:
    """Return the suites and parts that jobs name, as kind and address, each once."""
    suites = (("suite", job.suite) for job in jobs)
    return list(dict.fromkeys([*suites, *(pair for job in jobs for pair in job.parts.items() if pair[1])]))


def affordable(jobs: Sequence[Job], may_begin: Callable[[Sequence[Job]], bool]) -> list[Job]:
    """Return as many of the first jobs as may begin together."""
    counts = range(len(jobs), 0, -1)
    return next((list(jobs[:count]) for count in counts if may_begin(jobs[:count])), [])


@dataclass(eq=False, slots=True)
class _Arm:
    """A row's process, and how long it has had its turn."""

    job: Job
    log: Path
    process: Any
    channel: Connection
    started: str = ""
    load: float = 0.0
    spent: float = 0.0
    began: float | None = None
    outcome: Outcome | None = None

    def seconds(self) -> float:
        """Return how long it has worked."""
        return self.spent + (0.0 if self.began is None else time.monotonic() - self.began)

    def rest(self) -> None:
        """End its turn."""
        self.spent, self.began = self.seconds(), None

    def end(self) -> None:
        """End its process and all that this one started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()  # one that has no group of its own yet
        self.process.join()


@dataclass(eq=False, slots=True)
class _Heat:
    """A few rows that take turns in random order, one at a time."""

    arms: list[_Arm]
    chance: random.Random
    round: list[_Arm] = field(default_factory=list)
    now: _Arm | None = None

    def next(self) -> _Arm | None:
        """Return whose turn it is now; None when all are done."""
        if not self.round:
            self.round = list(self.arms)
            self.chance.shuffle(self.round)
        self.now = self.round.pop() if self.round else None
        return self.now

    def leave(self, arm: _Arm) -> None:
        """Take out a row that is done."""
        self.arms.remove(arm)
        if arm in self.round:
            self.round.remove(arm)


class LocalEngine:
    """Works jobs off on this machine.

    Args:
        shared: Folder for what rows may share.
        jobs: Rows at a time, of suites that allow it.
        arms: Rows that take turns, of suites that measure time.
        timeout: Seconds that a row may have the turn.
        memory: Largest address space of a row in bytes; 0 for any.
        threads: Threads of each row; 0 shares the cores out, or takes ``OMP_NUM_THREADS`` where it is set.
        load: Says how busy the machine is.
    """

    def __init__(
        self,
        shared: Path,
        *,
        jobs: int = 1,
        arms: int = 4,
        timeout: float = 1800.0,
        memory: int = 0,
        threads: int = 0,
        load: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.shared, self.jobs, self.arms, self.timeout, self.memory, self.load = (
            shared,
            jobs,
            arms,
            timeout,
            memory,
            load,
        )
        if not threads and jobs > 1 and "OMP_NUM_THREADS" not in os.environ:
            threads = max(1, (os.cpu_count() or 1) // jobs)
        self.threads = threads
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload([WARM])

    def warm_up(self, parts: Iterable[tuple[str, str]]) -> None:
        """Start the fork server with the code of parts loaded; one that runs already stays as it is."""
        os.environ[PARTS] = json.dumps(list(parts))
        resource_tracker.ensure_running()  # which unblocks what it finds blocked
        # Ctrl-C is ours: the server, and what it forks, inherits that it is blocked.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def run(
        self, jobs: Iterable[Job], may_begin: Callable[[Sequence[Job]], bool] = lambda _: True
    ) -> Generator[Finished]:
        """Yield rows as they are done; whatever runs when the caller stops listening is ended.

        Args:
            jobs: What to measure.
            may_begin: Asked before rows are begun; once it says no, none is begun any more.
        """
        jobs = list(jobs)
        self.warm_up(parts_of(jobs))
        with tempfile.TemporaryDirectory(prefix="vidgen-bench-") as logs:
            for serial, some in groupby(jobs, key=lambda job: job.serial):
                together = list(some)
                each = self.arms if serial else 1
                heats = deque(together[i : i + each] for i in range(0, len(together), each))
                yield from self._work_off(heats, 1 if serial else self.jobs, Path(logs), may_begin)

    def _work_off(
        self,
        waiting: deque[list[Job]],
        slots: int,
        logs: Path,
        may_begin: Callable[[Sequence[Job]], bool],
    ) -> Iterator[Finished]:
        heats: list[_Heat] = []
        try:
            while waiting or heats:
                heats = [heat for heat in heats if heat.now is not None]
                while waiting and len(heats) < slots:
                    asked = waiting.popleft()
                    some = affordable(asked, may_begin)
                    if not some:
                        waiting.clear()
                        break
                    if rest := asked[len(some) :]:
                        waiting.appendleft(rest)
                    # A row of its own order of turns: the same jobs take the same turns whenever they run.
                    heat = _Heat([], random.Random(some[0].key))
                    heats.append(heat)
                    for job in some:
                        heat.arms.append(self._start(job, logs))
                    self._pass_on(heat)
                if heats:
                    yield from self._listen(heats)
        finally:
            for heat in heats:
                for arm in heat.arms:
                    arm.end()

    def _start(self, job: Job, logs: Path) -> _Arm:
        settings = {name: value for name, value in job.settings.items() if name not in ("device", "dtype")}
        log = logs / job.key
        task = Task(
            suite=job.suite,
            settings=settings,
            recipe=job.recipe,
            seed=job.seed,
            device=job.settings["device"],
            dtype=job.settings["dtype"],
            shared=str(self.shared),
            log=str(log),
            threads=0 if job.serial else self.threads,
            memory=self.memory,
        )
        here, there = self.context.Pipe()
        process = self.context.Process(target=work_off, args=(task, there), daemon=True)
        process.start()
        there.close()
        return _Arm(job, log, process, here)

    def _pass_on(self, heat: _Heat) -> None:
        """Give the turn to the next row of a heat."""
        arm = heat.next()
        if arm is None:
            return
        if not arm.started:
            arm.started, arm.load = now(), self.load()
        arm.began = time.monotonic()
        with contextlib.suppress(OSError):  # it died before its turn; listening finds out
            arm.channel.send("go")

    def _listen(self, heats: list[_Heat]) -> Iterator[Finished]:
        """Wait until a row says something, dies or has had its time; pass the turns on."""
        running = {heat.now: heat for heat in heats if heat.now is not None}
        left = min(self.timeout - arm.seconds() for arm in running)
        heard = [one for arm in running for one in (arm.channel, arm.process.sentinel)]
        ready = wait(heard, timeout=min(max(0.0, left), LONGEST))
        for arm, heat in running.items():
            dead = arm.process.sentinel in ready
            if dead:
                arm.end()  # else what it started keeps the channel open
            if arm.channel.poll():
                try:
                    said = arm.channel.recv()
                except (EOFError, OSError):
                    arm.outcome = self._died(arm)
                else:
                    if said == PAUSED:
                        arm.rest()
                        self._pass_on(heat)
                        continue
                    arm.outcome = said
            elif dead:
                arm.outcome = self._died(arm)
            elif arm.seconds() >= self.timeout:
                arm.outcome = Outcome(status="timeout", reason=f"It had its turn for {self.timeout:g} s.")
            if arm.outcome is not None:
                arm.rest()
                arm.end()  # what has answered has nothing left to do
                arm.channel.close()
                heat.leave(arm)
                yield Finished(arm.job, arm.outcome, arm.started, arm.spent, arm.load)
                self._pass_on(heat)

    def _died(self, arm: _Arm) -> Outcome:
        """Say how a process ended that did not answer."""
        arm.process.join()
        code = arm.process.exitcode
        said = arm.log.read_text(errors="replace").strip().splitlines() if arm.log.exists() else []
        last = f" It last said: {said[-1][:300]}" if said else ""
        if code == -signal.SIGKILL:
            why = "Its process was killed by signal 9: the kernel ends so what takes too much memory."
            return Outcome(status="oom", reason=why)
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            return Outcome(status="error", reason=f"Its process crashed by {name}.{last}")
        return Outcome(
            status="error", reason=f"Its process ended with exit code {code} before it answered.{last}"
        )
