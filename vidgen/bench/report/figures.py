"""How figures and their ends are written."""

from __future__ import annotations

import math

__all__ = ["figure", "span"]


def figure(value: float | None) -> str:
    """Write four digits; an empty text for nothing."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(value)
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def span(low: float | None, high: float | None) -> str:
    """Write two ends, or nothing."""
    return "" if low is None or high is None else f"{figure(low)} to {figure(high)}"
