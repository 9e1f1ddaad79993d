"""Modules of Wan's autoencoder: convolutions that see no future, and clips that go through them in pieces.

A clip always goes through with a `Past`, in which modules keep what they need of it; so the whole clip, pieces of it
and a stream of unknown length are one computation. Tensor names are those of diffusers' ``AutoencoderKLWan``.
Wan 2.1, https://arxiv.org/abs/2503.20314. Letters: B batch, C channels, T frames.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vidgen.nn.attention import attention

__all__ = [
    "AttentionBlock",
    "CausalConv3d",
    "Downsample",
    "Past",
    "RMSNorm",
    "ResidualBlock",
    "Upsample",
    "convolved",
]


class Past:
    """What modules keep of a clip whose pieces go through them."""

    def __init__(self) -> None:
        self.frames: dict[nn.Module, Tensor] = {}
        self.met: set[nn.Module] = set()

    def begins(self, module: nn.Module) -> bool:
        """Return whether a module meets the clip for the first time."""
        first = module not in self.met
        self.met.add(module)
        return first


class CausalConv3d(nn.Conv3d):
    """A convolution that sees this frame and those before; before the clip there is nothing (zeros).

    Args:
        inputs: Channels in.
        outputs: Channels out.
        kernel: Of all axes, or (time, height, width); the sides keep their size.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int | tuple[int, int, int]) -> None:
        time, high, wide = (kernel,) * 3 if isinstance(kernel, int) else kernel
        super().__init__(inputs, outputs, (time, high, wide), padding=(0, high // 2, wide // 2))
        self.reach = time - 1

    def forward(self, x: Tensor, past: Past) -> Tensor:  # type: ignore[override]  # it has a past
        """Map ``[B, C, T, H, W]`` that follow what went through before."""
        if self.reach == 0:
            return super().forward(x)
        kept = past.frames.get(self)
        if kept is None:
            kept = x.new_zeros(*x.shape[:2], self.reach, *x.shape[3:])
        return self.over(torch.cat([kept, x], dim=2), past)

    def room(self, x: Tensor, past: Past) -> Tensor:
        """Return memory for frames like ``x``, the kept ones in front; who makes the new ones writes them there."""
        shape = (*x.shape[:2], self.reach + x.shape[2], *x.shape[3:])
        frames = torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=torch.channels_last_3d)
        kept = past.frames.get(self)
        frames[:, :, : self.reach] = 0 if kept is None else kept
        return frames

    def over(self, frames: Tensor, past: Past) -> Tensor:
        """Map frames with the kept ones in front; of them only the last few are copied, to be kept."""
        first = self not in past.frames
        past.frames[self] = frames[:, :, -self.reach :].clone()
        if first and frames.shape[2] == self.reach + 1:  # all but the kernel's last moment would meet zeros
            kernel = self.weight[:, :, self.reach :]
            return functional.conv3d(frames[:, :, self.reach :], kernel, self.bias, padding=self.padding)
        return super().forward(frames)


class RMSNorm(nn.Module):
    """Divide by the root of the mean square over the channels, and scale each channel.

    Args:
        channels: How many.
        axes: Axes behind the channels in the published weight.
    """

    def __init__(self, channels: int, axes: int = 3) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, *[1] * axes))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise ``[B, C, ...]``, at least in float32 inside."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        size = torch.linalg.vector_norm(wide, dim=1, keepdim=True).clamp(min=1e-12)
        return (wide * (x.shape[1] ** 0.5 / size)).to(x.dtype) * self.gamma

    def write(self, x: Tensor, place: Tensor) -> None:
        """Write the normalised ``x``, then its SiLU, into `place`; without gradients."""
        wide = torch.promote_types(x.dtype, torch.float32)
        size = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=wide).clamp_(min=1e-12)
        torch.mul(x, size.reciprocal_().mul_(x.shape[1] ** 0.5).to(x.dtype), out=place)
        functional.silu(place.mul_(self.gamma), inplace=True)


def convolved(norm: RMSNorm, conv: CausalConv3d, x: Tensor, past: Past) -> Tensor:
    """Return the convolution of the SiLU of the normalised ``x``; no copy of it is made on the way."""
    if torch.is_grad_enabled():
        return conv(functional.silu(norm(x)), past)
    frames = conv.room(x, past)
    norm.write(x, frames[:, :, conv.reach :])
    return conv.over(frames, past)


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1 = RMSNorm(inputs)
        self.conv1 = CausalConv3d(inputs, outputs, 3)
        self.norm2 = RMSNorm(outputs)
        self.conv2 = CausalConv3d(outputs, outputs, 3)
        self.conv_shortcut = CausalConv3d(inputs, outputs, 1) if inputs != outputs else None

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """Refine ``[B, C, T, H, W]``."""
        made = convolved(self.norm1, self.conv1, x, past)
        made = convolved(self.norm2, self.conv2, made, past)
        return made + (x if self.conv_shortcut is None else self.conv_shortcut(x, past))


