"""Spatial tiles: videos too large for the memory go through an autoencoder in overlapping tiles that are blended.

All tiles of a clip stream side by side, so that the frames so far are whole. Each tile is weighted down to nothing,
as a squared sine, towards its inner borders, where it saw the least; all weights add up to one everywhere.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor

from vidgen.errors import SizeError
from vidgen.interfaces import VideoAutoencoder

__all__ = ["decode_tiles", "encode_tiles", "tile_starts"]

Streamed = Callable[[Iterable[Tensor]], Iterator[Tensor]]


def encode_tiles(
    autoencoder: VideoAutoencoder, pieces: Iterable[Tensor], tile: int, overlap: int | None = None
) -> Iterator[Tensor]:
    """Encode a clip that arrives in pieces, tile by tile.

    Args:
        autoencoder: Any; how it streams holds for each tile.
        pieces: Parts ``[B, 3, T_i, H, W]`` of one clip in order.
        tile: Side of a tile in pixels, a multiple of the autoencoder's stride.
        overlap: Pixels that neighbours share, likewise; a quarter of the tile where it is not said.

    Yields:
        Parts of the latents ``[B, C, t_j, h, w]`` in order.

    Raises:
        SizeError: For a tile or an overlap that does not fit.
    """
    side, shared = _in_latents(autoencoder, tile, overlap)
    return _blended(autoencoder.encode_stream, pieces, side, shared, (autoencoder.latent.space_stride, 1))


def decode_tiles(
    autoencoder: VideoAutoencoder, pieces: Iterable[Tensor], tile: int, overlap: int | None = None
) -> Iterator[Tensor]:
    """Decode latents ``[B, C, t_i, h, w]`` that arrive in pieces, tile by tile; arguments as for `encode_tiles`.

    Yields:
        Parts of the video ``[B, 3, T_j, H, W]`` in order.
    """
    side, shared = _in_latents(autoencoder, tile, overlap)
    return _blended(autoencoder.decode_stream, pieces, side, shared, (1, autoencoder.latent.space_stride))


def tile_starts(length: int, side: int, overlap: int) -> list[int]:
    """Return where tiles begin along an axis; the last one ends with it, and may share more.

    Args:
        length: Of the axis.
        side: Of a tile.
        overlap: Of neighbours, below `side`.
    """
    last = max(length - side, 0)
    return [*range(0, last, side - overlap), last]


def _in_latents(autoencoder: VideoAutoencoder, tile: int, overlap: int | None) -> tuple[int, int]:
    """Return a tile's side and what neighbours share, in latents."""
    stride = autoencoder.latent.space_stride
    shared = tile // 4 // stride * stride if overlap is None else overlap
    if tile < stride or tile % stride or shared % stride or not 0 <= shared < tile:
        raise SizeError(
            f"A tile of {tile} pixels that shares {shared} with its neighbours does not fit: both must be multiples "
            f"of the autoencoder's stride {stride}, and the tile larger than what is shared."
        )
    return tile // stride, shared // stride


def _blended(
    run: Streamed, pieces: Iterable[Tensor], side: int, overlap: int, scales: tuple[int, int]
) -> Iterator[Tensor]:
    """Run a stream for each tile and join what they give.

    Args:
        run: The stream of a tile.
        pieces: Of the whole clip.
        side: Of a tile, in latents.
        overlap: In latents.
        scales: Pixels or latents to a latent, of what goes in and of what comes out.
    """
    pieces, (inner, outer) = iter(pieces), scales
    first = next(pieces, None)
    if first is None:
        return
    sides = [length // inner for length in first.shape[-2:]]
    starts = [tile_starts(length, side, overlap) for length in sides]
    weights = [_weights(*axis, side, overlap, outer) for axis in zip(sides, starts, strict=True)]
    copies = itertools.tee(itertools.chain([first], pieces), len(starts[0]) * len(starts[1]))
    spots = list(itertools.product(*(list(enumerate(axis)) for axis in starts)))

    def cut(copy: Iterable[Tensor], y: int, x: int) -> Iterator[Tensor]:
        for piece in copy:
            yield piece[..., inner * y : inner * (y + side), inner * x : inner * (x + side)]

    streams = [run(cut(copy, y, x)) for copy, ((_, y), (_, x)) in zip(copies, spots, strict=True)]
    for parts in zip(*streams, strict=True):
        whole = parts[0].new_zeros(*parts[0].shape[:3], *(outer * length for length in sides))
        for part, ((row, y), (column, x)) in zip(parts, spots, strict=True):
            window = whole[..., outer * y : outer * (y + side), outer * x : outer * (x + side)]
            high, wide = part.shape[-2:]
            weight = weights[0][row, outer * y :][:high, None] * weights[1][column, outer * x :][:wide]
            window += part * weight.to(part)
        yield whole


def _weights(length: int, starts: list[int], side: int, overlap: int, scale: int) -> Tensor:
    """Return the weight of each tile ``[tiles, scale * length]`` along an axis; they add up to one."""
    ramp = (torch.arange(scale * side) + 0.5) / max(scale * overlap, 1)
    ramp = (torch.pi / 2 * ramp.clamp(max=1)).sin().square()
    weights = torch.zeros(len(starts), scale * length)
    for row, start in zip(weights, starts, strict=True):
        here = row[scale * start : scale * (start + side)]
        here += 1
        if start > 0:
            here *= ramp[: len(here)]
        if start + side < length:
            here *= ramp[: len(here)].flip(0)
    return weights / weights.sum(dim=0)
