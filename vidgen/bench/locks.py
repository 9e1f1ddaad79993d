"""Files that one process at a time can hold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

__all__ = ["locked"]


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a file that one process at a time can hold; it lets go when the process ends, however it does.

    Raises:
        BlockingIOError: When another one holds it and `wait` is False.
    """
    try:
        import fcntl
    except ImportError:  # Windows: nobody is kept out
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
