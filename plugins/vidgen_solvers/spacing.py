"""Where values stand between a largest and a smallest one."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from vidgen.errors import MissingDependencyError

__all__ = ["spaced"]


def spaced(kind: Literal["karras", "exponential", "beta"], high: float, low: float, count: int) -> Tensor:
    """Return `count` values falling from high to low in float64.

    Args:
        kind: Equal distances in the seventh root (EDM, arXiv 2206.00364), in the logarithm, or at equal quantiles of
            the beta distribution B(0.6, 0.6) (2407.12173), which are dense at both ends.
        high: The first value.
        low: The last one.
        count: How many.

    Raises:
        MissingDependencyError: For ``beta`` without scipy.
    """
    ramp = torch.arange(count, dtype=torch.float64) / max(count - 1, 1)
    if kind == "karras":
        first, last = high ** (1 / 7), low ** (1 / 7)
        return (first + ramp * (last - first)) ** 7
    if kind == "exponential":
        return (math.log(high) + ramp * (math.log(low) - math.log(high))).exp()
    try:
        from scipy.special import betaincinv
    except ImportError as problem:
        raise MissingDependencyError("The spacing 'beta' needs scipy: pip install scipy.") from problem
    return low + torch.from_numpy(betaincinv(0.6, 0.6, (1 - ramp).numpy())) * (high - low)
