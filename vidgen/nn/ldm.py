"""Blocks of the latent-diffusion autoencoder and the ladder they stand in, under their published tensor names.

Latent diffusion (https://arxiv.org/abs/2112.10752) set the form: levels of residual blocks, a middle with
attention, and back. Later video autoencoders keep it and change the convolutions. Everything here works on
videos ``[B, C, T, H, W]``; what `per_frame` wraps sees each frame as an image and also takes images ``[B, C, H, W]``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vidgen.nn.attention import attention

__all__ = [
    "AttentionBlock",
    "Conv2d",
    "Decoder",
    "Downsample",
    "Encoder",
    "FrameResnetBlock",
    "Level",
    "ResnetBlock",
    "Upsample",
    "group_norm",
    "per_frame",
]

Make = Callable[[int, int], nn.Module]
"""Makes a block from its channels in and out."""


def per_frame(forward: Callable[[Any, Tensor], Tensor]) -> Callable[[Any, Tensor], Tensor]:
    """Let a module's `forward` for images take videos ``[B, C, T, H, W]`` too, frame by frame."""

    @functools.wraps(forward)
    def folded(self: Any, x: Tensor) -> Tensor:
        if x.ndim == 4:
            return forward(self, x)
        y = forward(self, rearrange(x, "b c t h w -> (b t) c h w"))
        return rearrange(y, "(b t) c h w -> b c t h w", b=len(x))

    return folded


def group_norm(channels: int) -> nn.GroupNorm:
    """Return the norm of the published models: 32 groups; over all frames of a video at once."""
    return nn.GroupNorm(32, channels, eps=1e-6)


class Conv2d(nn.Conv2d):
    """A convolution over each frame."""

    @per_frame
    def forward(self, x: Tensor) -> Tensor:
        """Map images or videos."""
        return super().forward(x)


class ResnetBlock(nn.Module):
    """``x + conv(silu(norm(conv(silu(norm(x))))))``.

    Args:
        inputs: Channels in.
        outputs: Channels out; where they differ the skip is a 1x1 convolution.
        conv: Makes a convolution of (channels in, channels out, kernel size, padding=).
        norm: Makes a norm of a number of channels.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        conv: Callable[..., nn.Module] = nn.Conv2d,
        norm: Callable[[int], nn.Module] = group_norm,
    ) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(inputs), conv(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = norm(outputs), conv(outputs, outputs, 3, padding=1)
        self.nin_shortcut = nn.Identity() if inputs == outputs else conv(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, inputs, ...]`` to ``[B, outputs, ...]``."""
        h = self.conv1(functional.silu(self.norm1(x)))
        h = self.conv2(functional.silu(self.norm2(h)))
        return self.nin_shortcut(x) + h


class FrameResnetBlock(ResnetBlock):
    """The residual block of images, over each frame."""

    @per_frame
    def forward(self, x: Tensor) -> Tensor:
        """Map images or videos."""
        return super().forward(x)


