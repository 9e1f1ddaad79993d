"""The report as Markdown."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

from vidgen.bench.report.columns import Column, Parts, runs, systems
from vidgen.bench.report.figures import figure, span
from vidgen.bench.report.pareto import axes, front
from vidgen.bench.report.summary import by_reason, counts, hosts, words
from vidgen.bench.report.swaps import Averages, Swap, reference, seed_deviation
from vidgen.bench.store import Row
from vidgen.spec import INTERFACES

__all__ = ["markdown"]

MOST_ROWS = 200
"""Of a table; the rest is in rows.csv."""
_MARKS = re.compile(r"([\\`*_\[\]|~#])")


def text(value: str) -> str:
    """Return text that neither Markdown nor HTML reads anything into."""
    return _MARKS.sub(r"\\\1", html.escape(" ".join(value.split()), quote=False))


def markdown(
    rows: Sequence[Row], columns: Sequence[Column], averages: Averages, *, title: str = "Benchmark"
) -> str:
    """Return the report.

    Args:
        rows: Of one file of results.
        columns: Of these rows.
        averages: Of these columns.
        title: The heading.
    """
    found = ", ".join(f"{n} {status}" for status, n in counts(rows).items()) or "no rows"
    return "\n".join(
        [
            f"# {text(title)}",
            "",
            f"{len(rows)} rows: {found}. All figures are in `rows.csv`, plots and videos in `report.html`.",
            *_measured(rows),
            *_front(rows, columns),
            *_swaps(columns, averages),
            *_refused(rows),
            *_hosts(rows),
            "",
        ]
    )


def _table(head: Iterable[str], lines: Sequence[Iterable[str]]) -> list[str]:
    """Write a table of cells that are escaped already."""
    head = list(head)
    shown = [head, ["---"] * len(head), *lines[:MOST_ROWS]]
    more = [f"\n{len(lines) - MOST_ROWS} more in `rows.csv`."] if len(lines) > MOST_ROWS else []
    return ["", *(f"| {' | '.join(line)} |" for line in shown), *more]


def _measured(rows: Sequence[Row]) -> list[str]:
    page: list[str] = []
    named = runs(rows)
    good = [row for row in rows if row.status == "ok"]
    for run in dict.fromkeys(named[row.key] for row in good):
        members = [row for row in good if named[row.key] == run]
        kinds = [kind for kind in INTERFACES if any(row.parts.get(kind) for row in members)]
        names = dict.fromkeys((one.name, one.unit) for row in members for one in row.measures)
        lines = []
        for row in members:
            known = {(one.name, one.unit): one for one in row.measures}
            cells = [_value(known[name]) if name in known else "" for name in names]
            lines.append([*(text(row.parts.get(kind, "")) for kind in kinds), text(str(row.seed)), *cells])
        head = [*kinds, "seed", *(text(f"{name} [{unit}]" if unit else name) for name, unit in names)]
        page += ["", f"## {text(run)}", *_table(map(_words, head), lines)]
    return page


def _value(one: object) -> str:
    value, low, high = (getattr(one, name) for name in ("value", "low", "high"))
    ends = span(low, high)
    return f"{figure(value)} ({ends})" if ends else figure(value)


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _front(rows: Sequence[Row], columns: Sequence[Column]) -> list[str]:
    pair = axes(columns)
    if pair is None:
        return []
    x, y = columns[pair[0]], columns[pair[1]]
    known: list[tuple[Parts, tuple[float, float]]] = []
    for parts in systems(rows):
        a, b = x.point(parts), y.point(parts)
        if a and b:
            known.append((parts, (a[0], b[0])))
    best = [known[i] for i in front([point for _, point in known], (x.better, y.better))]
    if not best:
        return []
    lines = [[*map(text, parts), figure(a), figure(b)] for parts, (a, b) in best]
    return [
        "",
        "## Pareto front",
        "",
        f"Of {len(known)} combinations, those that no other beats in both figures.",
        *_table([*map(_words, INTERFACES), text(x.label), text(y.label)], lines),
    ]


def _swaps(columns: Sequence[Column], averages: Averages) -> list[str]:
    page: list[str] = []
    for number, kinds in averages.items():
        column = columns[number]
        lines = [line for pairs in kinds.values() for line in _swapped(pairs, column)]
        noise = seed_deviation(column)
        by_seed = (
            f" By its seed alone a combination varies by {figure(noise[0])} ({noise[1]} measured)."
            if noise
            else ""
        )
        head = ("part", "new", "instead of", "difference", "95 %", "times", "95 %", "n", "")
        page += ["", f"### {text(column.label)}", "", f"{column.better.capitalize()} is better.{by_seed}"]
        page += _table(head, lines)
    if not page:
        return []
    return [
        "",
        "## What swapping a part costs or gains",
        "",
        "New minus old within groups that share the other three parts (and the seed), its mean over n groups with",
        "the 95 % confidence interval by Student's t, and new by old (geometric mean). Groups that share a trained",
        "part are not independent: read the intervals as narrow ones. Where there is one group its seeds are the",
        "samples. Better or worse is said where the interval of the difference or of the ratio lies on one side.",
        *page,
    ]


def _swapped(pairs: Sequence[Swap], column: Column) -> list[list[str]]:
    base = reference(pairs)
    lines = []
    for pair in pairs:
        if base not in (pair.old, pair.new):
            continue
        one = pair if pair.old == base else pair.reversed()
        ratio = one.ratio
        lines.append(
            [
                _words(one.kind),
                text(one.new),
                text(one.old),
                figure(one.difference.mean),
                span(one.difference.low, one.difference.high),
                figure(ratio.mean) if ratio else "",
                span(ratio.low, ratio.high) if ratio else "",
                f"{one.difference.n}{' seeds' if one.over == 'seeds' else ''}",
                one.verdict(column.better),
            ]
        )
    return lines


def _refused(rows: Sequence[Row]) -> list[str]:
    groups = by_reason(rows)
    if not groups:
        return []
    lines = []
    for (status, reason), members in groups.items():
        distinct = list(dict.fromkeys(words(row) for row in members))
        shown = "; ".join(map(text, distinct[:3])) + (
            f"; and {len(distinct) - 3} more" if len(distinct) > 3 else ""
        )
        lines.append([status, text(reason), str(len(members)), shown])
    return ["", "## What did not run", *_table(("status", "reason", "rows", "combinations"), lines)]


def _hosts(rows: Sequence[Row]) -> list[str]:
    found = hosts(rows)
    page = ["", "## Machine and versions"] if found else []
    if len(found) > 1:
        page += ["", f"Measured in {len(found)} settings: compare times across them with care."]
    for facts, n in found:
        page += [
            "",
            f"{n} rows:",
            *_table(("fact", "value"), [[text(key), text(value)] for key, value in facts.items()]),
        ]
    loads = [row.load for row in rows if row.status == "ok"]
    if loads:
        page += ["", f"Load average when rows began: {figure(min(loads))} to {figure(max(loads))}."]
    return page
