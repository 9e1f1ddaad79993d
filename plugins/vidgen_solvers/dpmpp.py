"""DPM-Solver++(2M), arXiv 2211.01095: the clean estimate is extrapolated linearly in log-SNR."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vidgen.interfaces.scheduler import Denoise, OnStep, TimeGrid
from vidgen_solvers.solver import Solver, steps_of

__all__ = ["DPMpp2M"]


class DPMpp2M(Solver):
    """Second order, one evaluation a step."""

    def solve(
        self,
        denoise: Denoise,
        x: Tensor,
        grid: TimeGrid,
        *,
        generators: Sequence[torch.Generator] | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Carry x along the grid; see `vidgen.Scheduler.solve`."""
        before: Tensor | None = None
        length_before = math.inf
        for step in steps_of(grid):
            clean = denoise(x, step.t)
            middle = clean
            if before is not None and math.isfinite(step.length):
                # The estimate in the middle of the step; after a first step from pure noise the factor is 0.
                middle = clean + step.length / (2 * length_before) * (clean - before)
            x = step.move(x, middle)
            before, length_before = clean, step.length
            if on_step is not None:
                on_step(step.index, x)
        return x
