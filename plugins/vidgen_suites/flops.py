"""Floating-point operations of a generation, by stages, and the share of the machine's peak that they reach."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from vidgen.bench.stages import staged, synchronise
from vidgen.bench.suite import Suite
from vidgen.bench.work import Work
from vidgen.errors import ResultsError
from vidgen_suites.config import FlopsConfig

__all__ = ["Flops", "peak_rate"]

STAGES = ("text", "prepare", "denoise", "decode")


def attention(query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object) -> int:
    """Count the CPU's fused attention, which torch's counter does not know."""
    return sdpa_flop_count(query, key, value)


MAPPING = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}


def peak_rate(device: torch.device, dtype: torch.dtype, side: int, repeats: int) -> list[float]:
    """Return operations a second of a product of square matrices, one value a repeat."""
    left = torch.randn(side, side, device=device, dtype=dtype)
    found = []
    for number in range(repeats + 1):
        synchronise(device)
        begun = time.perf_counter()
        left @ left
        synchronise(device)
        if number:  # the first one warms up
            found.append(2 * side**3 / (time.perf_counter() - begun))
    return found


class Flops(Suite):
    """Counts one generation and times some more."""

    config: FlopsConfig

    def measure(self, work: Work) -> None:
        """Measure operations, the rate they run at, and the share of the peak, for every stage."""
        settings, pipe = self.config, work.pipe
        counts: defaultdict[str, float] = defaultdict(float)
        seconds: list[defaultdict[str, float]] = []
        calls = 0

        def generate() -> None:
            pipe(settings.prompt, seed=work.seed, fit="pad", show_progress=False)

        with FlopCounterMode(display=False, custom_mapping=MAPPING) as counter:

            @contextlib.contextmanager
            def count(stage: str) -> Iterator[None]:
                nonlocal calls
                before = counter.get_total_flops()
                yield
                counts[stage] += counter.get_total_flops() - before
                calls += stage == "denoise"

            with staged(pipe, count):
                generate()
            whole = counter.get_total_flops()
        if not calls or not whole:
            raise ResultsError("No operation was counted: the scheduler never called the denoiser.")

        @contextlib.contextmanager
        def clock(stage: str) -> Iterator[None]:
            synchronise(work.device)
            begun = time.perf_counter()
            yield
            synchronise(work.device)
            seconds[-1][stage] += time.perf_counter() - begun

        peaks: list[float] = []
        for _ in range(settings.repeats):
            work.pause()
            seconds.append(defaultdict(float))
            with staged(pipe, clock):
                generate()
            peaks.append(max(peak_rate(work.device, pipe.dtype, settings.matrix, 3)))
        work.add("peak", [one / 1e9 for one in peaks], "GFLOP/s")
        work.add("total", whole / 1e9, "GFLOP", "less")
        work.add("evaluation", counts["denoise"] / calls / 1e9, "GFLOP", "less")
        work.add("evaluations", calls, "", "less")
        for stage in STAGES:
            work.add(stage, counts[stage] / 1e9, "GFLOP", "less")
        for stage in ("denoise", "decode"):
            rates = [counts[stage] / one[stage] for one in seconds]
            work.add(f"{stage} rate", [rate / 1e9 for rate in rates], "GFLOP/s", "more")
            shares = [100 * rate / top for rate, top in zip(rates, peaks, strict=True)]
            work.add(f"{stage} share of peak", shares, "%", "more")
