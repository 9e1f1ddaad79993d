"""Processes: how clean latents become noise, ``x_t = alpha(t) x_0 + sigma(t) eps``, and what predictions mean.

Time t runs from 0 (exactly clean) to 1. A table of N steps has index k at t = (k + 1) / N; between two entries the
cumulative product is interpolated linearly. For the straight process (rectified flow) t is sigma.

Sources: DDPM (arXiv 2006.11239), improved DDPM (2102.09672, cosine), progressive distillation (2202.00512, v),
rectified flow (2209.03003), zero terminal SNR (2305.08891), CogVideoX (2408.06072, SNR shift),
VideoCrafter2 (2401.09047, scaled clean sample).
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Literal

from vidgen.config import Config, config, require

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PREDICTIONS", "Process", "ProcessSpec"]

Prediction = Literal["epsilon", "sample", "v", "flow"]
PREDICTIONS: tuple[Prediction, ...] = ("epsilon", "sample", "v", "flow")
"""What a denoiser's output may mean: the noise, the clean sample, ``alpha eps - sigma x_0``, or ``eps - x_0``."""


@config
class ProcessSpec(Config):
    """A process as data.

    Attributes:
        family: The straight path of rectified flow, or a variance-preserving table.
        steps: Entries of the table.
        beta_start: First variance of the linear tables.
        beta_end: Last variance of the linear tables.
        table: Cumulative products (alpha bar), clean to noisy; only for the family ``table``.
        zero_terminal_snr: Rescale the table so that its last entry is pure noise.
        terminal: What `zero_terminal_snr` leaves at the last entry; some samplers keep a little above 0.
        snr_shift: Divide the signal-to-noise ratio by this factor (CogVideoX).
        clean_scale: Factor on the clean sample at each table entry (VideoCrafter2); empty for none.
        told: How `Process.told` gives times to published models: ``exact``, or whole numbers as some samplers
            round them, ``down`` or to the ``nearest``.
    """

    family: Literal["rectified-flow", "vp-linear", "vp-scaled-linear", "vp-cosine", "table"] = (
        "rectified-flow"
    )
    steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    table: tuple[float, ...] = ()
    zero_terminal_snr: bool = False
    terminal: float = 0.0
    snr_shift: float = 1.0
    clean_scale: tuple[float, ...] = ()
    told: Literal["exact", "down", "nearest"] = "exact"

    def validate(self) -> None:
        """Check ranges."""
        require(self.steps >= 2, f"ProcessSpec.steps must be at least 2, not {self.steps}.")
        require(0 < self.beta_start <= self.beta_end < 1, "ProcessSpec wants 0 < beta_start <= beta_end < 1.")
        require(self.snr_shift > 0, "ProcessSpec.snr_shift must be positive.")
        low = 0 <= self.terminal < 1 and (self.zero_terminal_snr or not self.terminal)
        require(low, "ProcessSpec.terminal belongs to zero_terminal_snr and is at least 0, below 1.")
        require(
            (self.family == "table") == bool(self.table), "ProcessSpec.table belongs to the family 'table'."
        )
        straight = self.family == "rectified-flow"
        plain = not self.zero_terminal_snr and self.snr_shift == 1.0 and not self.clean_scale
        require(
            not straight or plain, "A rectified-flow process takes no table settings; use a shifted grid."
        )
        entries = len(self.table) or self.steps
        falls = all(0 <= b < a < 1 for a, b in zip(self.table, self.table[1:], strict=False))
        require(falls, "ProcessSpec.table must fall from below 1 to at least 0.")
        scales = len(self.clean_scale)
        require(scales in (0, entries), f"ProcessSpec.clean_scale needs {entries} entries, not {scales}.")
        even = all(0 < b <= a for a, b in zip(self.clean_scale, self.clean_scale[1:], strict=False))
        require(even, "ProcessSpec.clean_scale must be positive and may not rise.")

    @property
    def ends_in_noise(self) -> bool:
        """Whether alpha is exactly 0 at t = 1, where epsilon no longer tells the clean sample."""
        return (
            self.family == "rectified-flow"
            or (self.zero_terminal_snr and not self.terminal)
            or bool(self.table and self.table[-1] == 0)
        )

    @property
    def name(self) -> str:
        """A short name for tables and messages."""
        return self.family + (" (zero terminal SNR)" if self.zero_terminal_snr else "")

    @property
    def description(self) -> str:
        """The name with the numbers that tell two processes of one family apart."""
        if self.family == "rectified-flow":
            return self.name
        bars = alpha_bars(self)
        scaled = ", clean part scaled" if self.clean_scale else ""
        return f"{self.name} of {len(bars)} steps, alpha^2 from {bars[0]:.5g} to {bars[-1]:.5g}{scaled}"

    def agrees(self, other: ProcessSpec) -> bool:
        """Return whether both noise alike: the same path, or tables whose numbers are equal to a millionth."""
        if "rectified-flow" in (self.family, other.family):
            return self.family == other.family
        ours, theirs = alpha_bars(self), alpha_bars(other)
        near = all(abs(one - two) <= 1e-6 for one, two in zip(ours, theirs, strict=False))
        return len(ours) == len(theirs) and near and self.clean_scale == other.clean_scale


