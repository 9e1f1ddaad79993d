"""PSNR and SSIM of a video against another, whole or piece by piece.

Videos are compared on the scale [0, 1], which is the data range: uint8 is divided by 255, floats come
in [-1, 1] and what lies beyond is cut off, as saving would do. Both kinds may be mixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from vidgen.errors import SizeError, VideoError
from vidgen.video import Video

__all__ = ["Quality", "psnr", "ssim"]

_MOST = 100.0  # dB, of identical videos
_SMALLEST = 11  # pixels, the window of SSIM
_FRAMES_AT_ONCE = 8


def psnr(a: Video | np.ndarray | Tensor, b: Video | np.ndarray | Tensor) -> Tensor:
    """Return the peak signal-to-noise ratio in dB, from the squared error over all of a video.

    Args:
        a: A Video, uint8 [T, H, W, 3] (array or tensor), or float [3, T, H, W] or [B, 3, T, H, W] in [-1, 1].
        b: The other one, of the same size.

    Returns:
        float64, [B] for batches, else []; at most 100, which is what identical videos get.

    Raises:
        SizeError: Different sizes.
        VideoError: NaN or infinite values, or something that is no video.
    """
    return _measured(a, b, lambda first, second: _decibels(_squared_error(first, second)))


def ssim(a: Video | np.ndarray | Tensor, b: Video | np.ndarray | Tensor) -> Tensor:
    """Return the structural similarity averaged over the frames.

    The window is Gaussian, 11 pixels wide, sigma 1.5; borders are mirrored.

    Args:
        a: A Video, uint8 [T, H, W, 3] (array or tensor), or float [3, T, H, W] or [B, 3, T, H, W] in [-1, 1].
        b: The other one, of the same size, at least 11x11 pixels.

    Returns:
        float64, [B] for batches, else []; 1 for identical videos.

    Raises:
        SizeError: Different sizes, or frames too small for the window.
        VideoError: NaN or infinite values, or something that is no video.
    """
    return _measured(a, b, _similarity)


class Quality:
    """PSNR and SSIM of a long video, gathered piece by piece in bounded memory.

    Equal to `psnr` and `ssim` of the whole.

    Example:
        quality = Quality()
        for piece, copy in zip(pieces, copies, strict=True):
            quality.update(piece, copy)
        print(quality.psnr, quality.ssim)
    """

    def __init__(self) -> None:
        self.frames = 0
        self._error = 0.0
        self._similar = 0.0
        self._size: torch.Size | None = None

    def update(self, a: Video | np.ndarray | Tensor, b: Video | np.ndarray | Tensor) -> None:
        """Add a piece of one video and the same piece of the other, as `psnr` takes them (B = 1)."""
        first, second = _pair(a, b)
        if first.shape[0] != 1:
            raise SizeError(f"Quality follows one video, not a batch of {first.shape[0]}; use one for each")
        if self._size is not None and first.shape[-2:] != self._size:
            raise SizeError(f"a piece of {_words(first.shape[-2:])} follows one of {_words(self._size)}")
        self._size = first.shape[-2:]
        count = first.shape[1]
        self._error += count * _squared_error(first[0], second[0])
        self._similar += count * _similarity(first[0], second[0])
        self.frames += count

    @property
    def psnr(self) -> float:
        """In dB, over all frames so far."""
        return _decibels(self._error / self._counted())

    @property
    def ssim(self) -> float:
        """Mean over all frames so far."""
        return self._similar / self._counted()

    def _counted(self) -> int:
        if not self.frames:
            raise VideoError("no frames were compared yet; call update first")
        return self.frames


def _measured(
    a: Video | np.ndarray | Tensor,
    b: Video | np.ndarray | Tensor,
    measure: Callable[[Tensor, Tensor], float],
) -> Tensor:
    values = [measure(first, second) for first, second in zip(*_pair(a, b), strict=True)]
    batched = isinstance(a, Tensor) and a.ndim == 5
    return torch.tensor(values if batched else values[0], dtype=torch.float64)


def _pair(a: Video | np.ndarray | Tensor, b: Video | np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
    """Return both as [B, T, 3, H, W], uint8 or float as they came."""
    first, second = _framewise(a), _framewise(b)
    if first.shape != second.shape:
        raise SizeError(
            f"cannot compare {_words(first.shape)} with {_words(second.shape)} "
            "(batch x frames x channels x height x width); cut or resize one"
        )
    return first, second


def _framewise(video: Video | np.ndarray | Tensor) -> Tensor:
    if isinstance(video, Video):
        video = video.numpy()
    if isinstance(video, np.ndarray):
        video = torch.from_numpy(np.array(video))
    if video.dtype == torch.uint8 and video.ndim == 4 and video.shape[-1] == 3:
        return rearrange(video, "t h w c -> 1 t c h w")
    if video.is_floating_point() and video.ndim in (4, 5) and video.shape[-4] == 3:
        return rearrange(video if video.ndim == 5 else video[None], "b c t h w -> b t c h w")
    raise VideoError(
        f"{video.dtype} {tuple(video.shape)} is no video; "
        "expected uint8 [T, H, W, 3] or float [3, T, H, W] or [B, 3, T, H, W] in [-1, 1]"
    )


def _unit(frames: Tensor) -> Tensor:
    """Bring [T, 3, H, W] to float32 in [0, 1]."""
    if frames.dtype == torch.uint8:
        return frames.float() / 255
    frames = frames.detach().float()
    if not torch.isfinite(frames).all():
        raise VideoError("a video holds NaN or infinite values; it cannot be measured")
    return ((frames + 1) / 2).clamp(0, 1)


def _averaged(a: Tensor, b: Tensor, measure: Callable[[Tensor, Tensor], Tensor]) -> float:
    """Average a measure of [n, 3, H, W] pairs to [n] over the frames, a few at a time."""
    pairs = zip(a.split(_FRAMES_AT_ONCE), b.split(_FRAMES_AT_ONCE), strict=True)
    values = [measure(_unit(first), _unit(second).to(first.device)) for first, second in pairs]
    return torch.cat(values).double().mean().item()


def _squared_error(a: Tensor, b: Tensor) -> float:
    return _averaged(a, b, lambda first, second: (first - second).double().square().mean(dim=(1, 2, 3)))


def _similarity(a: Tensor, b: Tensor) -> float:
    if min(a.shape[-2:]) < _SMALLEST:
        raise SizeError(f"SSIM needs frames of at least 11x11 pixels, not {_words(a.shape[-2:])}")

    def measure(first: Tensor, second: Tensor) -> Tensor:
        value = structural_similarity_index_measure(first, second, data_range=1.0, reduction="none")
        return value if isinstance(value, Tensor) else value[0]

    return _averaged(a, b, measure)


def _decibels(squared_error: float) -> float:
    return min(_MOST, -10 * math.log10(squared_error)) if squared_error > 0 else _MOST


def _words(shape: torch.Size) -> str:
    return "x".join(map(str, shape))
