"""Few combinations that hold every pair of parts: two parts that break each other do so in one of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import combinations

__all__ = ["pairs", "pairwise_cover"]

Pair = tuple[tuple[int, str], tuple[int, str]]


def pairs(row: Sequence[str]) -> set[Pair]:
    """Return the pairs of a row's parts, each part with the place where it stands."""
    return set(combinations(enumerate(row), 2))


def pairwise_cover(rows: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Return some of the rows, in which every pair that stands in any of them stands too.

    Greedy: each time the row with the most new pairs, the first of several. The same rows give the same cover.

    Args:
        rows: Combinations of the same length, a part of each kind.
    """
    left = {tuple(row): pairs(row) for row in rows}
    cover = []
    while left:
        best = max(left, key=lambda row: len(left[row]))
        cover.append(best)
        new = left[best]
        left = {row: rest for row, found in left.items() if (rest := found - new)}
    return cover
