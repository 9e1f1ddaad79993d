"""Decide which frames and pixels of a clip make a sample, and cut them out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from vidgen.size import Size
from vidgen_folder.config import CutConfig

__all__ = ["Cut", "draw_cut", "looped", "resize"]

_RGB = (0, 1, 2)
_GAMMA = 0.2  # log of gamma and of contrast are drawn within +- these
_CONTRAST = 0.15
_SHUFFLED = 0.2  # part of the samples whose colours change places


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """A sample's place in a clip, and how it is changed.

    Attributes:
        frames: The clip's frames to take, in order, `[T]`.
        top: First row of the crop, in parts of the rows that are left over, in [0, 1].
        left: Likewise for columns.
        scale: Side of the crop relative to the largest that fits.
        flip: Mirror left and right.
        colours: Order of the channels.
        gamma: Exponent on values in [0, 1].
        contrast: Factor about mid grey.
    """

    frames: np.ndarray
    top: float = 0.5
    left: float = 0.5
    scale: float = 1.0
    flip: bool = False
    colours: tuple[int, ...] = _RGB
    gamma: float = 1.0
    contrast: float = 1.0

    def apply(self, video: np.ndarray, size: Size) -> np.ndarray:
        """Crop, resize and change frames.

        Args:
            video: uint8 `[T, H, W, 3]`, the frames already chosen.
            size: What comes out.
        """
        height, width = video.shape[1:3]
        largest = min(height / size.height, width / size.width)
        scale = max(self.scale * largest, min(1.0, largest))  # no needless enlarging
        rows = min(height, max(1, round(size.height * scale)))
        columns = min(width, max(1, round(size.width * scale)))
        top, left = round(self.top * (height - rows)), round(self.left * (width - columns))
        video = resize(video[:, top : top + rows, left : left + columns], size.height, size.width)
        if self.flip or self.colours != _RGB:
            changed = np.empty_like(video)
            for channel, source in enumerate(self.colours):  # planes copy faster than pixels of three bytes
                changed[..., channel] = video[:, :, :: -1 if self.flip else 1, source]
            video = changed
        if self.gamma != 1 or self.contrast != 1:
            levels = np.linspace(0, 1, 256) ** self.gamma
            levels = ((levels - 0.5) * self.contrast + 0.5).clip(0, 1)
            table = np.rint(levels * 255).astype(np.uint8).tobytes()
            video = np.frombuffer(bytearray(video.tobytes().translate(table)), np.uint8).reshape(video.shape)
        return np.ascontiguousarray(video)


def draw_cut(config: CutConfig, available: int, frames: int, rng: np.random.Generator) -> Cut:
    """Draw a sample's place and changes.

    Args:
        config: What may be drawn.
        available: Frames of the clip.
        frames: Frames wanted; a clip with fewer is played forth and back.
        rng: Source of chance.
    """
    stride = 1
    if config.augment and frames > 1:
        most = min(config.max_stride, max(1, (available - 1) // (frames - 1)))
        stride = int(rng.integers(1, most + 1))
    start = int(rng.integers(max(1, available - (frames - 1) * stride)))
    chosen = looped(start + stride * np.arange(frames), available)
    if not config.augment:
        return Cut(frames=chosen)
    low, high = np.log(config.scales)
    top, left, scale, flip, reverse, shuffle = rng.random(6)
    gamma, contrast = rng.uniform(-1, 1, 2)
    shuffled = tuple(int(channel) for channel in rng.permutation(3))
    return Cut(
        frames=chosen[::-1] if config.reverse and reverse < 0.5 else chosen,
        top=float(top),
        left=float(left),
        scale=math.exp(low + (high - low) * scale),
        flip=config.flip and bool(flip < 0.5),
        colours=shuffled if config.jitter and shuffle < _SHUFFLED else _RGB,
        gamma=math.exp(_GAMMA * gamma) if config.jitter else 1.0,
        contrast=math.exp(_CONTRAST * contrast) if config.jitter else 1.0,
    )


def looped(positions: np.ndarray, available: int) -> np.ndarray:
    """Fold positions into [0, available), forth and back: 0 1 2 1 0 1 ..."""
    period = max(1, 2 * (available - 1))
    folded = positions % period
    return np.minimum(folded, period - folded) if available > 1 else np.zeros_like(positions)


def resize(video: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize uint8 `[T, H, W, 3]` with an antialiased bilinear filter; the same size is left untouched."""
    if video.shape[1:3] == (height, width):
        return video
    # Channels-last bytes, on which torch needs no conversion to float.
    pixels = torch.from_numpy(np.ascontiguousarray(video)).permute(0, 3, 1, 2)
    small = functional.interpolate(pixels, size=(height, width), mode="bilinear", antialias=True)
    return small.permute(0, 2, 3, 1).contiguous().numpy()
