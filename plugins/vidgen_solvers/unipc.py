"""UniPC, arXiv 2302.04867: a multistep predictor, and a corrector that costs no further evaluation.

The clean estimate is a polynomial in log-SNR through its latest values, integrated exactly against the
exponential. With a single difference the weight is 1/2 (the paper's B2, or B1 as an option), so the predictor of order
2 is DPM-Solver++(2M).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vidgen.interfaces.scheduler import Denoise, OnStep, TimeGrid
from vidgen_solvers.config import UniPCConfig
from vidgen_solvers.solver import Solver, Step, steps_of

__all__ = ["UniPC"]

Node = tuple[float, Tensor]
"""A log-SNR and the clean estimate there."""


class UniPC(Solver):
    """Predictor and corrector, one evaluation a step."""

    config: UniPCConfig

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
        before: tuple[Tensor, Step] | None = None
        for step in steps_of(grid):
            node = (step.log_snr, denoise(x, step.t))
            if before is not None and step.index - 1 not in self.config.uncorrected:
                x = self._advance(*before, [*nodes, node])
            reads = (
                min(self.config.order, grid.steps - step.index)
                if self.config.lower_final
                else self.config.order
            )
            nodes = [node, *nodes][:reads]
            before = (x, step)
            x = self._advance(x, step, nodes)
            if on_step is not None:
                on_step(step.index, x)
        return x

    def _advance(self, x: Tensor, step: Step, nodes: list[Node]) -> Tensor:
        """Return x at the end of a step by the polynomial through nodes; the first is its beginning."""
        (here, clean), *others = nodes
        others = [(place, value) for place, value in others if math.isfinite(place)]
        result = step.move(x, clean)
        if not others or not math.isfinite(step.length):
            return result
        places = [(place - here) / step.length for place, _ in others]
        single = step.length if self.config.rule == "bh1" else -math.expm1(-step.length)
        weights = [single / 2 / places[0]] if len(places) == 1 else _weights(places, step.length)
        for weight, (_, value) in zip(weights, others, strict=True):
            result = result + step.next_alpha * weight * (value - clean)
        return result


def _weights(places: list[float], length: float) -> list[float]:
    """Return the weights of the differences at places, in units of the step from its beginning.

    They make ``sum_j w_j s_j^k`` the integral of ``h exp(-h (1 - s)) s^k`` over the step, k = 1, 2, ...
    """
    moments = [_moment(k, length) for k in range(1, len(places) + 1)]
    powers = torch.tensor([[s**k for s in places] for k in range(1, len(places) + 1)], dtype=torch.float64)
    return torch.linalg.solve(powers, torch.tensor(moments, dtype=torch.float64)).tolist()


def _moment(k: int, h: float) -> float:
    """Return the integral of ``h exp(-h (1 - s)) s^k`` over 0..1, by a series of positive terms."""
    term, total, n = h * math.exp(-h), 0.0, 0
    while n < h or term > 1e-18 * total:
        total += term / (n + k + 1)
        n += 1
        term *= h / n
    return total
