"""What was measured, a column a figure: rows of several suites about the same four parts joined. No torch here."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Literal

from vidgen.bench.store import Measure, Row
from vidgen.spec import INTERFACES

__all__ = ["Column", "Parts", "columns", "parts_of", "runs", "systems"]

Parts = tuple[str, str, str, str]
"""Addresses in the order of `INTERFACES`; one that the suite does not read is empty."""


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of one suite for every combination that has it.

    Attributes:
        run: The suite, with what tells its runs apart, such as ``speed (steps=8)``.
        name: Of the measure.
        unit: Empty for plain numbers.
        better: ``less``, ``more`` or empty.
        values: The measure by parts, then by seed.
        masks: Which parts those of `values` read, as truth values.
    """

    run: str
    name: str
    unit: str
    better: Literal["less", "more", ""]
    values: dict[Parts, dict[int, Measure]] = field(default_factory=dict)
    masks: set[tuple[bool, ...]] = field(default_factory=set)

    @property
    def label(self) -> str:
        """Return such as ``speed: decode [s]``."""
        return f"{self.run}: {self.name}" + (f" [{self.unit}]" if self.unit else "")

    def add(self, parts: Parts, seed: int, one: Measure) -> None:
        """Take in the figure of a row."""
        self.values.setdefault(parts, {})[seed] = one
        self.masks.add(tuple(map(bool, parts)))

    def at(self, parts: Parts) -> dict[int, Measure]:
        """Return what is known of a whole system, by seed; a suite that reads fewer parts holds for all the others."""
        for mask in sorted(self.masks, key=sum, reverse=True):
            a, b, c, d = (part if read else "" for part, read in zip(parts, mask, strict=True))
            if found := self.values.get((a, b, c, d)):
                return found
        return {}

    def point(self, parts: Parts) -> tuple[float, float | None, float | None] | None:
        """Return the mean over seeds and its ends: of the measure for one seed, lowest and highest for several."""
        found = list(self.at(parts).values())
        if not found:
            return None
        if len(found) == 1:
            return found[0].value, found[0].low, found[0].high
        values = [one.value for one in found]
        return fmean(values), min(values), max(values)


def parts_of(row: Row) -> Parts:
    """Return the addresses of a row."""
    a, b, c, d = (row.parts.get(kind, "") for kind in INTERFACES)
    return a, b, c, d


def runs(rows: Iterable[Row]) -> dict[str, str]:
    """Return a name for the run that each row (by key) belongs to.

    A suite that ran with one table of settings gives its own name; else what differs is added. Rows that are
    still not told apart (same parts, same seed) are by what differs in their recipes' sampling and flags, and at last
    by a number.
    """
    suites: dict[str, list[Row]] = {}
    for row in rows:
        suites.setdefault(row.suite, []).append(row)
    names: dict[str, str] = {}
    for suite, members in suites.items():
        measured = [row for row in members if row.status != "incompatible"]
        marks = _differing([row.settings for row in measured])
        if max(_takes(marks, measured), default=1) > 1:
            more = _differing([_asked(row) for row in measured])
            marks = [", ".join(filter(None, pair)) for pair in zip(marks, more, strict=True)]
        # Weights that were trained anew, or a plan that names its settings otherwise: nothing else tells them apart.
        takes = [f"take={take}" if take > 1 else "" for take in _takes(marks, measured)]
        marks = [", ".join(filter(None, pair)) for pair in zip(marks, takes, strict=True)]
        named = {
            row.key: f"{suite} ({mark})" if mark else suite for row, mark in zip(measured, marks, strict=True)
        }
        names |= {row.key: named.get(row.key, suite) for row in members}
    return names


def _takes(marks: Sequence[str], rows: Sequence[Row]) -> list[int]:
    """Return for each row how many there are up to it that nothing tells from it."""
    seen: Counter[Any] = Counter()
    found = []
    for mark, row in zip(marks, rows, strict=True):
        place = (mark, parts_of(row), row.seed)
        seen[place] += 1
        found.append(seen[place])
    return found


def _asked(row: Row) -> dict[str, Any]:
    """Return what a row's recipe asks for beside the parts."""
    flags = {name: bool(row.recipe.get(name)) for name in ("foreign", "adapt")}
    return {**(row.recipe.get("sampling") or {}), **flags}


def _differing(tables: Sequence[Mapping[str, Any]]) -> list[str]:
    """Write for each table what not all of them say."""
    keys = dict.fromkeys(itertools.chain.from_iterable(tables))
    texts = [{key: json.dumps(table.get(key), sort_keys=True) for key in keys} for table in tables]
    differing = [key for key in keys if len({text[key] for text in texts}) > 1]
    return [", ".join(f"{key}={text[key].strip(chr(34))}" for key in differing) for text in texts]


def columns(rows: Sequence[Row]) -> list[Column]:
    """Return every figure that rows hold, in the order of their appearance; values that are no number are left out."""
    named = runs(rows)
    found: dict[tuple[str, str, str, str], Column] = {}
    for row in rows:
        if row.status != "ok":
            continue
        for one in row.measures:
            if not math.isfinite(one.value):
                continue
            key = (named[row.key], one.name, one.unit, one.better)
            column = found.setdefault(key, Column(*key[:3], one.better))
            column.add(parts_of(row), row.seed, one)
    return list(found.values())


def systems(rows: Iterable[Row]) -> list[Parts]:
    """Return what rows that came out well are about; parts alone are left out where a fuller combination has them."""
    seen = dict.fromkeys(parts_of(row) for row in rows if row.status == "ok")
    covered: set[Parts] = set()
    for parts in seen:
        for count in range(1, 4):
            for blank in itertools.combinations(range(4), count):
                a, b, c, d = ("" if place in blank else part for place, part in enumerate(parts))
                if (a, b, c, d) != parts:
                    covered.add((a, b, c, d))
    return [parts for parts in seen if parts not in covered and any(parts)]
