"""Wilson's interval: how sure a share of successes is, honest near 0 and 1 where the normal one is not."""

from __future__ import annotations

from math import sqrt
from typing import NamedTuple

__all__ = ["Interval", "wilson"]


class Interval(NamedTuple):
    """A closed interval within [0, 1]."""

    low: float
    high: float


def wilson(successes: int, n: int, *, z: float = 1.959964) -> Interval:
    """Bound the true rate behind `successes` out of `n` trials.

    Args:
        successes: In [0, n].
        n: Number of trials; with none the interval is all of [0, 1].
        z: Standard normal quantile; the default gives 95 %.

    Raises:
        ValueError: If `successes` is not in [0, n].
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must be in [0, {n}], not {successes}.")
    if n == 0:
        return Interval(0.0, 1.0)
    rate = successes / n
    spread = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    centre, scale = rate + z * z / (2 * n), 1 + z * z / n
    # Rounding must not put the rate itself outside at the ends.
    return Interval(
        min(rate, max(0.0, (centre - spread) / scale)), max(rate, min(1.0, (centre + spread) / scale))
    )
