"""Ancestral sampling (DDPM, arXiv 2006.11239; eta as in DDIM, 2010.02502) for any alpha and sigma."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vidgen.interfaces.scheduler import Denoise, OnStep, TimeGrid
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
            x = step.renew(x, clean, generators, eta=self.config.eta, fresh=self.config.fresh)
            if on_step is not None:
                on_step(step.index, x)
        return x
