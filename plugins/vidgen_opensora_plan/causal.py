"""Convolutions that see no future, and the ways Open-Sora Plan's autoencoders change sizes with them.

Class names are the published ones, since published configurations name them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidgen_opensora_plan.stream import current, windows

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
    "upsample_time",
]

MIX = 2.0
"""Where the learned mixture of pooling and convolution starts, before the sigmoid."""


def upsample_time(owner: nn.Module, x: Tensor, mode: str = "trilinear") -> Tensor:
    """Double all frames but the first: t becomes 2 t - 1. In a stream the last one waits for its neighbour."""
    stream = current()
    first, kept = (True, None) if stream is None else stream.memory.get(owner, (True, None))
    if x.shape[2] == 0 and kept is None:
        return x
    head, rest = (x[:, :, :1], x[:, :, 1:]) if first else (x[:, :, :0], x)
    rest = rest if kept is None else torch.cat([kept, rest], dim=2)
    if rest.shape[2] == 0:
        if stream is not None:
            stream.memory[owner] = (False, None)
        return head
    made = functional.interpolate(rest, scale_factor=(2, 1, 1), mode=mode)
    if stream is not None:
        stream.memory[owner] = (False, rest[:, :, -1:])
        made = made[:, :, 0 if kept is None else 1 : made.shape[2] - (0 if stream.last else 1)]
    return torch.cat([head, made], dim=2)


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
        self.padding = padding
        self.conv = nn.Conv3d(inputs, outputs, kernel_size, stride, (0, padding, padding), bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, inputs, T, H, W]``; with stride 1 in time T stays."""
        frames = windows(self, x, self.conv.kernel_size[0], self.conv.stride[0])
        if frames.shape[2] == 0:
            return self._nothing(frames)
        return self.conv(frames)

    def _nothing(self, x: Tensor) -> Tensor:
        """Return no frames, of the size that the convolution would give."""
        conv = self.conv
        (high, wide), (down, across) = conv.kernel_size[1:], conv.stride[1:]
        sides = (
            (x.shape[3] + 2 * self.padding - high) // down + 1,
            (x.shape[4] + 2 * self.padding - wide) // across + 1,
        )
        return x.new_zeros(len(x), conv.out_channels, 0, *sides)


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
        return functional.avg_pool3d(windows(self, x, 3, 2), (3, 1, 1), stride=(2, 1, 1))


class TimeUpsample2x(nn.Module):
    """Double the frames by interpolation; no weights."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Map t frames to 2 t - 1."""
        return upsample_time(self, x)


class TimeDownsampleRes2x(nn.Module):
    """Halve the frames by a learned mixture of means and a convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, stride=(2, 1, 1), padding=(0, 1, 1))
        self.mix_factor = nn.Parameter(torch.tensor([MIX]))

    def forward(self, x: Tensor) -> Tensor:
        """Map 2 t - 1 frames to t."""
        part = self.mix_factor.sigmoid()
        x = windows(self, x, 3, 2)
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
        x = upsample_time(self, x)
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
        x = upsample_time(self, x, self.mode)
        if x.shape[2] == 0:
            return self.conv(x.new_zeros(*x.shape[:3], 2 * x.shape[3], 2 * x.shape[4]))
        return self.conv(functional.interpolate(x, scale_factor=(1, 2, 2), mode="trilinear"))
