"""The combinations that no other beats in both of two figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vidgen.bench.report.columns import Column

__all__ = ["axes", "front"]


_SCORES = ("", "dB")
"""Units of scores; rates and sizes have others."""
_WHOLE = ("all", "facts", "total")
"""How names begin that are about everything rather than a part of it."""


def front(points: Sequence[tuple[float, float]], better: tuple[str, str]) -> list[int]:
    """Return which points lie on the front, from the best first figure to the worst.

    A point is beaten by one that is at least as good in both figures and better in one; equal points stand together.

    Args:
        points: Two figures each.
        better: ``less`` or ``more`` for each figure; anything else gives no front.
    """
    if not set(better) <= {"less", "more"}:
        return []
    signs = [1 if one == "less" else -1 for one in better]
    costs = [(x * signs[0], y * signs[1]) for x, y in points]
    found: list[int] = []
    for i in sorted(range(len(costs)), key=costs.__getitem__):
        if not found or costs[i][1] < costs[found[-1]][1] or costs[i] == costs[found[-1]]:
            found.append(i)
    return found


def axes(columns: Sequence[Column]) -> tuple[int, int] | None:
    """Return which columns to draw first: a time (a total if possible) and a quality (of another suite if possible)."""
    times = [i for i, one in enumerate(columns) if one.unit == "s" and one.better == "less"]
    if not times:
        return (0, 1) if len(columns) > 1 else None
    x = max(times, key=lambda i: (columns[i].name.startswith(_WHOLE), len(columns[i].values)))
    rest = [i for i, one in enumerate(columns) if one.better and i not in times]
    if not rest:
        return None if len(times) < 2 else (x, next(i for i in times if i != x))

    def worth(i: int) -> tuple[bool, bool, bool, bool, int, bool]:
        one = columns[i]
        found = {measure.value for seeds in one.values.values() for measure in seeds.values()}
        return (
            one.run != columns[x].run,
            one.better == "more",
            one.unit in _SCORES,
            len(found) > 1,
            len(one.values),
            one.name.startswith(_WHOLE),
        )

    return x, max(rest, key=worth)
