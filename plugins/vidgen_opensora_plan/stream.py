"""Streams: a clip goes through causal modules in pieces, and what comes out is what the whole clip gives.

Inside `Stream.piece` modules find the stream by `current` and keep in it what they need of the past. A module gives as
many frames as it can and keeps the rest; where two paths meet, `align` waits for the slower one. With the last piece
everything that was kept comes out. Outside a stream none of this happens.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Stream", "align", "current", "through", "windows"]


class Stream:
    """What the modules remember of one clip.

    Attributes:
        last: Whether the piece at hand ends the clip.
        memory: By module.
    """

    def __init__(self) -> None:
        self.last = False
        self.memory: dict[nn.Module, Any] = {}

    @contextlib.contextmanager
    def piece(self, *, last: bool) -> Iterator[None]:
        """Let modules find this stream while a piece goes through."""
        self.last = last
        token = _CURRENT.set(self)
        try:
            yield
        finally:
            _CURRENT.reset(token)


_CURRENT: ContextVar[Stream | None] = ContextVar("stream", default=None)


def current() -> Stream | None:
    """Return the stream that is going through, or None for a whole clip."""
    return _CURRENT.get()


def windows(owner: nn.Module, x: Tensor, kernel: int, stride: int) -> Tensor:
    """Return the frames that a window along time may see now, the past in front.

    Args:
        owner: Whose window it is; its past is kept under it.
        x: New frames ``[B, C, T, H, W]``, maybe none.
        kernel: Frames of the window. Before the clip its first frame is repeated.
        stride: Frames between windows.

    Returns:
        Frames for a whole number of windows; none where there is not enough for one.
    """
    stream = current()
    past = None if stream is None else stream.memory.get(owner)
    if past is None:
        past = x[:, :, :1].expand(-1, -1, kernel - 1, -1, -1)
    frames = torch.cat([past, x], dim=2)
    if stream is None or x.shape[2] == 0:
        return frames if stream is None else frames[:, :, :0]
    count = max(0, (frames.shape[2] - kernel) // stride + 1)
    stream.memory[owner] = frames[:, :, count * stride :]
    return frames[:, :, : (count - 1) * stride + kernel] if count else frames[:, :, :0]


def align(owner: nn.Module, *paths: Tensor) -> tuple[Tensor, ...]:
    """Return the frames that all paths have by now; what one is ahead waits in the stream."""
    stream = current()
    if stream is None:
        return paths
    waiting = stream.memory.get(owner, [path[:, :, :0] for path in paths])
    joined = [torch.cat(pair, dim=2) for pair in zip(waiting, paths, strict=True)]
    count = min(path.shape[2] for path in joined)
    stream.memory[owner] = [path[:, :, count:] for path in joined]
    return tuple(path[:, :, :count] for path in joined)


def through(module: Callable[[Tensor], Tensor], pieces: Iterable[Tensor], frames: int) -> Iterator[Tensor]:
    """Yield what a module gives for a clip that arrives in pieces.

    Args:
        module: Built of modules that stream.
        pieces: Parts ``[B, C, T_i, H, W]`` of one clip in order.
        frames: How many go through at once.
    """
    stream, held = Stream(), None
    parts = (part for piece in pieces for part in piece.split(frames, dim=2) if part.shape[2])
    for part in parts:
        if held is not None:
            with stream.piece(last=False):
                made = module(held)
            if made.shape[2]:
                yield made
        held = part
    if held is not None:
        with stream.piece(last=True):
            made = module(held)
        yield made
