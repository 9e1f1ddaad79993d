"""One combination in a process of its own: told what to measure, it answers once, or dies and harms nobody."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing import connection, current_process, parent_process
from pathlib import Path
from typing import Any

from vidgen.bench.store import Artefact, Measure, RowStatus
from vidgen.errors import ContractError, SizeError, VidgenError

__all__ = ["PAUSED", "Outcome", "Task", "perform", "work_off"]

PAUSED = "paused"
"""What a worker sends between two repeats; it goes on when it is sent anything."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What a worker is told: plain data alone.

    Attributes:
        suite: Name of the suite.
        settings: Its fields.
        recipe: The parts that it reads, and sampling.
        seed: Of everything random.
        device: Where the parts work.
        dtype: Of their weights.
        shared: Folder for what rows share.
        log: File for what is printed.
        threads: Threads of torch; 0 as they are.
        memory: Largest address space in bytes; 0 for any.
    """

    suite: str
    settings: Mapping[str, Any]
    recipe: Mapping[str, Any]
    seed: int
    device: str
    dtype: str
    shared: str
    log: str
    threads: int = 0
    memory: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a worker answers."""

    status: RowStatus
    reason: str = ""
    measures: tuple[Measure, ...] = ()
    artefacts: tuple[Artefact, ...] = ()
    machine: Mapping[str, Any] = field(default_factory=dict)


def work_off(task: Task, channel: connection.Connection) -> None:
    """Run a task and send its outcome: the main function of a worker's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, which ends us
    os.setsid()  # what we start is ended with us, as one group
    _die_with_parent()
    current_process().daemon = False  # so that a suite may have workers
    try:
        _print_to(task.log)
    except FileNotFoundError:  # the run is over already
        os._exit(1)
    _be_the_first_to_go()

    def pause() -> None:
        channel.send(PAUSED)
        channel.recv()

    channel.recv()
    channel.send(perform(task, pause))
    channel.close()
    # Threads and caches of whatever was loaded need not be taken down in order.
    os._exit(0)


def perform(task: Task, pause: Any = lambda: None) -> Outcome:
    """Run a task in this process; whatever is raised becomes a status with a reason."""
    begun = time.process_time(), time.perf_counter()
    try:
        import torch

        from vidgen.bench.work import Work
        from vidgen.creation import create

        if task.memory:
            _limit(task.memory)
        if task.threads:
            torch.set_num_threads(task.threads)
        work = Work(
            task.recipe,
            seed=task.seed,
            device=task.device,
            dtype=task.dtype,
            shared=Path(task.shared),
            pause=pause,
        )
        create("suite", task.suite, config=dict(task.settings)).measure(work)
        machine = {"threads": torch.get_num_threads(), "device": str(work.device)}
        if work.device.type == "cuda":
            machine["accelerator"] = torch.cuda.get_device_name(work.device)
        spent = time.process_time() - begun[0], time.perf_counter() - begun[1]
        machine["cpu seconds"], machine["wall seconds"] = (round(one, 3) for one in spent)
        return Outcome(
            status="ok",
            measures=tuple(work.measures.values()),
            artefacts=tuple(work.artefacts.values()),
            machine=machine,
        )
    except (Exception, SystemExit) as problem:
        return Outcome(status=status_of(problem), reason=reason_of(problem))


def status_of(problem: BaseException) -> RowStatus:
    """Return what an exception makes of a row."""
    if isinstance(problem, (ContractError, SizeError)):
        return "incompatible"
    text = f"{type(problem).__name__}: {problem}".lower()
    short = ("outofmemory", "out of memory", "can't allocate memory", "cannot allocate memory")
    return "oom" if isinstance(problem, MemoryError) or any(words in text for words in short) else "error"


def reason_of(problem: BaseException) -> str:
    """Return an exception in one line, with its kind where its text alone says too little."""
    text = " ".join(str(problem).split()).encode("utf-8", "backslashreplace").decode()
    known = isinstance(problem, VidgenError) and text
    return (text if known else f"{type(problem).__name__}: {text}")[:500]


def _die_with_parent() -> None:
    """End, with all that we started, when the process that reads our answer does, even by kill -9."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        connection.wait([parent.sentinel])
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _print_to(log: str) -> None:
    """Send all that is printed, by native code too, to a file."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(file, stream)
    os.close(file)


def _be_the_first_to_go() -> None:
    """Let the kernel, when memory runs out, end us before anybody else (Linux)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _limit(memory: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
