"""What Wan's transformer is built of.

Norms, modulation and residual sums are computed in float32, as published. Tensor names are those of diffusers'
``WanTransformer3DModel``. Letters: B batch, L tokens, S text tokens, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vidgen.nn.attention import attention
from vidgen.nn.pixart import FeedForward
from vidgen.size import Size
from vidgen_wan.config import WanConfig

__all__ = ["Block", "ImageEmbedder", "KeysValues", "TextRead", "modulated", "positions", "waves"]

KeysValues = tuple[Tensor, Tensor]
"""Each ``[B, heads, S, D / heads]``."""


@dataclass(frozen=True, slots=True)
class TextRead:
    """What the tokens of one block read.

    Attributes:
        keys_values: Of the text.
        image: Of an image; None without one.
        mask: Which text tokens to read, boolean ``[B, 1, 1, S]``; None for all.
    """

    keys_values: KeysValues
    image: KeysValues | None
    mask: Tensor | None


class Attention(nn.Module):
    """Attention with normalised queries and keys, the norm over all heads together."""

    def __init__(self, config: WanConfig, *, image: bool = False) -> None:
        super().__init__()
        width, self.heads = config.heads * config.head_width, config.heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.norm_q, self.norm_k = (nn.RMSNorm(width, eps=config.epsilon) for _ in range(2))
        if image:
            self.add_k_proj, self.add_v_proj = nn.Linear(width, width), nn.Linear(width, width)
            self.norm_added_k = nn.RMSNorm(width, eps=config.epsilon)

    def split(self, x: Tensor) -> Tensor:
        """Split ``[B, L, D]`` into heads ``[B, heads, L, D / heads]``."""
        return rearrange(x, "b l (h d) -> b h l d", h=self.heads)

    def keys_values(self, tokens: Tensor) -> KeysValues:
        """Return what the text's tokens are read by."""
        return self.split(self.norm_k(self.to_k(tokens))), self.split(self.to_v(tokens))

    def image_keys_values(self, tokens: Tensor) -> KeysValues:
        """Return what an image's tokens are read by."""
        return self.split(self.norm_added_k(self.add_k_proj(tokens))), self.split(self.add_v_proj(tokens))

    def mix(self, x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
        """Let tokens attend to each other, each turned by its position."""
        q, k, v = self.split(self.norm_q(self.to_q(x))), *self.keys_values(x)
        return self._joined(attention(turned(q, *turns), turned(k, *turns), v))

    def read(self, x: Tensor, text: TextRead) -> Tensor:
        """Let tokens read the text, and an image if there is one."""
        q = self.split(self.norm_q(self.to_q(x)))
        made = attention(q, *text.keys_values, text.mask)
        return self._joined(made if text.image is None else made + attention(q, *text.image))

    def _joined(self, x: Tensor) -> Tensor:
        return self.to_out[0](rearrange(x, "b h l d -> b l (h d)"))


class Block(nn.Module):
    """Self-attention, the text, and a perceptron."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        width = config.heads * config.head_width
        self.epsilon = config.epsilon
        self.attn1 = Attention(config)
        self.attn2 = Attention(config, image=config.image_width is not None)
        self.norm2 = FloatLayerNorm(width, config.epsilon) if config.cross_norm else None
        self.ffn = FeedForward(width, config.hidden)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, width) / width**0.5)

    def forward(self, x: Tensor, shared: Tensor, turns: tuple[Tensor, Tensor], text: TextRead) -> Tensor:
        """Refine tokens ``[B, L, D]``.

        Args:
            x: The tokens.
            shared: The time's modulation ``[B, 1 or L, 6, D]``.
            turns: Cosines and sines of the positions ``[L, head width / 2]``.
            text: What is read.
        """
        table = self.scale_shift_table.float() + shared.float()
        shift1, scale1, gate1, shift2, scale2, gate2 = table.unbind(2)
        x = gated(x, self.attn1.mix(modulated(x, shift1, scale1, self.epsilon), turns), gate1)
        quiet = x if self.norm2 is None else self.norm2(x)
        x = x + self.attn2.read(quiet, text)
        return gated(x, self.ffn(modulated(x, shift2, scale2, self.epsilon)), gate2)


class FloatLayerNorm(nn.LayerNorm):
    """A layer norm that reckons in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis."""
        weight, bias = self.weight.float(), self.bias.float()
        return functional.layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps).to(x.dtype)


class ImageEmbedder(nn.Module):
    """Tokens of an image into the transformer's width."""

    def __init__(self, config: WanConfig) -> None:
        super().__init__()
        inputs, width = config.image_width or 0, config.heads * config.head_width
        self.norm1, self.norm2 = FloatLayerNorm(inputs, 1e-5), FloatLayerNorm(width, 1e-5)
        self.ff = FeedForward(inputs, inputs, width, approximate="none")
        places = config.image_places
        self.pos_embed = None if places is None else nn.Parameter(torch.zeros(1, places, inputs))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map ``[B, N, image width]`` to ``[B, N, D]``."""
        tokens = tokens if self.pos_embed is None else tokens + self.pos_embed
        made: Tensor = self.norm2(self.ff(self.norm1(tokens)))
        return made


def modulated(x: Tensor, shift: Tensor, scale: Tensor, epsilon: float) -> Tensor:
    """Normalise tokens ``[B, L, D]`` without weights, then scale and shift them by float32 ``[B, 1 or L, D]``."""
    quiet = functional.layer_norm(x.float(), x.shape[-1:], eps=epsilon)
    return torch.addcmul(shift, quiet, 1 + scale).to(x.dtype)


def gated(x: Tensor, made: Tensor, gate: Tensor) -> Tensor:
    """Add what was made, weighted by a float32 gate ``[B, 1 or L, D]``."""
    return torch.addcmul(x.float(), made.float(), gate).to(x.dtype)


def waves(told: Tensor, width: int) -> Tensor:
    """Return cosines, then sines ``[..., width]`` of what is told of the time ``[...]``, in float32 as published."""
    half = width // 2
    rates = torch.exp(-math.log(10_000) * torch.arange(half, dtype=torch.float32, device=told.device) / half)
    angles = told.float()[..., None] * rates
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def positions(grid: Size, head_width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cosines and sines ``[L, head width / 2]`` of the places of tokens (t, h, w), in float32.

    A third of the pairs (rounded down) turns with the height, as many with the width, the others with the time.
    """
    side = 2 * (head_width // 6)
    angles = []
    for axis, width in enumerate((head_width - 2 * side, side, side)):
        rates = 10_000.0 ** -(torch.arange(0, width, 2, dtype=torch.float64, device=device) / width)
        angle = torch.arange(grid[axis], device=device)[:, None] * rates
        shape = [1, 1, 1, -1]
        shape[axis] = grid[axis]
        angles.append(angle.view(shape).expand(*grid, -1))
    angle = torch.cat(angles, dim=-1).flatten(0, 2)
    return angle.cos().float(), angle.sin().float()


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair of neighbours of ``x`` ``[B, heads, L, D]`` by its position's angle."""
    one, two = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([one * cos - two * sin, one * sin + two * cos], dim=-1).flatten(-2).to(x.dtype)
