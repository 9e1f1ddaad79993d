"""Configurations and contracts of the solvers. No torch here."""

from __future__ import annotations

from typing import Any, Literal

from vidgen.config import Config, config, require
from vidgen.contract import SchedulerConfig, SchedulerContract
from vidgen.errors import ConfigError
from vidgen.parts import read_choice
from vidgen.spec import ComponentSpec

__all__ = [
    "AncestralConfig",
    "DPMpp2MConfig",
    "EulerConfig",
    "HeunConfig",
    "SolverConfig",
    "UniPCConfig",
]

GRID_OPTIONS = ("base_shift", "base_tokens", "dynamic", "max_shift", "max_tokens", "rho", "shift")
"""Fields of `SolverConfig` that are handed to the grid when they are set."""


@config
class SolverConfig(SchedulerConfig):
    """What all solvers share: which times they run along. None leaves an option to the grid.

    Attributes:
        grid: A component of the kind ``grid``: ``"name"`` or ``"name/preset"``, or a table with the name and fields.
        start: First time; below 1 for a denoiser that tells nothing at pure noise.
        end: Last time.
        begin: How x begins, see `vidgen.interfaces.TimeGrid.start`; None leaves it to the process.
        shift: For grids with that option: see `ShiftedGridConfig`.
        dynamic: Likewise.
        base_shift: Likewise.
        max_shift: Likewise.
        base_tokens: Likewise.
        max_tokens: Likewise.
        rho: For grids with that option: see `KarrasGridConfig`.
    """

    grid: Any = "uniform"
    start: float = 1.0
    end: float = 0.0
    begin: Literal["unit", "sigma"] | None = None
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

    def grid_choice(self) -> tuple[ComponentSpec, Config]:
        """Return the grid and its configuration.

        Raises:
            UnknownNameError: For a grid that nobody registered.
            ConfigError: For an option that this grid does not have; says so instead of dropping it.
        """
        spec, settings = read_choice("grid", self.grid)
        given: dict[str, Any] = {name: getattr(self, name) for name in GRID_OPTIONS}
        try:
            return spec, settings.replace(**{name: one for name, one in given.items() if one is not None})
        except ConfigError as problem:
            raise ConfigError(
                f"The grid {self.grid!r} refuses the options of {type(self).__name__}: {problem}"
                " Leave it out or choose another grid (shift belongs to 'shifted', rho to 'karras')."
            ) from problem

    def declare(
        self, order: int, evaluations_per_step: int = 1, *, stochastic: bool = False
    ) -> SchedulerContract:
        """Return a contract, after a look at whether the grid exists and takes its options."""
        self.grid_choice()
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
    """Settings of Heun's solver.

    Attributes:
        space: Where the slopes are averaged: on the straight process that every process can be rescaled to, or over
            the ratio sigma / alpha as EDM does (but for a step from pure noise, where that is infinite).
    """

    space: Literal["straight", "ratio"] = "straight"

    def contract(self) -> SchedulerContract:
        """Return what it declares."""
        return self.declare(2, 2)


@config
class DPMpp2MConfig(SolverConfig):
    """Settings of DPM-Solver++.

    Attributes:
        order: How many estimates an extrapolation reads. Three read as published: it weighs the second difference half,
            and so converges with the second order, too.
        rule: How the line through two estimates is integrated: at its midpoint, or exactly (published as ``heun``).
        lower_final: In runs of less than 15 steps, let the last one read one estimate and the one before at most two.
        first_final: Let the last step read one estimate.
        eta: How much of the exact backward step's noise is drawn: 0 none, 1 all (SDE-DPM-Solver++).
    """

    order: Literal[1, 2, 3] = 2
    rule: Literal["midpoint", "heun"] = "midpoint"
    lower_final: bool = False
    first_final: bool = False
    eta: float = 0.0

    def validate(self) -> None:
        """Check the ranges."""
        SolverConfig.validate(self)
        require(0 <= self.eta <= 1, f"DPMpp2MConfig.eta must lie between 0 and 1, not {self.eta}.")
        plain = self.order < 3 and self.rule == "midpoint"
        require(plain or not self.eta, "DPMpp2MConfig.eta needs an order of 1 or 2 and the rule 'midpoint'.")

    def contract(self) -> SchedulerContract:
        """Return what it declares."""
        return self.declare(1 if self.eta else min(self.order, 2), stochastic=self.eta > 0)


@config
class UniPCConfig(SolverConfig):
    """Settings of UniPC.

    Attributes:
        order: Order of the predictor, as published implementations count; the corrector adds one.
        rule: How a single difference is weighed: by the paper's B2(h) or B1(h).
        lower_final: Let the last step read one estimate, the one before at most two, and so on.
        uncorrected: Steps, from 0, whose result is not corrected.
    """

    order: Literal[1, 2, 3] = 2
    rule: Literal["bh2", "bh1"] = "bh2"
    lower_final: bool = False
    uncorrected: tuple[int, ...] = ()

    def contract(self) -> SchedulerContract:
        """Return what it declares."""
        return self.declare(self.order + 1)


@config
class AncestralConfig(SolverConfig):
    """Settings of the ancestral solver.

    Attributes:
        eta: How much of the exact backward step's noise is drawn: 0 is Euler, 1 is DDPM.
        fresh: Draw all of the next noise anew instead (the samplers of distilled models).
    """

    eta: float = 1.0
    fresh: bool = False

    def validate(self) -> None:
        """Check the ranges."""
        SolverConfig.validate(self)
        require(0 <= self.eta <= 1, f"AncestralConfig.eta must lie between 0 and 1, not {self.eta}.")
        require(
            not self.fresh or self.eta == 1, "AncestralConfig.fresh draws all noise anew: leave eta at 1."
        )

    def contract(self) -> SchedulerContract:
        """Return what it declares."""
        return self.declare(1, stochastic=self.eta > 0)
