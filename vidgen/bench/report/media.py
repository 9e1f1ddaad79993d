"""What rows keep beside their figures: videos of the same prompt, and curves. No torch here."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vidgen.bench.report.summary import words
from vidgen.bench.store import Row, Store

__all__ = ["Curve", "Video", "read_curves", "read_videos"]

SHOWN = ("image/gif", "image/png", "video/mp4", "video/webm")
"""What a page embeds; artefacts of other types are left alone."""
CURVE = "curve:"
VIDEO = "video:"


@dataclass(frozen=True, slots=True)
class Video:
    """A video or picture of a row; those of one name are shown side by side."""

    key: str
    name: str
    words: str
    mime: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Curve:
    """Points (x, y) of a row; ``validation loss by step`` names both axes, a name without ``by`` the second alone."""

    key: str
    name: str
    points: list[tuple[float, float]]


def read_videos(store: Store, rows: Sequence[Row], most: int) -> tuple[list[Video], int]:
    """Return videos of at most so many bytes together, and how many were left out.

    Prompts come whole, one after the other, so that what is shown is shown for every combination; only the first
    prompt, if it alone is too large, is cut.
    """
    owners = {row.key: row for row in rows}
    marks = ", ".join("?" * len(SHOWN))
    listed = store.read(
        f"SELECT key, name, length(data) FROM artefact WHERE mime IN ({marks}) ORDER BY rowid", SHOWN
    )
    prompts: dict[str, list[tuple[str, int]]] = {}
    for key, name, size in listed:
        if key in owners:
            prompts.setdefault(name, []).append((key, size))
    order = {row.key: place for place, row in enumerate(rows)}
    found: list[Video] = []
    room = most
    for name, members in prompts.items():
        if found and sum(size for _, size in members) > room:
            continue
        for key, size in sorted(members, key=lambda pair: order[pair[0]]):
            if size > room:
                continue
            room -= size
            ((mime, data),) = store.read(
                "SELECT mime, CAST(data AS BLOB) FROM artefact WHERE key = ? AND name = ?", (key, name)
            )
            caption = f"{owners[key].suite}: {words(owners[key])}, seed {owners[key].seed}"
            found.append(Video(key, name.removeprefix(VIDEO), caption, mime, data))
    return found, sum(map(len, prompts.values())) - len(found)


def read_curves(store: Store, rows: Sequence[Row]) -> list[Curve]:
    """Return the curves of rows; points that are no numbers are left out."""
    owners = {row.key for row in rows}
    found = []
    for key, name, data in store.read(
        "SELECT key, name, data FROM artefact WHERE mime = 'application/json' AND name LIKE ? ORDER BY rowid",
        (f"{CURVE}%",),
    ):
        points = [(float(x), float(y)) for x, y in _pairs(data)]
        points = [point for point in points if all(map(math.isfinite, point))]
        if key in owners and points:
            found.append(Curve(key, name.removeprefix(CURVE), points))
    return found


def _pairs(data: bytes) -> list[Any]:
    try:
        read = json.loads(data)
    except ValueError:
        return []
    pairs = read if isinstance(read, list) else []
    return [
        pair
        for pair in pairs
        if isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, (int, float)) for one in pair)
    ]
