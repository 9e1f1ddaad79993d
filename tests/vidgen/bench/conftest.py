"""A stranger's suite whose rows fail in every way there is, and a run of it in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stranger import install

FAULTY = """
import os, signal, time
import vidgen
from vidgen.config import config
from vidgen.hookspecs import hookimpl
from vidgen.bench.suite import Suite, SuiteConfig

@config
class FaultyConfig(SuiteConfig):
    READS = ("scheduler",)
    GUESS = 0.1
    faults: tuple[str, ...] = ()
    seconds: float = 0.0

class Faulty(Suite):
    def measure(self, work):
        time.sleep(self.config.seconds)
        work.pause()
        getattr(self, self.config.faults[work.seed] if self.config.faults else "fine")(work)

    def fine(self, work):
        work.add("seed", work.seed)
        work.add("process", os.getpid())
        work.keep("note.txt", "text/plain", b"fine")

    def crash(self, work):
        print("about to crash", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)

    def killed(self, work):
        os.kill(os.getpid(), signal.SIGKILL)

    def leaves(self, work):
        os._exit(3)

    def hangs(self, work):
        time.sleep(60)

    def nan(self, work):
        work.add("loss", float("nan"))

    def worse(self, work):
        work.add("loss", 1.0, "s", "lower")

    def unnamed(self, work):
        work.keep(None, "text/plain", b"")

    def endless(self, work):
        work.add("loss", 1.0, low=float("-inf"))

    def odd(self, work):
        raise ValueError("no " + chr(0xDCE9))

    def orphans(self, work):
        if os.fork() == 0:
            time.sleep(30)
        os._exit(3)

    def starts(self, work):
        import multiprocessing, subprocess
        helper = multiprocessing.Process(target=time.sleep, args=(0,))
        helper.start()
        helper.join()
        work.add("helper", helper.exitcode)
        work.add("child", subprocess.Popen(["sleep", "60"]).pid)

    def raises(self, work):
        raise ValueError("no good")

    def misfits(self, work):
        raise vidgen.errors.SizeError("too large")

    def greedy(self, work):
        bytearray(1 << 50)

    def hoards(self, work):
        work.add("kept", len(bytearray(8 << 30)))  # zeros that nobody touches: room for them is all it takes

    def hoards_tensors(self, work):
        import torch
        work.add("kept", torch.empty(8 << 30, dtype=torch.uint8).numel())

@config
class TurnsConfig(FaultyConfig):
    SERIAL = True

class Turns(Suite):
    def measure(self, work):
        at = []
        for turn in range(3):
            work.pause()
            if self.config.faults and turn == 1:
                getattr(Faulty, self.config.faults[work.seed])(self, work)
            at.append(time.monotonic())
            time.sleep(0.05)
        work.add("at", at)

    def goes_on(self, work):
        pass

Faulty.goes_on = Turns.goes_on

@hookimpl
def vidgen_components():
    return [vidgen.ComponentSpec(kind="suite", name="turns", target="faulty_module:Turns", config=TurnsConfig,
                                 summary="Takes turns."),
            vidgen.ComponentSpec(kind="suite", name="faulty", target="faulty_module:Faulty", config=FaultyConfig,
                                 summary="Fails as it is told.")]
"""


@pytest.fixture(scope="session")
def stranger(tmp_path_factory) -> Path:
    """A folder for Python's path that holds the suite ``faulty``."""
    folder = tmp_path_factory.mktemp("stranger")
    install(folder, FAULTY, name="faulty", distribution="faulty")
    return folder


@pytest.fixture
def start(stranger, tmp_path):
    """Begin ``vidgen bench`` with the suite in a process of its own; returns it."""

    def begin(*words: object, start_new_session: bool = False, **more: str) -> subprocess.Popen:
        paths = os.pathsep.join([str(stranger), *filter(None, [more.pop("path", "")])])
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths, **more}
        command = [sys.executable, "-m", "vidgen", "bench", *map(str, words)]
        return subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=start_new_session,
        )

    return begin


@pytest.fixture
def bench(start):
    """Run ``vidgen bench`` to its end; returns its stdout."""

    def run(*words: object, **more: str) -> str:
        process = start(*words, **more)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        return out

    return run


@pytest.fixture
def foresee(bench):
    """Return what ``--dry-run`` says, as data."""
    return lambda *words, **more: json.loads(bench(*words, "--dry-run", "--json", **more))
