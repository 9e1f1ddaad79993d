"""Ancestral sampling (DDPM, arXiv 2006.11239; eta as in DDIM, 2010.02502) for any alpha and sigma."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vidgen.interfaces.scheduler import Denoise, OnStep, TimeGrid, draw_noise
from vidgen_solvers.config import AncestralConfig
from vidgen_solvers.solver import Solver, steps_of

__all__ = ["Ancestral"]


class Ancestral(Solver):
    """Stochastic, first order, one evaluation a step."""

    config: AncestralConfig

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
            # The part of the next noise that the exact backward step keeps; the rest is drawn anew.
            kept = step.kept * step.next_sigma / step.sigma
            drawn = self.config.eta * step.next_sigma * math.sqrt(max(0.0, 1 - kept**2))
            held = math.sqrt(max(0.0, step.next_sigma**2 - drawn**2)) / step.sigma
            x = step.next_alpha * clean + held * (x - step.alpha * clean)
            if drawn > 0:
                x = x + drawn * draw_noise(x, generators)
            if on_step is not None:
                on_step(step.index, x)
        return x