@functools.cache
def alpha_bars(spec: ProcessSpec) -> tuple[float, ...]:
    """Return the cumulative products of a table, clean to noisy, before the factor on the clean sample."""
    n = spec.steps
    if spec.family == "table":
        bars = list(spec.table)
    else:
        bars, product = [], 1.0
        for beta in _betas(spec, n):
            product *= 1.0 - beta
            bars.append(product)
    if spec.snr_shift != 1.0:
        bars = [bar / (spec.snr_shift + (1 - spec.snr_shift) * bar) for bar in bars]
    if spec.zero_terminal_snr:
        first, last = math.sqrt(bars[0]), math.sqrt(bars[-1])
        bars = [((math.sqrt(bar) - last) * first / (first - last)) ** 2 for bar in bars]
        bars[-1] = spec.terminal
    return tuple(bars)


def _betas(spec: ProcessSpec, n: int) -> list[float]:
    if spec.family == "vp-cosine":

        def level(t: float) -> float:
            return math.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2

        return [min(1 - level((k + 1) / n) / level(k / n), 0.999) for k in range(n)]
    power = 2.0 if spec.family == "vp-scaled-linear" else 1.0
    first, last = spec.beta_start ** (1 / power), spec.beta_end ** (1 / power)
    return [(first + (last - first) * k / (n - 1)) ** power for k in range(n)]


