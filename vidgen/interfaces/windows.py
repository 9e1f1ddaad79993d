"""Overlapping windows: streams of autoencoders that look further than a stream can (norms or attention over time).

The result is not what the whole clip gives, but near it: each window is coded as a clip of its own, and of what two of
them share the better half is taken. Positions are counted in latent frames; under a causal rule the first stands for
one frame, so that a later window begins with the last frame of a group and its first latent is never used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from vidgen.contract import LatentSpec

__all__ = ["decode_windows", "encode_windows"]


def encode_windows(
    encode: Callable[[Tensor], Tensor],
    pieces: Iterable[Tensor],
    latent: LatentSpec,
    window: int,
    overlap: int,
) -> Iterator[Tensor]:
    """Yield the latents of a clip, window by window.

    Args:
        encode: Of a whole clip.
        pieces: Parts ``[B, 3, T_i, H, W]`` of one clip in order, of any lengths.
        latent: The latent space.
        window: Latent frames of a window.
        overlap: Latent frames that two windows share, below `window`.
    """
    head = _head(latent)
    count = head + latent.time_stride * (window - head)
    for clip, first, last in _cut(pieces, count, latent.time_stride * (window - overlap)):
        low, high = _kept(latent, window, overlap, first=first, last=last)
        yield encode(clip)[:, :, low:high]


def decode_windows(
    decode: Callable[[Tensor], Tensor],
    pieces: Iterable[Tensor],
    latent: LatentSpec,
    window: int,
    overlap: int,
) -> Iterator[Tensor]:
    """Yield the frames of latents that arrive in pieces; arguments as for `encode_windows`."""
    head, stride = _head(latent), latent.time_stride
    for latents, first, last in _cut(pieces, window, window - overlap):
        low, high = _kept(latent, window, overlap, first=first, last=last)
        start = 0 if low == 0 else head + stride * (low - head)
        yield decode(latents)[:, :, start : None if high is None else head + stride * (high - head)]


def _head(latent: LatentSpec) -> int:
    """Return how many latent frames stand for a single frame at the beginning."""
    return 1 if latent.frame_rule == "causal" else 0


def _kept(
    latent: LatentSpec, window: int, overlap: int, *, first: bool, last: bool
) -> tuple[int, int | None]:
    """Return which latent frames of a window are taken: what is shared comes from where it sees more."""
    cut = overlap if latent.frame_rule == "causal" else overlap // 2
    return 0 if first else cut, None if last else window - (overlap - cut)


def _cut(pieces: Iterable[Tensor], count: int, step: int) -> Iterator[tuple[Tensor, bool, bool]]:
    """Yield windows of `count` frames, each `step` after the one before, and whether it is the first or the last."""
    waiting: Tensor | None = None
    first = True
    for piece in pieces:
        waiting = piece if waiting is None else torch.cat([waiting, piece], dim=2)
        while waiting.shape[2] > count:
            yield waiting[:, :, :count], first, False
            waiting, first = waiting[:, :, step:], False
    if waiting is not None:
        yield waiting, first, True