class AttentionBlock(nn.Module):
    """One head of attention among the positions of a frame, added to its input.

    Args:
        channels: Channels in and out.
        conv: Makes the 1x1 convolutions.
        norm: Makes the norm.
    """

    def __init__(
        self,
        channels: int,
        *,
        conv: Callable[..., nn.Module] = nn.Conv2d,
        norm: Callable[[int], nn.Module] = group_norm,
    ) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v, self.proj_out = (conv(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """Map images or videos to the same shape."""
        if 0 in x.shape:  # a stream may have no frame to give yet
            return x
        h = self.norm(x)
        return x + self.proj_out(self.attend(self.q(h), self.k(h), self.v(h)))

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend within each frame of queries, keys and values of the shape of the input."""
        time = {"t": q.shape[2]} if q.ndim == 5 else {}
        axes = "(b t)" if time else "b"
        shape = "b c t h w" if time else "b c h w"
        flat = [rearrange(one, f"{shape} -> {axes} 1 (h w) c") for one in (q, k, v)]
        return rearrange(attention(*flat), f"{axes} 1 (h w) c -> {shape}", h=q.shape[-2], **time)


class Downsample(nn.Module):
    """Halve height and width by a strided convolution, padded below and to the right only."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, stride=2)

    @per_frame
    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, 2h, 2w]`` to ``[B, C, h, w]``."""
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Double height and width: the nearest pixel, then a convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    @per_frame
    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, h, w]`` to ``[B, C, 2h, 2w]``."""
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Level:
    """One level of a ladder.

    Attributes:
        width: Channels.
        block: Makes its residual blocks.
        attend: Whether attention follows each of them.
        space: Makes what halves (or doubles) height and width after the blocks; None keeps them.
        time: Makes what halves (or doubles) the frames after that; None keeps them.
    """

    width: int
    block: Make
    attend: bool = False
    space: Make | None = None
    time: Make | None = None


class _Rung(nn.Module):
    """The residual blocks of a level and what changes the size after them."""

    def __init__(
        self, inputs: int, level: Level, blocks: int, attention: Callable[[int], nn.Module], way: str
    ) -> None:
        super().__init__()
        widths = [inputs, *[level.width] * blocks]
        self.block = nn.ModuleList(level.block(*pair) for pair in pairwise(widths))
        self.attn = nn.ModuleList(attention(level.width) for _ in range(blocks if level.attend else 0))
        self._after = []
        for name, make in ((f"{way}sample", level.space), (f"time_{way}sample", level.time)):
            if make is not None:
                self.add_module(name, make(level.width, level.width))
                self._after.append(name)

    def forward(self, x: Tensor) -> Tensor:
        for index, block in enumerate(self.block):
            x = block(x)
            if self.attn:
                x = self.attn[index](x)
        for name in self._after:
            x = getattr(self, name)(x)
        return x


class _Middle(nn.Module):
    def __init__(self, width: int, block: Make, attention: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.block_1, self.attn_1, self.block_2 = block(width, width), attention(width), block(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Encoder(nn.Module):
    """Down the ladder: from pixels to the moments of the latents.

    Args:
        levels: The levels, finest first.
        blocks: Residual blocks a level.
        conv_in: From pixels to `first` channels.
        first: Channels that `conv_in` gives.
        middle: Makes the residual blocks of the middle.
        attention: Makes attention of a number of channels.
        conv_out: Makes the last convolution from its channels in.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        *,
        blocks: int,
        conv_in: nn.Module,
        first: int,
        middle: Make,
        attention: Callable[[int], nn.Module],
        conv_out: Callable[[int], nn.Module],
    ) -> None:
        super().__init__()
        self.conv_in = conv_in
        widths = [first, *(level.width for level in levels)]
        self.down = nn.ModuleList(
            _Rung(width, level, blocks, attention, "down")
            for width, level in zip(widths, levels, strict=False)
        )
        self.mid = _Middle(widths[-1], middle, attention)
        self.norm_out, self.conv_out = group_norm(widths[-1]), conv_out(widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Map pixels to moments."""
        x = self.conv_in(x)
        for rung in self.down:
            x = rung(x)
        return self.conv_out(functional.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """Up the ladder: from latents to pixels; arguments as for `Encoder`, `levels` finest first too."""

    def __init__(
        self,
        levels: Sequence[Level],
        *,
        blocks: int,
        conv_in: Callable[[int], nn.Module],
        middle: Make,
        attention: Callable[[int], nn.Module],
        conv_out: Callable[[int], nn.Module],
    ) -> None:
        super().__init__()
        widths = [*(level.width for level in levels), levels[-1].width]
        self.conv_in = conv_in(widths[-1])
        self.mid = _Middle(widths[-1], middle, attention)
        self.up = nn.ModuleList(
            _Rung(width, level, blocks, attention, "up")
            for width, level in zip(widths[1:], levels, strict=True)
        )
        self.norm_out, self.conv_out = group_norm(widths[0]), conv_out(widths[0])

    def forward(self, x: Tensor) -> Tensor:
        """Map latents to pixels."""
        x = self.mid(self.conv_in(x))
        for rung in reversed(self.up):
            x = rung(x)
        return self.conv_out(functional.silu(self.norm_out(x)))
