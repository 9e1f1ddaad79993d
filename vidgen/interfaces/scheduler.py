"""The scheduler: a solver and its time grid. It owns no process; that is the denoiser's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from vidgen.contract import SchedulerConfig
from vidgen.errors import ConfigError
from vidgen.interfaces.summary import summarise
from vidgen.process import Process

__all__ = ["Denoise", "Grid", "OnStep", "Scheduler", "TimeGrid", "draw_noise"]

Denoise = Callable[[Tensor, float], Tensor]
"""``denoise(x, t)`` returns the estimate of the clean sample at the scalar time t."""

OnStep = Callable[[int, Tensor], None]
"""Called after step i (from 0) with the current x."""


@dataclass(frozen=True, slots=True)
class TimeGrid:
    """The times of a sampling run, noisy to clean, in float64.

    Attributes:
        t: ``[steps + 1]``, falling.
        alpha: Factor of the clean sample at each time.
        sigma: Factor of the noise at each time.
        start: How x begins from unit noise: ``unit`` as it is, ``sigma`` multiplied by the first sigma.
        unscaled_alpha: Alpha without the process' clean scale: stochastic solvers measure the noise they draw by it
            (VideoCrafter2). None where there is no such scale.
    """

    t: Tensor
    alpha: Tensor
    sigma: Tensor
    start: Literal["unit", "sigma"] = "sigma"
    unscaled_alpha: Tensor | None = None

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.t) - 1

    @property
    def log_snr(self) -> Tensor:
        """``log(alpha / sigma)`` at each time; infinite at a clean end, minus infinite at a noise end."""
        return self.alpha.log() - self.sigma.log()

    def begin(self, noise: Tensor) -> Tensor:
        """Return the first x of unit noise."""
        return noise * self.sigma[0].to(noise) if self.start == "sigma" else noise

    @classmethod
    def of(cls, process: Process, t: Tensor, start: Literal["unit", "sigma"] = "sigma") -> TimeGrid:
        """Look the times up in a process."""
        alpha, sigma = process.alpha_sigma(t)
        unscaled = process.unscaled_alpha(t) if process.spec.clean_scale else None
        return cls(t.double(), alpha, sigma, start, unscaled)


class Grid(Protocol):
    """A component of the kind ``grid``: chooses the times."""

    def __call__(
        self, process: Process, steps: int, *, start: float, end: float, tokens: int | None
    ) -> Tensor:
        """Return ``steps + 1`` falling times in float64 from `start` to `end`.

        Args:
            process: The denoiser's process.
            steps: Number of steps, at least 1.
            start: First time, at most 1.
            end: Last time, at least 0.
            tokens: Tokens of the sample, for shifts that depend on them.
        """
        ...


class Scheduler(ABC):
    """Solves the reverse process along a grid. State lives in `solve`, never on the object.

    Args:
        config: The configuration; its `contract` declares order and evaluations a step.
    """

    config: SchedulerConfig

    def __init__(self, config: SchedulerConfig | None = None) -> None:
        if (
            config is not None
        ):  # a class registered with plain arguments gets its configuration from `register`
            self.config = config

    def __repr__(self) -> str:
        return summarise(self)

    @abstractmethod
    def grid(
        self, process: Process, steps: int, *, tokens: int | None = None, start: float | None = None
    ) -> TimeGrid:
        """Return the times for a number of steps; `start` (below 1) begins from a partly noised sample."""

    @abstractmethod
    def solve(
        self,
        denoise: Denoise,
        x: Tensor,
        grid: TimeGrid,
        *,
        generators: Sequence[torch.Generator] | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Carry x from the first time of the grid to the last.

        Args:
            denoise: Gives the clean-sample estimate.
            x: ``[B, ...]`` at ``grid.t[0]``.
            grid: The times.
            generators: One CPU generator a sample, for stochastic solvers.
            on_step: Called after each step.

        Returns:
            x at ``grid.t[-1]``.
        """


def draw_noise(x: Tensor, generators: Sequence[torch.Generator] | None) -> Tensor:
    """Return unit noise like x, each sample from its own CPU generator (so the batch does not matter).

    Raises:
        ConfigError: When there is not one generator a sample.
    """
    if generators is not None and len(generators) != len(x):
        raise ConfigError(f"Give one generator a sample: {len(x)} samples, {len(generators)} generators.")
    if generators is None:
        return torch.randn(x.shape, dtype=torch.float32).to(x)
    return torch.stack([torch.randn(x.shape[1:], generator=g, dtype=torch.float32) for g in generators]).to(x)
