"""How the command line prints: tables for people on a terminal, whole lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["note", "print_json", "print_table", "short"]


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """Print rows; in a pipe nothing is cut off and rich is not needed."""
    rows = list(rows)
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(title=title or None, title_justify="left", title_style="bold")
        for name in columns:
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        Console().print(table)
        return
    if title:
        print(title)
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_json(value: Any) -> None:
    """Print JSON; what has no form of its own there is written as text."""

    def words(one: Any) -> Any:
        return sorted(one) if isinstance(one, frozenset) else str(one)

    print(json.dumps(value, indent=2, default=words))


def note(text: str) -> None:
    """Say something beside the result, on stderr."""
    print(text, file=sys.stderr)


def short(value: Any, most: int = 48) -> str:
    """Write a value in at most so many letters; None as a dash."""
    if value is None:
        return "-"
    if isinstance(value, frozenset):
        return ", ".join(sorted(value)) or "none"
    text = value if isinstance(value, str) and value else repr(value)
    return text if len(text) <= most else f"{text[: most - 3]}..."
