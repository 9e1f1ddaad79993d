"""A mixture of Gaussians whose denoiser is known exactly: what solvers and processes are measured against.

Of clean samples from ``sum_k w_k N(m_k, C_k)`` the posterior mean given ``x_t = alpha x_0 + sigma eps`` has a
closed form, so every prediction type can be produced without error, and a solver's order read off its errors.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vidgen.interfaces.scheduler import Denoise, Scheduler, TimeGrid
from vidgen.process import Prediction, Process, ProcessSpec

__all__ = [
    "PROCESSES",
    "GaussianMixture",
    "Order",
    "measure_order",
    "measure_weak_order",
    "reference",
    "two_gaussians",
    "uniform_grid",
]

_STABLE = {"family": "vp-scaled-linear", "beta_start": 0.00085, "beta_end": 0.012}

PROCESSES: dict[str, ProcessSpec] = {
    "rectified-flow": ProcessSpec(),
    "vp-linear": ProcessSpec(family="vp-linear"),
    "vp-scaled-linear": ProcessSpec.from_dict(_STABLE),
    "vp-cosine": ProcessSpec(family="vp-cosine"),
    "zero-terminal-snr": ProcessSpec.from_dict({**_STABLE, "zero_terminal_snr": True}),
    "snr-shifted": ProcessSpec.from_dict({**_STABLE, "snr_shift": 3.0}),
    "clean-scaled": ProcessSpec.from_dict(
        {**_STABLE, "clean_scale": [1 - 0.3 * min(k, 399) / 399 for k in range(1000)]}
    ),
    "table": ProcessSpec(
        family="table", table=tuple(math.cos(math.pi / 2 * 0.98 * k / 500) ** 4 for k in range(1, 501))
    ),
}
"""One process of every family and of every setting: what a solver has to work on."""


@dataclass(frozen=True, slots=True)
class GaussianMixture:
    """A mixture of Gaussians in d dimensions, in float64; samples lie along the last axis.

    Attributes:
        weights: ``[K]``, sum 1.
        means: ``[K, d]``.
        axes: ``[K, d, d]``, orthonormal columns: the principal axes.
        variances: ``[K, d]``, along the axes.
    """

    weights: Tensor
    means: Tensor
    axes: Tensor
    variances: Tensor

    def sample(self, shape: Sequence[int], generator: torch.Generator | None = None) -> Tensor:
        """Draw clean samples ``[*shape, d]``."""
        count = math.prod(shape)
        part = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        unit = torch.randn(count, self.means.shape[1], dtype=torch.float64, generator=generator)
        scaled = (self.axes[part] @ (self.variances[part].sqrt() * unit).unsqueeze(-1)).squeeze(-1)
        return (self.means[part] + scaled).reshape(*shape, -1)

    def clean(self, x: Tensor, alpha: Tensor | float, sigma: Tensor | float) -> Tensor:
        """Return the exact posterior mean of the clean sample.

        Args:
            x: ``[..., d]``.
            alpha: Factor of the clean sample, a scalar.
            sigma: Factor of the noise, a scalar.
        """
        offset = x.unsqueeze(-2) - alpha * self.means
        along = torch.einsum("...kd,kde->...ke", offset, self.axes)
        total = alpha**2 * self.variances + sigma**2
        log_likelihood = -0.5 * (along**2 / total + total.log()).sum(-1)
        share = torch.softmax(self.weights.log() + log_likelihood, dim=-1)
        pulled = torch.einsum("...ke,kde->...kd", alpha * self.variances / total * along, self.axes)
        return (share.unsqueeze(-1) * (self.means + pulled)).sum(-2)

    def denoiser(self, process: Process, prediction: Prediction = "sample") -> Denoise:
        """Return the exact denoiser, by way of a raw prediction and its conversion to a clean sample."""

        def denoise(x: Tensor, t: float) -> Tensor:
            alpha, sigma = process.alpha_sigma(t)
            clean = self.clean(x, alpha, sigma)
            raw = process.target(prediction, clean, (x - alpha * clean) / sigma, torch.tensor(t))
            return process.to_clean(prediction, raw, x, t)

        return denoise

    def moments(self, alpha: float, sigma: float) -> tuple[Tensor, Tensor]:
        """Return mean ``[d]`` and covariance ``[d, d]`` of x_t."""
        mean = (self.weights[:, None] * self.means).sum(0)
        within = torch.einsum("kde,ke,kfe->kdf", self.axes, self.variances, self.axes)
        away = self.means - mean
        spread = torch.einsum("k,kdf->df", self.weights, within + away[:, :, None] * away[:, None, :])
        return alpha * mean, alpha**2 * spread + sigma**2 * torch.eye(len(mean), dtype=torch.float64)


def two_gaussians() -> GaussianMixture:
    """Return the mixture that orders are measured on: two tilted, elongated Gaussians in the plane."""
    angles = torch.tensor([0.5, -0.9], dtype=torch.float64)
    cos, sin = angles.cos(), angles.sin()
    return GaussianMixture(
        weights=torch.tensor([0.6, 0.4], dtype=torch.float64),
        means=torch.tensor([[0.9, 0.5], [-0.9, -0.6]], dtype=torch.float64),
        axes=torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2),
        variances=torch.tensor([[0.6, 0.1], [0.4, 0.15]], dtype=torch.float64),
    )


def reference(mixture: GaussianMixture, x: Tensor, grid: TimeGrid, steps: int = 500) -> Tensor:
    """Carry x along the exact flow from the first time of a grid to the last, by Runge-Kutta of order 4.

    It integrates ``dy / dlambda = exp(lambda) D`` for ``y = x / sigma``: no code is shared with any solver.
    The ends must have a finite log-SNR.
    """

    def slope(place: float, y: Tensor) -> Tensor:
        ratio = math.exp(place)
        return ratio * mixture.clean(y, ratio, 1.0)

    first, last = float(grid.log_snr[0]), float(grid.log_snr[-1])
    h, y = (last - first) / steps, x / grid.sigma[0]
    for i in range(steps):
        place = first + i * h
        k1 = slope(place, y)
        k2 = slope(place + h / 2, y + h / 2 * k1)
        k3 = slope(place + h / 2, y + h / 2 * k2)
        k4 = slope(place + h, y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y * grid.sigma[-1]


@dataclass(frozen=True, slots=True)
class Order:
    """A measured order of convergence.

    Attributes:
        value: Slope of the logarithm of the error over that of the step.
        steps: Numbers of steps.
        errors: Error at each.
    """

    value: float
    steps: tuple[int, ...]
    errors: tuple[float, ...]

    @classmethod
    def fit(cls, steps: Sequence[int], error: Callable[[int], float]) -> Order:
        """Measure the error at each number of steps and fit the slope by least squares."""
        errors = tuple(error(n) for n in steps)
        x = torch.tensor([-math.log(n) for n in steps], dtype=torch.float64)
        y = torch.tensor([math.log(e) for e in errors], dtype=torch.float64)
        x = x - x.mean()
        return cls(float((x * y).sum() / (x * x).sum()), tuple(steps), errors)


def measure_order(
    scheduler: Scheduler,
    process: Process,
    prediction: Prediction,
    *,
    steps: Sequence[int] = (64, 128, 256),
    samples: int = 64,
) -> Order:
    """Measure the order of a deterministic solver on `two_gaussians`, in float64, from t = 0.95 to 0.05.

    Args:
        scheduler: Its solver; the times are uniform, not those of its own grid.
        process: The process.
        prediction: What the exact denoiser predicts.
        steps: Numbers of steps.
        samples: Points carried along the flow; the error is the root of their mean squared distance.
    """
    denoise = two_gaussians().denoiser(process, prediction)
    x, exact = _start_and_end(process.spec, samples)

    def error(n: int) -> float:
        found = scheduler.solve(denoise, x, uniform_grid(process, n))
        return float((found - exact).square().sum(-1).mean().sqrt())

    return Order.fit(steps, error)


def measure_weak_order(
    scheduler: Scheduler,
    process: Process,
    prediction: Prediction,
    *,
    steps: Sequence[int] = (16, 32, 64),
    samples: int = 4096,
    points: int = 16,
    seed: int = 0,
) -> Order:
    """Measure how mean and covariance converge for a stochastic solver, as in `measure_order`.

    Args:
        scheduler: Its solver.
        process: The process.
        prediction: What the exact denoiser predicts.
        steps: Numbers of steps.
        samples: Samples.
        points: Independent points in each sample; together they keep chance well below the errors measured.
        seed: Of the samples and of the solver's noise.
    """
    mixture = two_gaussians()
    denoise = mixture.denoiser(process, prediction)

    def error(n: int) -> float:
        grid = uniform_grid(process, n)
        x = _noised(mixture, grid, (samples, points), torch.Generator().manual_seed(seed))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)
            found = scheduler.solve(denoise, x, grid).flatten(0, -2)
        mean, covariance = mixture.moments(float(grid.alpha[-1]), float(grid.sigma[-1]))
        return float(torch.cat((found.mean(0) - mean, (found.T.cov() - covariance).flatten())).norm())

    return Order.fit(steps, error)


def uniform_grid(process: Process, steps: int, start: float = 0.95, end: float = 0.05) -> TimeGrid:
    """Return uniform times; the defaults stay clear of pure noise and of clean, where orders do not hold."""
    return TimeGrid.of(process, torch.linspace(start, end, steps + 1, dtype=torch.float64))


@functools.lru_cache(maxsize=64)
def _start_and_end(spec: ProcessSpec, samples: int) -> tuple[Tensor, Tensor]:
    """Return points at the noisy end and where the exact flow carries them."""
    grid, mixture = uniform_grid(Process(spec), 1), two_gaussians()
    x = _noised(mixture, grid, (samples,), torch.Generator().manual_seed(0))
    return x, reference(mixture, x, grid)


def _noised(
    mixture: GaussianMixture, grid: TimeGrid, shape: Sequence[int], generator: torch.Generator
) -> Tensor:
    clean = mixture.sample(shape, generator)
    return grid.alpha[0] * clean + grid.sigma[0] * torch.randn(
        clean.shape, dtype=torch.float64, generator=generator
    )
