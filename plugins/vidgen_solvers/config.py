"""Configurations and contracts of the solvers and grids. No torch here."""

from __future__ import annotations

from typing import Any, Literal

from vidgen.config import Config, config, require
from vidgen.contract import SchedulerConfig, SchedulerContract
from vidgen.errors import ConfigError
from vidgen.parts import Address
from vidgen.registry import find

__all__ = [
    "AncestralConfig",
    "DPMpp2MConfig",
    "EulerConfig",
    "HeunConfig",
    "KarrasGridConfig",
    "LinearQuadraticGridConfig",
    "ShiftedGridConfig",
    "SolverConfig",
    "UniPCConfig",
    "UniformGridConfig",
]


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
    """Settings of the shifted grid, ``t' = s t / (1 + (s - 1) t)``.

    Attributes:
        shift: The factor s; above 1 puts more steps where it is noisy.
        dynamic: Take ``s = exp(m)`` instead, m growing linearly with the tokens of the sample.
        base_shift: m at `base_tokens`.
        max_shift: m at `max_tokens`.
        base_tokens: Tokens of a small sample.
        max_tokens: Tokens of a large sample; beyond it the line goes on.
    """

    shift: float = 3.0
    dynamic: bool = False
    base_shift: float = 0.5
    max_shift: float = 1.15
    base_tokens: int = 256
    max_tokens: int = 4096

    def validate(self) -> None:
        """Check the ranges."""
        require(self.shift > 0, f"ShiftedGridConfig.shift must be positive, not {self.shift}.")
        require(
            0 < self.base_tokens < self.max_tokens, "ShiftedGridConfig wants 0 < base_tokens < max_tokens."
        )


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


GRID_OPTIONS = ("base_shift", "base_tokens", "dynamic", "max_shift", "max_tokens", "rho", "shift")
"""Fields of `SolverConfig` that are handed to the grid when they are set."""


@config
class SolverConfig(SchedulerConfig):
    """What all solvers share: which times they run along. None leaves an option to the grid.

    Attributes:
        grid: A component of the kind ``grid`` by name, ``"name"`` or ``"name/preset"``.
        start: First time; below 1 for a denoiser that tells nothing at pure noise.
        end: Last time.
        shift: For grids with that option: see `ShiftedGridConfig`.
        dynamic: Likewise.
        base_shift: Likewise.
        max_shift: Likewise.
        base_tokens: Likewise.
        max_tokens: Likewise.
        rho: For grids with that option: see `KarrasGridConfig`.
    """

    grid: str = "uniform"
    start: float = 1.0
    end: float = 0.0
    shift: float | None = None
    dynamic: bool | None = None
    base_shift: float | None = None
    max_shift: float | None = None
    base_tokens: int | None = None
    max_tokens: int | None = None
    rho: float | None = None

    def validate(self) -> None:
        """Check the ranges."""
        require(
            0 <= self.end < self.start <= 1,
            f"{type(self).__name__} wants 0 <= end < start <= 1, not end={self.end}, start={self.start}.",
        )

    def grid_config(self) -> Config:
        """Return the configuration of the grid.

        Raises:
            UnknownNameError: For a grid that nobody registered.
            ConfigError: For an option that this grid does not have; says so instead of dropping it.
        """
        address = Address.parse(self.grid)
        given: dict[str, Any] = {name: getattr(self, name) for name in GRID_OPTIONS}
        try:
            options = {name: value for name, value in given.items() if value is not None}
            return find("grid", address.name).preset(address.preset).replace(**options)
        except ConfigError as problem:
            raise ConfigError(
                f"The grid {self.grid!r} refuses the options of {type(self).__name__}: {problem}"
                " Leave it out or choose another grid (shift belongs to 'shifted', rho to 'karras')."
            ) from problem

    def declare(
        self, order: int, evaluations_per_step: int = 1, *, stochastic: bool = False
    ) -> SchedulerContract:
        """Return a contract, after a look at whether the grid exists and takes its options."""
        self.grid_config()
        return SchedulerContract(
            order=order, evaluations_per_step=evaluations_per_step, stochastic=stochastic, start=self.start
        )


@config
class EulerConfig(SolverConfig):
    """Settings of the Euler solver."""

    def contract(self) -> SchedulerContract:
        """Return what it declares."""
        return self.declare(1)


@config
class HeunConfig(SolverConfig):
    """Settings of Heun's solver."""

    def contract(self) -> SchedulerContract:
        """Return what it declares."""
        return self.declare(2, 2)


@config
class DPMpp2MConfig(SolverConfig):
    """Settings of DPM-Solver++(2M)."""

    def contract(self) -> SchedulerContract:
        """Return what it declares."""
        return self.declare(2)


@config
class UniPCConfig(SolverConfig):
    """Settings of UniPC.

    Attributes:
        order: Order of the predictor, as published implementations count; the corrector adds one.
    """

    order: Literal[2, 3] = 2

    def contract(self) -> SchedulerContract:
        """Return what it declares."""
        return self.declare(self.order + 1)


@config
class AncestralConfig(SolverConfig):
    """Settings of the ancestral solver.

    Attributes:
        eta: How much of the exact backward step's noise is drawn: 0 is Euler, 1 is DDPM.
    """

    eta: float = 1.0

    def validate(self) -> None:
        """Check the ranges."""
        SolverConfig.validate(self)
        require(0 <= self.eta <= 1, f"AncestralConfig.eta must lie between 0 and 1, not {self.eta}.")

    def contract(self) -> SchedulerContract:
        """Return what it declares."""
        return self.declare(1, stochastic=self.eta > 0)
