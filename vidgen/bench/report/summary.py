"""What all reports say of the rows: how they came out, why some did not, on which machines. No torch here."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from vidgen.bench.store import STATUSES, Row
from vidgen.spec import INTERFACES

__all__ = ["by_reason", "counts", "hosts", "machine", "words"]


def machine(row: Row) -> dict[str, Any]:
    """Return where a row was measured, without what was timed of the row itself."""
    return {key: value for key, value in row.machine.items() if not key.endswith(" seconds")}


def words(row: Row) -> str:
    """Return the parts of a row in one line."""
    return " + ".join(filter(None, (row.parts.get(kind, "") for kind in INTERFACES)))


def counts(rows: Sequence[Row]) -> dict[str, int]:
    """Return how many rows have each status, those that none has left out."""
    found = Counter(row.status for row in rows)
    return {status: found[status] for status in STATUSES if found[status]}


def by_reason(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return the rows that did not come out well by status and reason, the most frequent first."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.status != "ok":
            found.setdefault((row.status, row.reason or "no reason given"), []).append(row)
    order: dict[str, int] = {status: place for place, status in enumerate(STATUSES)}
    return dict(sorted(found.items(), key=lambda pair: (order[pair[0][0]], -len(pair[1]))))


def hosts(rows: Sequence[Row]) -> list[tuple[dict[str, str], int]]:
    """Return every set of machine, versions and commit that rows were measured with, and how many rows."""
    found: Counter[str] = Counter()
    for row in rows:
        if row.status != "incompatible":  # refused before any work
            found[json.dumps(_host(row))] += 1
    return [(json.loads(text), n) for text, n in found.most_common()]


def _host(row: Row) -> dict[str, str]:
    tables: tuple[Mapping[str, Any], ...] = (machine(row), row.versions)
    facts = {key: value for table in tables for key, value in sorted(table.items())}
    facts["commit"] = row.git_commit or "outside a repository"
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}
