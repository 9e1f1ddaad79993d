"""Progress bars for whatever lasts over a second; silent where nobody looks (no terminal)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

__all__ = ["progress"]


@contextlib.contextmanager
def progress(label: str, total: int | None, *, show: bool | None = None) -> Iterator[Callable[..., None]]:
    """Show a bar with the time left and yield ``advance(n=1, **columns)``.

    Args:
        label: What is going on.
        total: How many steps; None when nobody knows.
        show: None shows it on a terminal only.
    """
    if not (sys.stderr.isatty() if show is None else show):
        yield lambda n=1, **columns: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TimeRemainingColumn(), TextColumn("{task.fields[note]}"))  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, note="")

        def advance(n: int = 1, **values: object) -> None:
            bar.update(task, advance=n, note=" ".join(f"{key} {value}" for key, value in values.items()))

        yield advance
