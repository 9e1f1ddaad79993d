"""Videos as blocks of 4x8x8 pixels, which the autoencoder and the PCA both see."""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor

from vidgen_sora.config import SPACE_STRIDE, TIME_STRIDE

__all__ = ["BLOCK_VALUES", "from_blocks", "repeat_first", "to_blocks"]

BLOCK_VALUES = 3 * TIME_STRIDE * SPACE_STRIDE**2
"""Values of a block: three colours of 4x8x8 pixels."""


def to_blocks(video: Tensor) -> Tensor:
    """Cut a video ``[B, 3, 4t, 8h, 8w]`` into blocks ``[B, t, h, w, 768]``."""
    return rearrange(
        video, "b c (t p) (h q) (w r) -> b t h w (c p q r)", p=TIME_STRIDE, q=SPACE_STRIDE, r=SPACE_STRIDE
    )


def from_blocks(blocks: Tensor) -> Tensor:
    """Join blocks ``[B, t, h, w, 768]`` into a video ``[B, 3, 4t, 8h, 8w]``."""
    return rearrange(
        blocks, "b t h w (c p q r) -> b c (t p) (h q) (w r)", p=TIME_STRIDE, q=SPACE_STRIDE, r=SPACE_STRIDE
    )


def repeat_first(video: Tensor) -> Tensor:
    """Repeat the first frame three times in front, so that 1 + 4k frames become whole groups of four."""
    return torch.cat([video[:, :, :1].expand(-1, -1, TIME_STRIDE - 1, -1, -1), video], dim=2)
