"""What the page's script draws, as plain data: figures of combinations, part averages, curves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from vidgen.bench.report.columns import Column, parts_of, systems
from vidgen.bench.report.media import Curve
from vidgen.bench.report.pareto import axes
from vidgen.bench.report.swaps import Averages, Interval, reference, seed_deviation
from vidgen.bench.store import Row
from vidgen.spec import INTERFACES

__all__ = ["drawn"]


def drawn(
    rows: Sequence[Row],
    columns: Sequence[Column],
    averages: Averages,
    curves: Sequence[Curve],
    named: Mapping[str, str],
    number: Mapping[str, int],
) -> dict[str, Any]:
    """Return what the script draws."""
    place = {kind: k for k, kind in enumerate(INTERFACES)}
    sampling = {parts_of(row): row.recipe["sampling"] for row in rows if row.recipe.get("sampling")}
    points = []
    for parts in systems(rows):
        known: dict[int, list[float | int | None]] = {}
        for i, column in enumerate(columns):
            if point := column.point(parts):
                value, low, high = map(_finite, point)
                known[i] = [
                    value,
                    *((low, high) if None not in (low, high) else (None, None)),
                    len(column.at(parts)),
                ]
        steps = sampling.get(parts)
        points.append({"parts": parts, "points": known, "sampling": json.dumps(steps) if steps else ""})
    return {
        "kinds": list(INTERFACES),
        "rows": [
            {
                "run": named[r.key],
                "parts": parts_of(r),
                "seed": r.seed,
                "status": r.status,
                "reason": r.reason,
            }
            for r in rows
        ],
        "columns": [{"label": c.label, "better": c.better, "noise": seed_deviation(c)} for c in columns],
        "systems": points,
        "axes": axes(columns),
        "references": {
            i: {place[kind]: reference(found) for kind, found in kinds.items()}
            for i, kinds in averages.items()
        },
        "swaps": [
            {
                "column": i,
                "kind": place[kind],
                "old": one.old,
                "new": one.new,
                "difference": _ends(one.difference),
                "ratio": one.ratio and _ends(one.ratio),
                "n": one.difference.n,
                "over": one.over,
            }
            for i, kinds in averages.items()
            for kind, found in kinds.items()
            for one in found
        ],
        "curves": [{"row": number[c.key], "name": c.name, "points": c.points} for c in curves],
    }


def _ends(one: Interval) -> list[float | None]:
    return [_finite(value) for value in (one.mean, one.low, one.high)]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
