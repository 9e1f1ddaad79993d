"""Peak memory of a generation, by stages."""

from __future__ import annotations

import contextlib
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import torch

from vidgen.bench.stages import staged, synchronise
from vidgen.bench.suite import Suite
from vidgen.bench.work import Work
from vidgen.errors import ResultsError
from vidgen_suites.config import MemoryConfig

__all__ = ["Memory", "Peak"]

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peak:
    """The largest memory since `start`, in MB: of the accelerator, or resident (Linux).

    Args:
        device: Where the parts work.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def start(self) -> None:
        """Forget what was.

        Raises:
            ResultsError: Where the system keeps no peak that can be set back.
        """
        if self.device.type == "cuda":
            synchronise(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        try:
            CLEAR.write_text("5")
        except OSError as problem:
            raise ResultsError(
                f"Peak memory by stages needs Linux's /proc/self/clear_refs: {problem}."
            ) from problem

    def read(self) -> float:
        """Return the peak so far."""
        if self.device.type == "cuda":
            synchronise(self.device)
            return torch.cuda.max_memory_allocated(self.device) / 1e6
        found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
        assert found is not None
        return int(found[1]) * 1024 / 1e6


class Memory(Suite):
    """Watches one generation, the first: in a fresh process, its peaks are nobody else's."""

    config: MemoryConfig

    def measure(self, work: Work) -> None:
        """Measure the peak of every stage, what stood before, and parameters and bytes of the parts."""
        peak, stages = Peak(work.device), defaultdict[str, float](float)
        peak.start()
        base = peak.read()
        work.add("base", base, "MB", "less")
        pipe = work.pipe
        stages["load"] = peak.read()

        @contextlib.contextmanager
        def around(stage: str) -> Iterator[None]:
            stages["between"] = max(stages["between"], peak.read())
            peak.start()
            yield
            stages[stage] = max(stages[stage], peak.read())
            peak.start()

        with staged(pipe, around):
            pipe(self.config.prompt, seed=work.seed, fit="pad", show_progress=False)
        stages["between"] = max(stages["between"], peak.read())
        for stage in ("load", "text", "prepare", "denoise", "decode", "between"):
            work.add(stage, stages[stage], "MB", "less")
        work.add("peak", max(stages.values()), "MB", "less")
        work.add("added", max(stages.values()) - base, "MB", "less")
        if work.device.type == "cuda":
            work.add("reserved", torch.cuda.max_memory_reserved(work.device) / 1e6, "MB", "less")
        for kind, part in pipe.modules().items():
            tensors = list(part.parameters())
            word = kind.replace("_", " ")
            work.add(f"{word} parameters", sum(one.numel() for one in tensors) / 1e6, "M", "less")
            size = sum(one.numel() * one.element_size() for one in (*tensors, *part.buffers()))
            work.add(f"{word} weights", size / 1e6, "MB", "less")