class AttentionBlock(nn.Module):
    """Attention with one head within each frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = RMSNorm(channels, axes=2)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """Refine ``[B, C, T, H, W]``."""
        frames = rearrange(x, "b c t h w -> (b t) c h w")
        qkv = rearrange(self.to_qkv(self.norm(frames)), "n (three c) h w -> three n 1 (h w) c", three=3)
        read = rearrange(attention(*qkv), "n 1 (h w) c -> n c h w", h=x.shape[3])
        return x + rearrange(self.proj(read), "(b t) c h w -> b c t h w", b=len(x))


class Downsample(nn.Module):
    """Halve the sides, and with `time` the frames but the first."""

    def __init__(self, channels: int, *, time: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(channels, channels, 3, stride=2))
        self.time_conv = nn.Conv3d(channels, channels, (3, 1, 1), stride=(2, 1, 1)) if time else None

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """Map ``[B, C, T, 2h, 2w]``; with `time` one frame and pairs of frames, later pairs alone."""
        x = _each_frame(self.resample, x)
        if self.time_conv is None:
            return x
        kept = past.frames.get(self)
        past.frames[self] = x[:, :, -1:].clone()
        if kept is not None:
            return self.time_conv(torch.cat([kept, x], dim=2))
        return torch.cat([x[:, :, :1], self.time_conv(x)], dim=2) if x.shape[2] > 1 else x


class DoublingConv2d(nn.Conv2d):
    """A 3x3 convolution of the picture whose sides were doubled by repeating its pixels.

    Of the nine pixels that it meets several are one: for each of four kinds of new pixels (odd or even row and column)
    it is a 2x2 convolution of the picture as it was, with weights added up; 4/9 of the work, and nothing is repeated.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, D, 2h, 2w]``."""
        kernel = self.weight.to(torch.promote_types(self.weight.dtype, torch.float32))
        rows = torch.stack((_folded(kernel, 2, 0), _folded(kernel, 2, 1)))
        kernel = (
            torch.stack((_folded(rows, 4, 0), _folded(rows, 4, 1)), dim=1).flatten(0, 2).to(self.weight.dtype)
        )
        bias = None if self.bias is None else self.bias.repeat(4)
        made = functional.conv2d(x, kernel.contiguous(memory_format=torch.channels_last), bias, padding=1)
        n, count, (h, w) = len(x), self.out_channels, x.shape[2:]
        doubled = made.new_empty(n, count, 2 * h, 2 * w).contiguous(memory_format=torch.channels_last)
        for number, part in enumerate(made.split(count, dim=1)):
            row, column = divmod(number, 2)
            doubled[:, :, row::2, column::2] = part[:, :, row : row + h, column : column + w]
        return doubled


def _folded(kernel: Tensor, axis: int, odd: int) -> Tensor:
    """Add up, of three weights along an axis, the two that meet one pixel: the last for even pixels, else the first."""
    first, middle, last = kernel.unbind(axis)
    return torch.stack((first + middle, last) if odd else (first, middle + last), dim=axis)


class Upsample(nn.Module):
    """Double the sides and halve the channels; with `time` double the frames but the first."""

    def __init__(self, channels: int, *, time: bool) -> None:
        super().__init__()
        self.resample = nn.Sequential(nn.Identity(), DoublingConv2d(channels, channels // 2))
        self.time_conv = CausalConv3d(channels, 2 * channels, (3, 1, 1)) if time else None

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """Map ``[B, C, T, h, w]``; the clip's first frame stays one, and the others do not see it."""
        if self.time_conv is not None:
            single = 1 if past.begins(self) else 0
            parts = [x[:, :, :single]]
            if x.shape[2] > single:
                made = self.time_conv(x[:, :, single:], past)
                parts.append(rearrange(made, "b (two c) t h w -> b c (t two) h w", two=2))
            x = torch.cat(parts, dim=2) if single else parts[-1]
        return _each_frame(self.resample, x)


def _each_frame(module: nn.Module, x: Tensor) -> Tensor:
    frames = module(rearrange(x, "b c t h w -> (b t) c h w"))
    return rearrange(frames, "(b t) c h w -> b c t h w", b=len(x))
