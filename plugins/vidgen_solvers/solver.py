"""What all solvers share: the grid by name, and the exact linear part of a step.

With ``y = x / sigma`` and ``lambda = log(alpha / sigma)`` every process obeys ``dy = exp(lambda) D dlambda``,
where D is the estimate of the clean sample. Solvers approximate D alone: alpha and sigma are treated exactly,
whatever the process.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from vidgen.errors import ConfigError, PluginError
from vidgen.interfaces.scheduler import Grid, Scheduler, TimeGrid, draw_noise
from vidgen.parts import build
from vidgen.process import Process
from vidgen_solvers.config import SolverConfig

__all__ = ["Solver", "Step", "steps_of"]


class Solver(Scheduler):
    """A scheduler whose grid is a component of the kind ``grid``, looked up by name.

    Args:
        config: The configuration.
    """

    config: SolverConfig

    def __init__(self, config: SolverConfig) -> None:
        super().__init__(config)
        self._times: Grid = build(*config.grid_choice())

    def grid(
        self, process: Process, steps: int, *, tokens: int | None = None, start: float | None = None
    ) -> TimeGrid:
        """Return the times for a number of steps.

        Args:
            process: The denoiser's process.
            steps: Number of steps, at least 1.
            tokens: Tokens of the sample, for grids that depend on them.
            start: First time, in place of the configured one.

        Raises:
            ConfigError: For less than one step, or a start that is not above the end.
            PluginError: When the grid returns times that do not fall from (at most) start to end.
        """
        start, end = self.config.start if start is None else float(start), self.config.end
        if steps < 1:
            raise ConfigError(f"steps must be at least 1, not {steps}.")
        if not end < start <= 1:
            raise ConfigError(f"start must be above {end} (the end) and at most 1, not {start}.")
        t = self._times(process, steps, start=start, end=end, tokens=tokens)
        # Published grids have a first time of their own, somewhat below 1.
        falls = len(t) == steps + 1 and bool((t.diff() < 0).all()) and t[0] <= start and float(t[-1]) == end
        if not falls:
            raise PluginError(
                f"The grid {self.config.grid!r} must return {steps + 1} times falling from {start} to {end}."
            )
        # Published flow samplers scale the first noise by sigma, published tables leave it at unit size.
        flow = process.spec.family == "rectified-flow"
        return TimeGrid.of(process, t, start=self.config.begin or ("sigma" if flow else "unit"))


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a grid, in Python floats (float64).

    Attributes:
        index: Number of the step, from 0.
        t: Time at its beginning.
        alpha: Factor of the clean sample there.
        sigma: Factor of the noise there.
        next_t: Time at its end.
        next_alpha: Factor of the clean sample there.
        next_sigma: Factor of the noise there.
        kept: How much of the clean sample's factor there is left here, before any clean scale: the ratio of the alphas.
    """

    index: int
    t: float
    alpha: float
    sigma: float
    next_t: float
    next_alpha: float
    next_sigma: float
    kept: float

    @property
    def log_snr(self) -> float:
        """Lambda at the beginning; minus infinite at pure noise."""
        return _log_ratio(self.alpha, self.sigma)

    @property
    def next_log_snr(self) -> float:
        """Lambda at the end; infinite when clean."""
        return _log_ratio(self.next_alpha, self.next_sigma)

    @property
    def length(self) -> float:
        """The step in lambda; infinite from pure noise and to clean, where every solver is first order."""
        return self.next_log_snr - self.log_snr

    def move(self, x: Tensor, clean: Tensor) -> Tensor:
        """Return x at the end of the step, exact for a clean estimate that stays constant over it."""
        ratio = self.next_sigma / self.sigma
        return ratio * x + (self.next_alpha - ratio * self.alpha) * clean

    def renew(
        self,
        x: Tensor,
        clean: Tensor,
        generators: Sequence[torch.Generator] | None,
        *,
        eta: float = 1.0,
        fresh: bool = False,
    ) -> Tensor:
        """Return x at the end of the step with noise drawn on the way; eta 0 is `move`.

        Args:
            x: At the beginning.
            clean: The clean estimate.
            generators: One CPU generator a sample.
            eta: How much of the exact backward step's noise is drawn.
            fresh: Draw all of the noise anew.
        """
        # The part of the next noise that the exact backward step keeps; the rest is drawn anew.
        kept = 0.0 if fresh else self.kept * self.next_sigma / self.sigma
        drawn = eta * self.next_sigma * math.sqrt(max(0.0, 1 - kept**2))
        held = math.sqrt(max(0.0, self.next_sigma**2 - drawn**2)) / self.sigma
        x = self.next_alpha * clean + held * (x - self.alpha * clean)
        return x + drawn * draw_noise(x, generators) if drawn > 0 else x


def steps_of(grid: TimeGrid) -> list[Step]:
    """Return the steps of a grid, noisy to clean."""
    points = list(zip(grid.t.tolist(), grid.alpha.tolist(), grid.sigma.tolist(), strict=True))
    plain = (grid.alpha if grid.unscaled_alpha is None else grid.unscaled_alpha).tolist()
    kept = [here / there if there else 0.0 for here, there in pairwise(plain)]
    return [Step(i, *here, *there, kept[i]) for i, (here, there) in enumerate(pairwise(points))]


def _log_ratio(alpha: float, sigma: float) -> float:
    if alpha == 0:
        return -math.inf
    return math.inf if sigma == 0 else math.log(alpha / sigma)