class Process:
    """The arithmetic of a process on tensors. All schedule values are float64.

    Args:
        spec: The process as data.
    """

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec

    def alpha_sigma(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        """Return alpha(t) and sigma(t) in float64, of the shape of t."""
        import torch

        t = torch.as_tensor(t, dtype=torch.float64)
        if self.spec.family == "rectified-flow":
            return 1 - t, t
        alpha = self.unscaled_alpha(t)
        sigma = (1 - alpha.square()).sqrt()
        if self.spec.clean_scale:
            alpha = alpha * _interpolate((1.0, *self.spec.clean_scale), t)
        return alpha, sigma

    def unscaled_alpha(self, t: Tensor | float) -> Tensor:
        """Return alpha(t) before `ProcessSpec.clean_scale`, in float64."""
        import torch

        t = torch.as_tensor(t, dtype=torch.float64)
        if self.spec.family == "rectified-flow":
            return 1 - t
        return _interpolate((1.0, *alpha_bars(self.spec)), t).sqrt()

    def log_snr(self, t: Tensor | float) -> Tensor:
        """Return half the logarithm of the signal-to-noise ratio, ``log(alpha / sigma)``: it falls with t."""
        alpha, sigma = self.alpha_sigma(t)
        return alpha.log() - sigma.log()

    def time_of_log_snr(self, value: Tensor | float, *, iterations: int = 60) -> Tensor:
        """Return the t at which `log_snr` has a value (bisection); values out of range give the ends."""
        import torch

        value = torch.as_tensor(value, dtype=torch.float64)
        low, high = torch.zeros_like(value), torch.ones_like(value)
        for _ in range(iterations):
            middle = (low + high) / 2
            above = self.log_snr(middle) > value
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        return torch.where(value.isposinf(), torch.zeros_like(value), (low + high) / 2)

    def index_to_time(self, index: Tensor | int) -> Tensor:
        """Return t = (k + 1) / N of a table index k."""
        import torch

        return (torch.as_tensor(index, dtype=torch.float64) + 1) / self._entries

    def time_to_index(self, t: Tensor | float) -> Tensor:
        """Return the (fractional) table index k = t N - 1 that published models are conditioned on."""
        import torch

        return torch.as_tensor(t, dtype=torch.float64) * self._entries - 1

    def told(self, t: Tensor | float) -> Tensor:
        """Return the number that published models are told for t: ``t N`` on the straight path, else the table index.

        In float64, of the shape of t, rounded as `ProcessSpec.told` says.
        """
        import torch

        t = torch.as_tensor(t, dtype=torch.float64)
        number = t * self.spec.steps if self.spec.family == "rectified-flow" else self.time_to_index(t)
        if self.spec.told == "exact":
            return number.clamp(min=0)
        # what is a whole number but for the arithmetic (float32 in between) is not rounded down to the one below
        return (
            (number + 1e-4).floor().clamp(min=0) if self.spec.told == "down" else number.round().clamp(min=0)
        )

    @property
    def _entries(self) -> int:
        return len(self.spec.table) or self.spec.steps

    def add_noise(self, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return x_t of clean latents ``[B, C, t, h, w]``; t is ``[B]``, or ``[B, t]`` for a time a frame."""
        alpha, sigma = self.coefficients(t, clean)
        return alpha * clean + sigma * noise

    def target(self, prediction: Prediction, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return what a denoiser of this prediction should output for `add_noise` of the same arguments."""
        if prediction == "epsilon":
            return noise
        if prediction == "sample":
            return clean
        if prediction == "flow":
            return noise - clean
        alpha, sigma = self.coefficients(t, clean)
        return alpha * noise - sigma * clean

    def to_clean(self, prediction: Prediction, output: Tensor, x: Tensor, t: Tensor | float) -> Tensor:
        """Return the clean sample that a prediction implies; shapes as in `add_noise`.

        Epsilon has none where alpha is 0: composition refuses that pair before anything runs.
        """
        alpha, sigma = self.coefficients(t, x)
        if prediction == "sample":
            return output
        if prediction == "epsilon":
            return (x - sigma * output) / alpha
        if prediction == "flow":
            return (x - sigma * output) / (alpha + sigma)
        return (alpha * x - sigma * output) / (alpha * alpha + sigma * sigma)

    def coefficients(self, t: Tensor | float, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return alpha and sigma, shaped to multiply latents, of their dtype and device."""
        pair = self.alpha_sigma(t)
        shapes = {0: (), 1: (-1, 1, 1, 1, 1), 2: (pair[0].shape[0] if pair[0].ndim else 1, 1, -1, 1, 1)}
        shape = shapes[pair[0].ndim]
        alpha, sigma = (value.to(like).reshape(shape) for value in pair)
        return alpha, sigma


def _interpolate(values: tuple[float, ...], t: Tensor) -> Tensor:
    """Interpolate a table whose first entry stands at t = 0 and last at t = 1."""
    table = _as_tensor(values).to(t.device)
    position = t.clamp(0, 1) * (len(values) - 1)
    low = position.floor().long().clamp(max=len(values) - 2)
    part = position - low
    return table[low] * (1 - part) + table[low + 1] * part


@functools.lru_cache(maxsize=64)
def _as_tensor(values: tuple[float, ...]) -> Tensor:
    import torch

    return torch.tensor(values, dtype=torch.float64)
