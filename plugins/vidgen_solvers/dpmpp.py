"""DPM-Solver++(2M), arXiv 2211.01095: the clean estimate is extrapolated linearly in log-SNR.

As options what published samplers do beside it: three estimates, another rule, lower orders at the end, and noise drawn
on the way (SDE-DPM-Solver++).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vidgen.interfaces.scheduler import Denoise, OnStep, TimeGrid
from vidgen_solvers.config import DPMpp2MConfig
from vidgen_solvers.solver import Solver, steps_of

__all__ = ["DPMpp2M"]

Node = tuple[float, Tensor]
"""A log-SNR and the clean estimate there."""


class DPMpp2M(Solver):
    """Second order, one evaluation a step."""

    config: DPMpp2MConfig

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
        nodes: list[Node] = []
        for step in steps_of(grid):
            nodes = [(step.log_snr, denoise(x, step.t)), *nodes][: self._reads(step.index, grid.steps)]
            clean = self._average(nodes, step.length)
            x = (
                step.renew(x, clean, generators, eta=self.config.eta)
                if self.config.eta
                else step.move(x, clean)
            )
            if on_step is not None:
                on_step(step.index, x)
        return x

    def _reads(self, index: int, steps: int) -> int:
        """Return how many estimates a step may read."""
        c, left = self.config, steps - index
        if c.lower_final and steps < 15:
            return min(c.order, left)
        return 1 if c.first_final and left == 1 else c.order

    def _average(self, nodes: list[Node], length: float) -> Tensor:
        """Return the clean estimate that, held over a step, stands for the line or parabola through the nodes."""
        (here, clean), *others = nodes
        others = [node for node in others if math.isfinite(node[0])]
        if not others or not math.isfinite(length):
            return clean
        whole = -math.expm1(-length)
        # The integrals of s and s^2 against the exponential over the step, relative to that of 1.
        first = (1 - whole / length) / whole
        second = (1 - 2 * (length - whole) / length**2) / whole
        place, value = others[0]
        slope = (value - clean) * (length / (place - here))
        if len(others) == 1:
            return clean + slope * (0.5 if self.config.rule == "midpoint" else first)
        farther, oldest = others[1]
        bend = (slope - (oldest - value) * (length / (farther - place))) * (length / (here - farther))
        slope = slope + bend * ((here - place) / length)
        return clean + first * slope + second / 2 * bend
