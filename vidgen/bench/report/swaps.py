"""What swapping one part costs or gains, all else equal: differences within groups that share the other parts."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from vidgen.bench.report.columns import Column
from vidgen.bench.store import Measure
from vidgen.spec import INTERFACES

__all__ = ["Averages", "Interval", "Swap", "averages", "interval", "reference", "seed_deviation", "swaps"]

# Student's t at 97.5 % for 1 to 30 degrees of freedom.
_T = (
    12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448,
    2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687,
    2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its 95 % confidence interval; a single sample has none."""

    mean: float
    low: float | None
    high: float | None
    n: int

    def side(self, neutral: float) -> str:
        """Return ``less`` or ``more`` where the whole interval is so; nothing else."""
        if self.low is None or self.high is None:
            return ""
        return "less" if self.high < neutral else "more" if self.low > neutral else ""

    def through(self, function: Callable[[float], float]) -> Interval:
        """Return the same of a rising function of what was averaged."""
        low, high = (None if end is None else function(end) for end in (self.low, self.high))
        return Interval(function(self.mean), low, high, self.n)

    def turned(self, function: Callable[[float], float]) -> Interval:
        """Return the same of a falling function of it."""
        found = self.through(function)
        return Interval(found.mean, found.high, found.low, self.n)


@dataclass(frozen=True, slots=True)
class Swap:
    """One part in the place of another.

    Attributes:
        kind: The interface.
        old: The part that goes.
        new: The part that comes.
        difference: New minus old.
        ratio: New by old (geometric mean); None for decibels and where a value is not above zero.
        over: What the samples are: ``groups`` that share the other parts, or ``seeds`` of the only group.
    """

    kind: str
    old: str
    new: str
    difference: Interval
    ratio: Interval | None
    over: Literal["groups", "seeds"]

    def reversed(self) -> Swap:
        """Return the swap the other way round."""
        return Swap(
            self.kind,
            self.new,
            self.old,
            self.difference.turned(lambda value: -value),
            self.ratio and self.ratio.turned(lambda value: 1 / value),
            self.over,
        )

    def verdict(self, better: str) -> str:
        """Say ``better`` or ``worse`` where the interval of the difference or of the ratio lies on one side.

        Costs may add up or multiply, so either will do; where they contradict each other nothing is said.
        """
        sides = {
            side
            for one, neutral in ((self.difference, 0.0), (self.ratio, 1.0))
            if one and (side := one.side(neutral))
        }
        if len(sides) != 1 or better not in ("less", "more"):
            return ""
        return "better" if sides == {better} else "worse"


Averages = Mapping[int, Mapping[str, Sequence[Swap]]]
"""Swaps by the number of their column and by kind."""


def quantile(freedom: int) -> float:
    """Return Student's t at 97.5 %; beyond the table by its expansion about the normal one (within 1e-4)."""
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = 1.959964
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def interval(samples: Sequence[float]) -> Interval:
    """Return the mean of samples with its 95 % confidence interval by Student's t."""
    n = len(samples)
    mean = math.fsum(samples) / n
    if n < 2:
        return Interval(mean, None, None, n)
    half = quantile(n - 1) * math.sqrt(_squares(samples, mean) / (n - 1) / n)
    return Interval(mean, mean - half, mean + half, n)


def _squares(samples: Sequence[float], mean: float) -> float:
    """Return the sum of squared distances from the mean; `statistics` is exact, and 30 times slower."""
    return math.fsum((one - mean) ** 2 for one in samples)


def averages(columns: Sequence[Column]) -> Averages:
    """Return the swaps of every figure that has a better side; figures and kinds without any are left out."""
    found: dict[int, dict[str, list[Swap]]] = {}
    for number, column in enumerate(columns):
        for kind in INTERFACES if column.better else ():
            if pairs := swaps(column, kind):
                found.setdefault(number, {})[kind] = pairs
    return found


def swaps(column: Column, kind: str) -> list[Swap]:
    """Return every pair of parts of a kind that at least one group holds, each once.

    Only seeds that both have are compared. A group gives one sample, its mean over seeds; where there is
    a single group, its seeds are the samples.
    """
    place = INTERFACES.index(kind)
    known: dict[str, dict[tuple[str, ...], dict[int, Measure]]] = {}
    for parts, seeds in column.values.items():
        if parts[place]:
            known.setdefault(parts[place], {})[(*parts[:place], *parts[place + 1 :])] = seeds
    found = []
    for old, new in itertools.combinations(known, 2):
        groups = [
            list(_pairs(known[old][others], known[new][others]))
            for others in known[old]
            if others in known[new]
        ]
        if groups := [group for group in groups if group]:
            found.append(_swap(kind, old, new, groups, column.unit))
    return found


def _pairs(old: dict[int, Measure], new: dict[int, Measure]) -> Iterator[tuple[float, float]]:
    for seed, one in old.items():
        if seed in new:
            yield one.value, new[seed].value


def _swap(kind: str, old: str, new: str, groups: list[list[tuple[float, float]]], unit: str) -> Swap:
    alone = len(groups) == 1
    samples = [[pair] for pair in groups[0]] if alone else groups
    difference = interval([sum(b - a for a, b in group) / len(group) for group in samples])
    ratio = None
    if unit != "dB" and all(a > 0 and b > 0 for group in groups for a, b in group):
        logs = [sum(math.log(b / a) for a, b in group) / len(group) for group in samples]
        ratio = interval(logs).through(lambda value: math.exp(min(value, 700)))
    return Swap(kind, old, new, difference, ratio, "seeds" if alone and len(samples) > 1 else "groups")


def reference(pairs: Sequence[Swap]) -> str:
    """Return the part that the most groups hold, the first among equals."""
    counts: Counter[str] = Counter()
    for one in pairs:
        counts.update({one.old: one.difference.n, one.new: one.difference.n})
    return counts.most_common(1)[0][0]


def seed_deviation(column: Column) -> tuple[float, int] | None:
    """Return how much a figure varies by the seed alone: the pooled deviation, and over how many combinations."""
    several = [[one.value for one in seeds.values()] for seeds in column.values.values() if len(seeds) > 1]
    if not several:
        return None
    freedom = sum(len(values) - 1 for values in several)
    return math.sqrt(sum(_squares(values, fmean(values)) for values in several) / freedom), len(several)
