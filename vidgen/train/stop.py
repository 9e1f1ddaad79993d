"""The wish to stop a training: Ctrl-C, or SIGTERM as clusters send it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["stop_asked"]

SAME_WISH = 5.0
"""Signals to stop within so many seconds count as one."""


@contextmanager
def stop_asked() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether SIGINT or SIGTERM came; a second one, later, interrupts at once.

    Under torchrun Ctrl-C comes twice, from the terminal and from the launcher: that is one wish.
    """
    asked: list[float] = []

    def note(number: int, frame: object) -> None:
        asked.append(time.monotonic())
        if asked[-1] - asked[0] > SAME_WISH:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
