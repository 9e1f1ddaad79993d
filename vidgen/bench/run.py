"""A plan worked off into a file of results: what is there already is kept, the rest is done. No torch here."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from vidgen.bench.engine import Finished, LocalEngine
from vidgen.bench.locks import locked
from vidgen.bench.machine import commit, load, machine, versions
from vidgen.bench.plan import Job, Plan, expected_seconds, read_span
from vidgen.bench.store import Row, RowStatus, Store
from vidgen.bench.worker import reason_of
from vidgen.errors import ResultsError
from vidgen.progress import progress

__all__ = ["ENGINES", "Engine", "Summary", "local_engine", "ray_engine", "run_plan"]

MayBegin = Callable[[Sequence[Job]], bool]


class Engine(Protocol):
    """What works jobs off: on this machine, or on several."""

    def run(self, jobs: Iterable[Job], may_begin: MayBegin) -> Generator[Finished]:
        """Yield rows as they are done, in any order; begin none once `may_begin` says no."""
        ...


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run came to.

    Attributes:
        kept: Rows of the plan that were there before.
        made: Rows by status that were added.
        left: Rows that are still to be done.
        seconds: How long it took.
        measured: Seconds of the added rows' own processes together.
    """

    kept: int
    made: Counter[str]
    left: int
    seconds: float
    measured: float


def local_engine(plan: Plan, path: Path) -> LocalEngine:
    """Return the engine that a plan's ``[run]`` asks for; what rows share stands beside the results."""
    run = plan.run
    return LocalEngine(
        path.with_name(f"{path.name}.shared"),
        jobs=run.jobs,
        arms=run.arms,
        timeout=read_span(run.timeout),
        memory=int(run.memory * 1e9),
        load=load,
    )


def ray_engine(plan: Plan, path: Path) -> Engine:
    """Return the engine that works a plan off on a Ray cluster.

    Raises:
        MissingDependencyError: Without Ray.
    """
    from vidgen.bench.cluster import RayEngine

    run = plan.run
    return RayEngine(
        path.with_name(f"{path.name}.shared"),
        address=run.address,
        jobs=run.jobs,
        arms=run.arms,
        timeout=read_span(run.timeout),
        memory=int(run.memory * 1e9),
    )


ENGINES: Mapping[str, Callable[[Plan, Path], Engine]] = {"local": local_engine, "ray": ray_engine}
"""What makes an engine, by the name in a plan's ``[run]``."""


def run_plan(
    plan: Plan,
    path: str | Path,
    *,
    jobs: Sequence[Job] | None = None,
    engine: Engine | None = None,
    retry: Collection[RowStatus] = (),
    show: bool | None = None,
) -> Summary:
    """Measure what a plan names and is not in the file yet.

    Args:
        plan: What to measure.
        path: The file of results; made if it is not there.
        jobs: The plan's jobs, where they are known already.
        engine: What works them off; None takes the plan's ``run.engine``.
        retry: Rows of these statuses are measured again.
        show: None shows a bar on a terminal.

    Raises:
        ResultsError: When the file is none of results, or another run writes it.
    """
    # Links lead to one file, which one run at a time writes.
    path, begun = Path(os.path.realpath(path)), time.monotonic()
    jobs = plan.jobs() if jobs is None else jobs
    with Store(path) as store, _alone(path):
        store.add_plan(plan.to_dict())
        there = store.statuses()
        missing = [job for job in jobs if there.get(job.key) in (None, *retry)]
        around: dict[str, Any] = {"machine": machine(), "versions": versions(), "git_commit": commit()}
        settled = [job for job in missing if job.status != "ok"]
        rows = [
            Row(
                key=job.key,
                suite=job.suite,
                parts=job.parts,
                status=job.status,
                reason=job.reason,
                recipe=job.recipe,
                settings=job.settings,
                seed=job.seed,
                load=load(),
                **around,
            )
            for job in settled
        ]
        store.add(rows, replace=True)
        made: Counter[str] = Counter(job.status for job in settled)
        todo, measured = [job for job in missing if job.status == "ok"], 0.0
        if todo:
            chosen = engine or ENGINES[plan.run.engine](plan, path)
            run = chosen.run(todo, _within(plan, begun, store))
            with progress("measuring", len(todo), show=show) as advance, contextlib.closing(run):
                for done in run:
                    made[_write(store, _row(done, around))] += 1
                    measured += done.seconds
                    advance(1, **{name: count for name, count in made.items() if name != "incompatible"})
    left = len(missing) - made.total()
    return Summary(len(jobs) - len(missing), made, left, time.monotonic() - begun, measured)


def _row(done: Finished, around: Mapping[str, Any]) -> Row:
    job, outcome, around = done.job, done.outcome, {**around, **done.around}
    return Row(
        key=job.key,
        suite=job.suite,
        parts=job.parts,
        status=outcome.status,
        reason=outcome.reason,
        recipe=job.recipe,
        settings=job.settings,
        seed=job.seed,
        started=done.started,
        seconds=done.seconds,
        load=done.load,
        measures=outcome.measures,
        artefacts=outcome.artefacts,
        **{**around, "machine": {**around["machine"], **outcome.machine}},
    )


def _write(store: Store, row: Row) -> RowStatus:
    """Write a row in the place of an older one; what SQLite does not take of it becomes an error. Return its status."""
    try:
        store.add([row], replace=True)
    except ResultsError:  # of the file, not of the row
        raise
    except (sqlite3.Error, ValueError, OverflowError) as problem:
        row = replace(row, status="error", reason=reason_of(problem), measures=(), artefacts=())
        store.add([row], replace=True)
    return row.status


def _within(plan: Plan, begun: float, store: Store) -> MayBegin:
    """Return what says whether rows can be expected to end within the plan's time."""
    if not plan.run.time:
        return lambda _: True
    end = begun + read_span(plan.run.time)
    return lambda jobs: time.monotonic() + expected_seconds(jobs, store.seconds()) <= end


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other runs from the same file; a run that was killed keeps nobody."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(path.with_name(f"{path.name}.lock"), wait=False))
        except BlockingIOError:
            raise ResultsError(f"Another run writes {path}; wait for it, or take another file.") from None
        yield
