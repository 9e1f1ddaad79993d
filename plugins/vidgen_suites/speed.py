"""Seconds of a generation, whole and by stages."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor

from vidgen.bench.stages import staged, synchronise
from vidgen.bench.suite import Suite
from vidgen.bench.work import Work
from vidgen.errors import VideoError
from vidgen_suites.config import SpeedConfig

__all__ = ["Speed"]

BRIEF = 0.1
"""Generations of fewer seconds have another before them in every turn, which is not timed."""


class Clock:
    """Seconds by stage, and of each step.

    Args:
        device: Waited for at every look.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stages: defaultdict[str, float] = defaultdict(float)
        self.steps: list[float] = []
        self.last: float | None = None

    def now(self) -> float:
        """Return the time once the device is done."""
        synchronise(self.device)
        return time.perf_counter()

    @contextlib.contextmanager
    def around(self, stage: str) -> Iterator[None]:
        """Time a stage; the first evaluation begins the first step."""
        begun = self.now()
        if stage == "denoise" and self.last is None:
            self.last = begun
        yield
        self.stages[stage] += self.now() - begun

    def step(self, _: int, latents: Tensor) -> None:
        """Note the end of a step."""
        now = self.now()
        self.steps.append(now - (now if self.last is None else self.last))
        self.last = now
        if not torch.isfinite(latents).all():
            raise VideoError("The latents hold NaN or infinite values.")
        self.last = self.now()  # looking is not part of the next step


class Speed(Suite):
    """Times whole generations; other rows have their turn between two of them."""

    config: SpeedConfig

    def measure(self, work: Work) -> None:
        """Measure loading, the first generation, and the stages of those after the warm-up."""
        settings, begun = self.config, time.perf_counter()
        pipe = work.pipe
        work.add("load", time.perf_counter() - begun, unit="s", better="less")
        video = torch.rand(1, 3, *pipe.autoencoder.latent.padded(work.sampling.size), device=work.device)
        video = (2 * video - 1).to(pipe.dtype)
        samples: defaultdict[str, list[float]] = defaultdict(list)
        steps: list[float] = []
        total = BRIEF
        for number in range(settings.warmup + settings.repeats):
            work.pause()
            if total < BRIEF:  # caches and threads are still the last row's
                pipe(settings.prompt, seed=work.seed, fit="pad", show_progress=False)
            clock = Clock(work.device)
            begun, busy = clock.now(), time.process_time()
            with staged(pipe, clock.around):
                pipe(settings.prompt, seed=work.seed, fit="pad", on_step=clock.step, show_progress=False)
            total, busy = clock.now() - begun, time.process_time() - busy
            begun = clock.now()
            with torch.inference_mode():
                pipe.autoencoder.encode(video)
            encode = clock.now() - begun
            if number == 0:
                work.add("first", total, unit="s", better="less")
            if number < settings.warmup:
                continue
            steps += clock.steps
            for stage in ("text", "prepare", "decode"):
                samples[stage].append(clock.stages[stage])
            samples["solver"].append(max(0.0, sum(clock.steps) - clock.stages["denoise"]))
            samples["encode"].append(encode)
            samples["total"].append(total)
            samples["busy"].append(busy / total)
        work.add("step", steps, unit="s", better="less")
        for name in ("text", "prepare", "solver", "decode", "encode", "total"):
            work.add(name, samples[name], unit="s", better="less")
        sampling = work.sampling
        work.add(
            "pace",
            [sampling.frames / sampling.fps / total for total in samples["total"]],
            "video s/s",
            "more",
        )
        work.add("busy", samples["busy"], "cores")
