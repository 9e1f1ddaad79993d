"""The grids: which times a solver evaluates.

Sources: EDM (arXiv 2206.00364, Karras spacing), Stable Diffusion 3 (2403.03206, shift), FLUX.1's
sampler (dynamic shift), Movie Gen (2410.13720, linear-quadratic).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from vidgen.errors import ConfigError
from vidgen.process import Process
from vidgen_solvers.grid_config import (
    KarrasGridConfig,
    LinearQuadraticGridConfig,
    ShiftedGridConfig,
    UniformGridConfig,
)
from vidgen_solvers.spacing import spaced

__all__ = ["KarrasGrid", "LinearQuadraticGrid", "ShiftedGrid", "UniformGrid"]


class UniformGrid:
    """Times at equal distances."""

    def __init__(self, config: UniformGridConfig) -> None:
        self.config = config

    def __call__(
        self, process: Process, steps: int, *, start: float, end: float, tokens: int | None
    ) -> Tensor:
        """Return the times; see `vidgen.interfaces.scheduler.Grid`."""
        return torch.linspace(start, end, steps + 1, dtype=torch.float64)


class KarrasGrid:
    """Times at equal distances in ``(sigma / alpha)^(1 / rho)``.

    The ratio is infinite at pure noise and 0 when clean, so the spacing keeps to finite bounds, and the
    first and last time themselves stand in for what lies outside.
    """

    def __init__(self, config: KarrasGridConfig) -> None:
        self.config = config

    def __call__(
        self, process: Process, steps: int, *, start: float, end: float, tokens: int | None
    ) -> Tensor:
        """Return the times; see `vidgen.interfaces.scheduler.Grid`."""
        low, high = self._bounds(process, start, end)
        clean_end = process.log_snr(end).isposinf()
        ramp = torch.linspace(0, 1, steps if clean_end else steps + 1, dtype=torch.float64)
        power = 1 / self.config.rho
        ratio = (high**power + ramp * (low**power - high**power)) ** self.config.rho
        t = process.time_of_log_snr(-ratio.log())
        t = torch.cat((t, t.new_tensor([end]))) if clean_end else t
        t[0], t[-1] = start, end
        return t

    def _bounds(self, process: Process, start: float, end: float) -> tuple[float, float]:
        """Return finite ratios to space between; the factors 10 keep them apart in any case."""
        low, high = (math.exp(-float(process.log_snr(t))) for t in (end, start))
        if math.isinf(high):
            high = max(self.config.sigma_max, 10 * low)
        if low == 0:
            low = min(self.config.sigma_min, high / 10)
        return low, high


class ShiftedGrid:
    """Uniform times moved towards noise, ``t' = s t / (1 + (s - 1) t)``, as flow samplers have them."""

    def __init__(self, config: ShiftedGridConfig) -> None:
        self.config = config

    def __call__(
        self, process: Process, steps: int, *, start: float, end: float, tokens: int | None
    ) -> Tensor:
        """Return the times; see `vidgen.interfaces.scheduler.Grid`.

        Raises:
            ConfigError: When the shift depends on the tokens and nobody said how many there are.
        """
        c, shift = self.config, self.shift(tokens)
        # The inverse of a shift by s is a shift by 1 / s.
        high, low = min(c.first, _shifted(start, 1 / shift)), max(c.last, _shifted(end, 1 / shift))
        gaps = max(steps - 1, 1) if c.reach and c.last == low else steps
        t = _shifted(high + torch.arange(steps, dtype=torch.float64) * ((low - high) / gaps), shift)
        if high < c.first or c.first == 1:
            t[0] = start
        if c.terminal and steps > 1:
            t = 1 - (1 - t) * ((1 - c.terminal) / (1 - t[-1]))
        if c.respaced != "no":
            t = spaced(c.respaced, float(t[0]), float(t[-1]), steps)
        t[0] = min(float(t[0]), 1 - c.below_one)
        return torch.cat((t, t.new_tensor([end])))

    def shift(self, tokens: int | None) -> float:
        """Return the factor for a number of tokens."""
        c = self.config
        if not c.dynamic:
            return c.shift
        if tokens is None:
            raise ConfigError(
                "A dynamic shift needs the number of tokens; give tokens=, or set dynamic=False."
            )
        part = (tokens - c.base_tokens) / (c.max_tokens - c.base_tokens)
        mean = c.base_shift + part * (c.max_shift - c.base_shift)
        return math.exp(mean) if c.growth == "exponential" else mean


class LinearQuadraticGrid:
    """A linear head of small steps, then a quadratic tail that continues its slope."""

    def __init__(self, config: LinearQuadraticGridConfig) -> None:
        self.config = config

    def __call__(
        self, process: Process, steps: int, *, start: float, end: float, tokens: int | None
    ) -> Tensor:
        """Return the times; see `vidgen.interfaces.scheduler.Grid`."""
        head = max(1, int(self.config.head * steps))
        slope = self.config.reach / head
        tail = max(1, steps - head)
        bend = (1 - self.config.reach - slope * tail) / tail**2
        step = torch.arange(steps + 1, dtype=torch.float64)
        way = slope * step + bend * (step - head).clamp(min=0) ** 2
        t = start + (end - start) * way
        t[0], t[-1] = start, end
        return t


def _shifted(t: Any, shift: float) -> Any:
    return shift * t / (1 + (shift - 1) * t)
