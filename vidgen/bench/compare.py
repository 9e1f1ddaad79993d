"""Two files of results against each other: what became worse, and by enough to believe it. No torch here."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vidgen.bench.report.summary import machine
from vidgen.bench.store import Measure, Row, Store
from vidgen.errors import ConfigError

__all__ = ["ABSOLUTE", "Change", "Comparison", "compare"]

ABSOLUTE: Mapping[str, float] = MappingProxyType(
    {"s": 0.02, "ms": 20.0, "MB": 32.0, "GB": 0.03, "dB": 0.3, "%": 2.0}
)
"""Changes at most so large are noise, by unit; others have no such limit."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure of one combination, before and after.

    Attributes:
        suite: The suite.
        parts: The addresses, by kind.
        seed: Of the row.
        name: Of the measure; ``status`` where the row itself came out otherwise.
        old: The value before; for a status its word.
        new: The value after; for a status its word and the reason.
        unit: Of the values.
    """

    suite: str
    parts: Mapping[str, str]
    seed: int
    name: str
    old: float | str
    new: float | str
    unit: str = ""

    @property
    def relative(self) -> float | None:
        """Return the change as a share of the old value; None where there is no such share."""
        if isinstance(self.old, str) or isinstance(self.new, str) or not self.old:
            return None
        return (self.new - self.old) / abs(self.old)

    def __str__(self) -> str:
        parts = " + ".join(filter(None, self.parts.values()))
        if isinstance(self.old, str) or isinstance(self.new, str):
            return f"{self.suite}: {parts}, seed {self.seed}: {self.old} -> {self.new}"
        share = "" if self.relative is None else f" ({self.relative:+.1%})"
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.suite}: {parts}, seed {self.seed}: {self.name} {self.old:.4g} -> {self.new:.4g}{unit}{share}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two files of results say about each other.

    Attributes:
        regressions: What became worse: first rows that no longer come out well, then figures, the worst first.
        improvements: The same for the better.
        missing: Rows that only the old file has.
        added: Rows that only the new file has.
        measures: How many figures were compared.
        rows: How many rows are in both files.
        notes: Why figures may differ for another reason, such as another machine.
    """

    regressions: tuple[Change, ...]
    improvements: tuple[Change, ...]
    missing: int
    added: int
    measures: int
    rows: int
    notes: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        lines = [
            f"{self.measures} figures compared, {len(self.regressions)} worse, {len(self.improvements)} better"
        ]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"worse: {change}" for change in self.regressions]
        lines += [f"better: {change}" for change in self.improvements]
        if self.missing or self.added:
            lines.append(f"rows only before: {self.missing}, only after: {self.added}")
        return "\n".join(lines)


def compare(
    old: str | Path, new: str | Path, relative: float = 0.1, absolute: Mapping[str, float] | None = None
) -> Comparison:
    """Compare rows of the same suite, parts, settings and seed.

    A figure is worse (or better) only when it changed by more than both limits; one that says nothing of better is
    not compared. A row that came out well before and does not now is a regression whatever the limits.

    Args:
        old: File of results to start from.
        new: File of results to judge.
        relative: Limit as a share of the old value.
        absolute: Limits by measure (``{"decode": 0.1}``) or by unit (``{"s": 0.1}``); a measure goes before its
            unit, and both before `ABSOLUTE`.

    Raises:
        ResultsError: For a file that holds no results.
        ConfigError: For a limit below zero.
    """
    limits = {**ABSOLUTE, **(absolute or {})}
    for name, limit in {"relative": relative, **limits}.items():
        if not limit >= 0:
            raise ConfigError(f"the limit {name!r} must be at least 0, not {limit}.")
    before, after = _rows(old), _rows(new)
    both = _pairs(before, after)
    worse: list[tuple[float, Change]] = []
    better: list[tuple[float, Change]] = []
    count = 0
    for was, now in both:
        if (was.status == "ok") != (now.status == "ok"):
            word = f"{now.status}: {now.reason}" if now.reason else now.status
            place = worse if was.status == "ok" else better
            place.append((math.inf, _change(now, "status", was.status, word)))
            continue
        known = {one.name: one for one in was.measures}
        for one in now.measures:
            past = known.get(one.name)
            if past is None or past.unit != one.unit or past.better != one.better or not one.better:
                continue
            count += 1
            limit = limits.get(one.name, limits.get(one.unit, 0.0))
            loss = _loss(past, one)
            if abs(loss) > max(relative * abs(past.value), limit):
                share = abs(loss / past.value) if past.value else math.inf
                change = _change(now, one.name, past.value, one.value, one.unit)
                (worse if loss > 0 else better).append((share, change))
    return Comparison(
        regressions=_worst_first(worse),
        improvements=_worst_first(better),
        missing=len(before) - len(both),
        added=len(after) - len(both),
        measures=count,
        rows=len(both),
        notes=tuple(_notes(before, after)),
    )


def _rows(path: str | Path) -> list[Row]:
    with Store(path, create=False) as store:
        return store.rows()


def _pairs(before: Sequence[Row], after: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Return rows of the same measurement.

    The key changes with any default of a part: rows whose key is in one file alone are told by what was asked for, and
    where that is the same for several, by their order.
    """
    keys = {row.key: row for row in after}
    pairs = {row.key: (row, keys[row.key]) for row in before if row.key in keys}
    left: dict[str, deque[Row]] = {}
    for row in after:
        if row.key not in pairs:
            left.setdefault(_asked(row), deque()).append(row)
    for row in before:
        if row.key not in pairs and (same := left.get(_asked(row))):
            pairs[row.key] = row, same.popleft()
    return [pairs[row.key] for row in before if row.key in pairs]


def _asked(row: Row) -> str:
    """Return what a row measures, as text."""
    recipe = [row.recipe.get(name) for name in ("sampling", "foreign", "adapt")]
    return _text([row.suite, row.parts, row.settings, recipe, row.seed])


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _loss(old: Measure, new: Measure) -> float:
    """Return by how much the new value is worse; below zero where it is better."""
    if new.value == old.value:  # also where both are endless
        return 0.0
    return new.value - old.value if new.better == "less" else old.value - new.value


def _change(row: Row, name: str, old: float | str, new: float | str, unit: str = "") -> Change:
    return Change(row.suite, row.parts, row.seed, name, old, new, unit)


def _worst_first(found: list[tuple[float, Change]]) -> tuple[Change, ...]:
    return tuple(change for _, change in sorted(found, key=lambda pair: -pair[0]))


def _notes(old: Sequence[Row], new: Sequence[Row]) -> list[str]:
    notes = []
    facts: tuple[tuple[str, Callable[[Row], Any]], ...] = (
        ("the machine differs", machine),
        ("the versions differ", lambda row: row.versions),
    )
    for words, fact in facts:
        before, after = ({_text(fact(row)) for row in rows if row.status == "ok"} for rows in (old, new))
        if before and after and before != after:
            notes.append(f"{words} between the two files")
    return notes
