"""Reconstruction: a clip through an autoencoder and back, piece by piece, at any size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import torch
from torch import Tensor

from vidgen.interfaces import VideoAutoencoder
from vidgen.sampling.device import place_of
from vidgen.sampling.tiles import decode_tiles, encode_tiles
from vidgen.size import Size
from vidgen.video import Video

__all__ = ["reconstruct", "reconstruct_stream"]


def reconstruct(
    autoencoder: VideoAutoencoder,
    video: Video,
    *,
    fit: Literal["refuse", "pad"] = "pad",
    tile: int | None = None,
) -> Video:
    """Encode and decode a video in memory.

    Args:
        autoencoder: The part to go through.
        video: Any video.
        fit: ``pad`` replicates the last row, column and frame and crops back; ``refuse`` names the nearest sizes.
        tile: Pixels of a tile's side, for frames too large for the memory; None takes whole frames.

    Raises:
        SizeError: With ``refuse``, for a size that does not fit; for a tile that the stride does not divide.
    """
    if fit == "refuse":
        autoencoder.check_size(Size(*video.size))
    frames = torch.cat(list(reconstruct_stream(autoencoder, [video.tensor()], tile=tile)), dim=2)
    return Video.from_tensor(frames.cpu(), fps=video.fps, clamp=True)


@torch.inference_mode()
def reconstruct_stream(
    autoencoder: VideoAutoencoder, pieces: Iterable[Tensor], *, tile: int | None = None
) -> Iterator[Tensor]:
    """Encode and decode a clip that arrives in pieces, in bounded memory where the autoencoder streams.

    Args:
        autoencoder: The part to go through.
        pieces: Parts ``[1, 3, T_i, H, W]`` in [-1, 1], in order.
        tile: Pixels of a tile's side; None takes whole frames.

    Yields:
        Parts ``[1, 3, T_j, H, W]`` in float32, as many frames in all as came in.
    """
    seen = height = width = 0
    latent = autoencoder.latent
    device, dtype = place_of(autoencoder)

    def padded() -> Iterator[Tensor]:
        nonlocal seen, height, width
        last = None
        for piece in pieces:
            seen += piece.shape[2]
            height, width = piece.shape[-2:]
            target = latent.padded(Size(1, height, width))
            pad = (0, target.width - width, 0, target.height - height, 0, 0)
            last = (
                torch.nn.functional.pad(piece.to(device, dtype), pad, mode="replicate")
                if any(pad)
                else piece.to(device, dtype)
            )
            yield last
        if last is not None:
            missing = latent.padded(Size(seen, height, width)).frames - seen
            if missing:
                yield last[:, :, -1:].expand(-1, -1, missing, -1, -1)

    if tile is None:
        made = autoencoder.decode_stream(autoencoder.encode_stream(padded()))
    else:
        made = decode_tiles(autoencoder, encode_tiles(autoencoder, padded(), tile), tile)
    done = 0
    for part in made:
        part = part[..., :height, :width].float()
        keep = min(part.shape[2], seen - done)
        done += keep
        if keep:
            yield part[:, :, :keep]
