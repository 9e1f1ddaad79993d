"""The report as one HTML page that needs nothing else: no network, and its tables no JavaScript."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from hashlib import sha256
from html import escape as text
from importlib.resources import files
from typing import Any

from vidgen.bench.report import sections
from vidgen.bench.report.columns import Column, runs
from vidgen.bench.report.drawn import drawn
from vidgen.bench.report.media import Curve, Video
from vidgen.bench.report.summary import counts
from vidgen.bench.report.swaps import Averages
from vidgen.bench.store import Row

__all__ = ["page"]

_GAP = re.compile(r"\{\{(\w+)\}\}")


def page(
    rows: Sequence[Row],
    columns: Sequence[Column],
    averages: Averages,
    *,
    videos: Sequence[Video] = (),
    curves: Sequence[Curve] = (),
    left_out: int = 0,
    title: str = "Benchmark",
) -> str:
    """Return the page.

    Whatever comes out of the rows is escaped; beyond that the page's policy lets only its own script and style run
    (by their digests) and nothing be fetched.

    Args:
        rows: Of one file of results.
        columns: Of these rows.
        averages: Of these columns.
        videos: To embed.
        curves: To draw.
        left_out: How many more videos there are.
        title: Of the page.
    """
    named = runs(rows)
    number = {row.key: i for i, row in enumerate(rows)}
    style, script = _file("page.css"), _file("page.js")
    found = ", ".join(f"{n} {status}" for status, n in counts(rows).items()) or "none"
    dates = sorted(row.started[:16].replace("T", " ") for row in rows if row.started)
    summary = f"{len(rows)} rows: {found}." + (
        f" Measured from {dates[0]} to {dates[-1]} (UTC)." if dates else ""
    )
    gaps = {
        "title": text(title),
        "summary": text(summary),
        "style": style,
        "style_hash": _policy(style),
        "script": script,
        "script_hash": _policy(script),
        "data": _json(drawn(rows, columns, averages, curves, named, number)),
        "tables": "\n".join(sections.tables(rows, named, number)),
        "videos": sections.videos(videos, number, left_out),
        "refused": sections.refused(rows, named, number),
        "hosts": sections.machines(rows),
    }
    # In one pass, so that what is filled in is not looked through for gaps.
    return _GAP.sub(lambda gap: gaps[gap[1]], _file("page.html"))


def _file(name: str) -> str:
    return (files("vidgen.bench.report") / name).read_text("utf-8")


def _policy(code: str) -> str:
    return f"sha256-{base64.b64encode(sha256(code.encode()).digest()).decode()}"


def _json(value: Any) -> str:
    """Write JSON that no HTML parser finds a tag in."""
    letters = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for letter in "<>&":
        letters = letters.replace(letter, f"\\u{ord(letter):04x}")
    return letters
