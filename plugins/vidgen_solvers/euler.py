"""Euler's step in the clean estimate.

On a variance-preserving process it is DDIM (arXiv 2010.02502), on a straight one the Euler step of
rectified flow (2209.03003).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vidgen.interfaces.scheduler import Denoise, OnStep, TimeGrid
from vidgen_solvers.solver import Solver, steps_of

__all__ = ["Euler"]


class Euler(Solver):
    """First order, one evaluation a step."""

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
        for step in steps_of(grid):
            x = step.move(x, denoise(x, step.t))
            if on_step is not None:
                on_step(step.index, x)
        return x
