"""Heun's method in the form that stays finite from pure noise to clean.

With ``X = x / (alpha + sigma)`` and ``u = sigma / (alpha + sigma)`` every process is the straight one:
``dX / du = (X - D) / u``, the noise estimate less the clean estimate. Heun's step takes the mean of that
slope at both ends of the step. (The mean of D alone is of the same order, but less accurate.) The same equation holds
for ``X = x / alpha`` and ``u = sigma / alpha``, where EDM's sampler (arXiv 2206.00364) takes the mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vidgen.interfaces.scheduler import Denoise, OnStep, TimeGrid
from vidgen_solvers.config import HeunConfig
from vidgen_solvers.solver import Solver, steps_of

__all__ = ["Heun"]


class Heun(Solver):
    """Second order, two evaluations a step (one for a last step to clean)."""

    config: HeunConfig

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
            clean = denoise(x, step.t)
            moved = step.move(x, clean)
            if step.next_sigma > 0:
                ratio = self.config.space == "ratio" and step.alpha > 0
                scale, next_scale = (
                    alpha if ratio else alpha + sigma
                    for alpha, sigma in ((step.alpha, step.sigma), (step.next_alpha, step.next_sigma))
                )
                u, next_u = step.sigma / scale, step.next_sigma / next_scale
                slope = (x / scale - clean) / u
                next_slope = (moved / next_scale - denoise(moved, step.next_t)) / next_u
                moved = moved + next_scale * (next_u - u) / 2 * (next_slope - slope)
            x = moved
            if on_step is not None:
                on_step(step.index, x)
        return x
