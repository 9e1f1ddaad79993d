"""All rows as a table for spreadsheets and data frames: a line a row, three columns a figure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from vidgen.bench.store import Row
from vidgen.spec import INTERFACES

__all__ = ["table"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def table(rows: Sequence[Row]) -> str:
    """Return CSV; a figure that a row lacks is empty, and text that a spreadsheet would run gets an apostrophe."""
    names = list(dict.fromkeys((row.suite, one.name, one.unit) for row in rows for one in row.measures))
    titles = [f"{suite}: {name}" + (f" [{unit}]" if unit else "") for suite, name, unit in names]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    head = ["key", "suite", *INTERFACES, "status", "reason", "seed", "started", "seconds", "load", "git_commit",
            "machine", "versions", "settings", "recipe"]  # fmt: skip
    figures = [column for title in titles for column in (title, f"{title} low", f"{title} high")]
    writer.writerow([_safe(cell) for cell in (*head, *figures)])
    for row in rows:
        known = {(row.suite, one.name, one.unit): one for one in row.measures}
        tables = [
            json.dumps(one, sort_keys=True) for one in (row.machine, row.versions, row.settings, row.recipe)
        ]
        parts = [row.parts.get(kind, "") for kind in INTERFACES]
        cells: list[Any] = [
            row.key,
            row.suite,
            *parts,
            row.status,
            row.reason,
            row.seed,
            row.started,
            row.seconds,
        ]
        cells += [row.load, row.git_commit, *tables]
        for name in names:
            one = known.get(name)
            cells += [one.value, one.low, one.high] if one else [None] * 3
        writer.writerow([_safe(cell) for cell in cells])
    return file.getvalue()


def _safe(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
