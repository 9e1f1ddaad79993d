"""From decoded frames to upright 8-bit sRGB: matrices, ranges, HDR, alpha, rotation, resizing."""

from __future__ import annotations

from functools import cache
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorTrc
from PIL import Image

__all__ = ["centre_crop", "covering_size", "orient", "resize", "rgb", "short_side_size"]

_HDR = {ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67}
_UNSPECIFIED = 2
# Linear light, BT.2020 primaries to BT.709 primaries (ITU-R BT.2087).
_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_REFERENCE_WHITE = 203.0  # nits, ITU-R BT.2408
_PEAK = 1000.0 / _REFERENCE_WHITE
_KNEE = 0.6  # linear light below the knee is left as it is, highlights are rolled off above it


def rgb(frame: av.VideoFrame) -> np.ndarray:
    """Convert one decoded frame to uint8 [H, W, 3] sRGB, as it is stored (not yet turned upright).

    HDR (PQ and HLG) is tone-mapped so that reference white (203 nits) stays near white; alpha is
    blended over black, which is what players show.
    """
    if frame.color_trc in _HDR and not frame.format.is_rgb:
        return _tone_mapped(
            frame.reformat(format="rgb48le", threads=1).to_ndarray(), ColorTrc(frame.color_trc)
        )
    if frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components):
        return over_black(frame.to_ndarray(format="rgba"))
    untagged = frame.colorspace == _UNSPECIFIED and not frame.format.is_rgb
    # Files that do not name their matrix follow the broadcast habit: BT.709 from 720 lines on.
    high_definition = frame.height >= 720 or frame.width >= 1280
    source = "itu709" if untagged and high_definition else None
    # One thread: a frame that a forked data loader frees would wait for threads that only its parent has.
    return frame.reformat(format="rgb24", src_colorspace=source, threads=1).to_ndarray()


def over_black(rgba: np.ndarray) -> np.ndarray:
    """Blend uint8 [..., 4] over black to uint8 [..., 3]."""
    scaled = rgba[..., :3].astype(np.uint16) * rgba[..., 3:] + 127
    return (scaled // 255).astype(np.uint8)


@cache
def _to_linear(transfer: ColorTrc) -> np.ndarray:
    """Return the table from a 16-bit code value to linear light, where 1 is reference white."""
    code = np.linspace(0.0, 1.0, 65536)
    if transfer is ColorTrc.SMPTE2084:
        root = code ** (1 / 78.84375)
        ratio = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
        nits = 10000.0 * ratio ** (1 / 0.1593017578125)
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        nits = 1000.0 * scene**1.2
    return (nits / _REFERENCE_WHITE).astype(np.float32)


@cache
def _to_srgb() -> np.ndarray:
    """Return the table from linear light (4096 steps of its square root) to an 8-bit sRGB value."""
    linear = np.linspace(0.0, 1.0, 4096) ** 2
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(coded * 255).astype(np.uint8)


def _tone_mapped(coded: np.ndarray, transfer: ColorTrc) -> np.ndarray:
    light = np.maximum(_to_linear(transfer)[coded] @ _BT2020_TO_BT709.T, 0.0)
    # The brightest channel decides for all three, so that highlights keep their hue.
    brightest = light.max(axis=-1, keepdims=True)
    over = np.maximum(brightest - _KNEE, 0.0) / (1 - _KNEE)
    peak = (_PEAK - _KNEE) / (1 - _KNEE)
    rolled = _KNEE + (1 - _KNEE) * over * (1 + over / peak**2) / (1 + over)
    light *= np.where(brightest > _KNEE, rolled / np.maximum(brightest, 1e-6), 1.0)
    return _to_srgb()[np.rint(np.sqrt(np.clip(light, 0.0, 1.0)) * 4095).astype(np.uint16)]


def display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """Return (a, b, c, d) of the display matrix (x' = ax + cy, y' = bx + dy), or None without one."""
    side_data: Any = frame.side_data
    for data in side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
            return a, b, c, d
    return None


def orient(image: np.ndarray, matrix: tuple[int, int, int, int] | None) -> np.ndarray:
    """Turn [H, W, 3] upright: quarter turns and mirrorings exactly, other angles to the nearest."""
    if matrix is None:
        return image
    a, b, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        across, down = a, d
    else:
        image, across, down = image.swapaxes(0, 1), c, b
    if across < 0:
        image = image[:, ::-1]
    if down < 0:
        image = image[::-1]
    return np.ascontiguousarray(image)


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize uint8 [H, W, 3] with an antialiased bicubic filter; the same size is left untouched."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def short_side_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Return (height, width) with the shorter side as asked and the aspect kept."""
    short = min(height, width)
    return round(height * short_side / short), round(width * short_side / short)


def covering_size(height: int, width: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest (height, width) of the same aspect that covers ``size``."""
    scale = max(size[0] / height, size[1] / width)
    return max(size[0], round(height * scale)), max(size[1], round(width * scale))


def centre_crop(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Cut the middle ``height`` x ``width`` out of [..., H, W, 3]."""
    top, left = (image.shape[-3] - height) // 2, (image.shape[-2] - width) // 2
    return image[..., top : top + height, left : left + width, :]
