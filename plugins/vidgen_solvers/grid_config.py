"""Configurations of the grids. No torch here."""

from __future__ import annotations

from typing import Literal

from vidgen.config import Config, config, require

__all__ = [
    "KarrasGridConfig",
    "LinearQuadraticGridConfig",
    "ShiftedGridConfig",
    "TableGridConfig",
    "UniformGridConfig",
]

BELOW_ONE = 17 * 2**-24
"""How far below 1 published UniPC keeps a flow's first time: 1e-6, as float32 has it."""


@config
class UniformGridConfig(Config):
    """Settings of the uniform grid: none."""


@config
class KarrasGridConfig(Config):
    """Settings of the grid of EDM.

    Attributes:
        rho: Exponent; larger values put more steps where it is nearly clean.
        sigma_max: Ratio sigma / alpha at which the spacing begins where the first time is pure noise.
        sigma_min: Ratio at which the spacing ends before a clean last time.
    """

    rho: float = 7.0
    sigma_max: float = 80.0
    sigma_min: float = 0.002

    def validate(self) -> None:
        """Check the ranges."""
        require(self.rho > 0, f"KarrasGridConfig.rho must be positive, not {self.rho}.")
        require(0 < self.sigma_min < self.sigma_max, "KarrasGridConfig wants 0 < sigma_min < sigma_max.")


@config
class ShiftedGridConfig(Config):
    """Settings of the shifted grid: even times, then ``t' = s t / (1 + (s - 1) t)``.

    The fields from `first` on describe what published flow samplers do beside the shift.

    Attributes:
        shift: The factor s; above 1 puts more steps where it is noisy.
        dynamic: Let s follow from m, which grows linearly with the tokens of the sample.
        base_shift: m at `base_tokens`.
        max_shift: m at `max_tokens`.
        base_tokens: Tokens of a small sample.
        max_tokens: Tokens of a large sample; beyond it the line goes on.
        growth: s is ``exp(m)``, or m itself.
        first: Largest even time, before the shift.
        last: Smallest one.
        reach: Whether `last` is one of the times before the end, or would be the next.
        terminal: Stretch the shifted times towards 1 until the last before the end is this one; 0 for as they are.
        respaced: Keep the largest and the smallest time alone, and place the others between them as `spaced` does.
        below_one: How far below 1 the times keep.
    """

    shift: float = 3.0
    dynamic: bool = False
    base_shift: float = 0.5
    max_shift: float = 1.15
    base_tokens: int = 256
    max_tokens: int = 4096
    growth: Literal["exponential", "linear"] = "exponential"
    first: float = 1.0
    last: float = 0.0
    reach: bool = False
    terminal: float = 0.0
    respaced: Literal["no", "karras", "exponential", "beta"] = "no"
    below_one: float = 0.0

    def validate(self) -> None:
        """Check the ranges."""
        require(self.shift > 0, f"ShiftedGridConfig.shift must be positive, not {self.shift}.")
        require(
            0 < self.base_tokens < self.max_tokens, "ShiftedGridConfig wants 0 < base_tokens < max_tokens."
        )
        require(0 <= self.last < self.first <= 1, "ShiftedGridConfig wants 0 <= last < first <= 1.")
        require(not self.reach or self.last > 0, "ShiftedGridConfig.reach needs a last time above 0.")
        for name in ("terminal", "below_one"):
            require(0 <= getattr(self, name) < 1, f"ShiftedGridConfig.{name} must be at least 0, below 1.")


@config
class LinearQuadraticGridConfig(Config):
    """Settings of the linear-quadratic grid.

    Attributes:
        head: Part of the steps that are small and equal.
        reach: Part of the way that they cover.
    """

    head: float = 0.5
    reach: float = 0.025

    def validate(self) -> None:
        """Check the ranges; the head must be slower than the average, or the tail could turn back."""
        require(
            0 < self.head < 1, f"LinearQuadraticGridConfig.head must lie between 0 and 1, not {self.head}."
        )
        require(0 < self.reach <= self.head / 2, "LinearQuadraticGridConfig wants 0 < reach <= head / 2.")


@config
class TableGridConfig(Config):
    """Settings of the grid over the entries of a table, as published samplers choose them.

    Attributes:
        spacing: ``trailing`` counts down from the last entry, ``leading`` up from the first, ``linspace`` has both.
        offset: Added to the entries of ``leading``.
        cut: Space for one step more, and leave out the entry nearest to clean.
        whole: Round the entries of ``linspace``; else the ratio sigma / alpha is interpolated linearly between two.
        respaced: Keep the largest and the smallest ratio alone, and place the others between them as `spaced` does.
        whole_table: Whether those two are of the whole table, or of the entries that the spacing chose.
        sigma_max: The largest ratio, in place of that one; 0 for none.
        sigma_min: The smallest ratio, likewise.
    """

    spacing: Literal["leading", "trailing", "linspace"] = "trailing"
    offset: int = 0
    cut: bool = False
    whole: bool = True
    respaced: Literal["no", "karras", "exponential", "beta"] = "no"
    whole_table: bool = False
    sigma_max: float = 0.0
    sigma_min: float = 0.0

    def validate(self) -> None:
        """Check the ranges."""
        for name in ("offset", "sigma_max", "sigma_min"):
            require(getattr(self, name) >= 0, f"TableGridConfig.{name} must not be negative.")
