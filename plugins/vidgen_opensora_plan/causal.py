"""Convolutions that see no future, and the ways Open-Sora Plan's autoencoders change sizes with them.

Class names are the published ones, since published configurations name them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = [
    "CausalConv3d",
    "Spatial2xTime2x3DDownsample",
    "Spatial2xTime2x3DUpsample",
    "SpatialDownsample2x",
    "SpatialUpsample2x",
    "TimeDownsample2x",
    "TimeDownsampleRes2x",
    "TimeUpsample2x",
    "TimeUpsampleRes2x",
    "pad_front",
    "upsample_time",
]

MIX = 2.0
"""Where the learned mixture of pooling and convolution starts, before the sigmoid."""


def pad_front(x: Tensor, frames: int) -> Tensor:
    """Repeat the first frame of ``[B, C, T, H, W]`` in front."""
    return torch.cat([x[:, :, :1].expand(-1, -1, frames, -1, -1), x], dim=2) if frames else x


def upsample_time(x: Tensor, mode: str = "trilinear") -> Tensor:
    """Double all frames but the first: t becomes 2 t - 1."""
    if x.shape[2] == 1:
        return x
    rest = functional.interpolate(x[:, :, 1:], scale_factor=(2, 1, 1), mode=mode)
    return torch.cat([x[:, :, :1], rest], dim=2)


class CausalConv3d(nn.Module):
    """A convolution over time and space that sees this frame and those before; the first is repeated in front.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel_size: Of all axes, or (time, height, width).
        stride: Likewise.
        padding: Of height and width.
        bias: Whether to add one.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int | tuple[int, int, int],
        stride: int | tuple[int, int, int] = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, kernel_size, stride, (0, padding, padding), bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, inputs, T, H, W]``; with stride 1 in time T stays."""
        return self.conv(pad_front(x, self.conv.kernel_size[0] - 1))


class SpatialDownsample2x(nn.Module):
    """Halve height and width."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = CausalConv3d(inputs, outputs, (1, 3, 3), (1, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, T, 2h, 2w]`` to ``[B, C, T, h, w]``."""
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


class SpatialUpsample2x(nn.Module):
    """Double height and width: the nearest pixel, then a convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = CausalConv3d(inputs, outputs, (1, 3, 3), padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, T, h, w]`` to ``[B, C, T, 2h, 2w]``."""
        return self.conv(functional.interpolate(x, scale_factor=(1, 2, 2), mode="nearest"))


class TimeDownsample2x(nn.Module):
    """Halve the frames by means of three; no weights."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Map 2 t - 1 frames to t."""
        return functional.avg_pool3d(pad_front(x, 2), (3, 1, 1), stride=(2, 1, 1))


class TimeUpsample2x(nn.Module):
    """Double the frames by interpolation; no weights."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Map t frames to 2 t - 1."""
        return upsample_time(x)


class TimeDownsampleRes2x(nn.Module):
    """Halve the frames by a learned mixture of means and a convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, stride=(2, 1, 1), padding=(0, 1, 1))
        self.mix_factor = nn.Parameter(torch.tensor([MIX]))

    def forward(self, x: Tensor) -> Tensor:
        """Map 2 t - 1 frames to t."""
        part = self.mix_factor.sigmoid()
        x = pad_front(x, 2)
        return part * functional.avg_pool3d(x, (3, 1, 1), stride=(2, 1, 1)) + (1 - part) * self.conv(x)


class TimeUpsampleRes2x(nn.Module):
    """Double the frames by a learned mixture of interpolation and a convolution of it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = CausalConv3d(inputs, outputs, 3, padding=1)
        self.mix_factor = nn.Parameter(torch.tensor([MIX]))

    def forward(self, x: Tensor) -> Tensor:
        """Map t frames to 2 t - 1."""
        part = self.mix_factor.sigmoid()
        x = upsample_time(x)
        return part * x + (1 - part) * self.conv(x)


class Spatial2xTime2x3DDownsample(nn.Module):
    """Halve frames, height and width by one convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = CausalConv3d(inputs, outputs, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, 2t - 1, 2h, 2w]`` to ``[B, C, t, h, w]``."""
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


class Spatial2xTime2x3DUpsample(nn.Module):
    """Double frames, height and width by interpolation, then a convolution.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        mode: How frames are interpolated, ``trilinear`` or ``nearest``; space is always interpolated linearly.
    """

    def __init__(self, inputs: int, outputs: int, mode: str = "trilinear") -> None:
        super().__init__()
        self.mode = mode
        self.conv = CausalConv3d(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, t, h, w]`` to ``[B, C, 2t - 1, 2h, 2w]``."""
        x = upsample_time(x, self.mode)
        return self.conv(functional.interpolate(x, scale_factor=(1, 2, 2), mode="trilinear"))
