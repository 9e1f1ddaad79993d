"""Blocks of transformers in PixArt-alpha's form (https://arxiv.org/abs/2310.00426), under their published tensor names.

One map of the time, shared by all blocks, shifts, scales and gates what each block computes; each block adds a small
table of its own. Latte and Open-Sora Plan are built of these. Letters: B batch, L tokens, S text tokens, D width.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vidgen.nn.attention import attention

__all__ = [
    "MASKED",
    "Attention",
    "FeedForward",
    "PatchEmbed",
    "TimeModulation",
    "TwoLayers",
    "norm",
    "pad_to_patch",
    "text_bias",
]

TIME_WIDTH = 256
MASKED = -10_000.0
"""What the references add to the scores of masked tokens."""


def norm(x: Tensor) -> Tensor:
    """Normalise the last axis, without parameters."""
    return functional.layer_norm(x, x.shape[-1:], eps=1e-6)


def text_bias(mask: Tensor, dtype: torch.dtype) -> Tensor | None:
    """Return what is added to the scores ``[B, 1, 1, S]`` of text with a boolean mask ``[B, S]``; None for nothing."""
    return None if bool(mask.all()) else ((~mask).to(dtype) * MASKED)[:, None, None]


def pad_to_patch(x: Tensor, patch: int) -> Tensor:
    """Repeat the last rows and columns of ``[B, C, t, h, w]`` until patches fit."""
    down, right = (-n % patch for n in x.shape[3:])
    return functional.pad(x, (0, right, 0, down, 0, 0), mode="replicate") if down or right else x


class PatchEmbed(nn.Module):
    """Patches of each frame as tokens."""

    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, t, h, w]`` to ``[B, L, D]``."""
        tokens = self.proj(rearrange(x, "b c t h w -> (b t) c h w"))
        return rearrange(tokens, "(b t) d h w -> b (t h w) d", b=len(x))


class TwoLayers(nn.Module):
    """Two linear layers under their published names."""

    def __init__(self, inputs: int, width: int, activation: nn.Module) -> None:
        super().__init__()
        self.linear_1, self.act, self.linear_2 = nn.Linear(inputs, width), activation, nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., inputs]`` to ``[..., width]``."""
        return self.linear_2(self.act(self.linear_1(x)))


class TimeModulation(nn.Module):
    """Table index to the time's embedding and to the six maps that all blocks share."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.emb = nn.Module()
        self.emb.timestep_embedder = TwoLayers(TIME_WIDTH, width, nn.SiLU())
        self.linear = nn.Linear(width, 6 * width)

    def forward(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``[B, D]`` and ``[B, 6, D]`` of indices ``[B]``."""
        half = TIME_WIDTH // 2
        rates = torch.exp(-math.log(10_000) * torch.arange(half, device=index.device) / half)
        angles = index.float()[:, None] * rates
        waves = torch.cat([angles.cos(), angles.sin()], dim=1).to(self.linear.weight.dtype)
        embedded = cast("TwoLayers", self.emb.timestep_embedder)(waves)
        return embedded, rearrange(self.linear(functional.silu(embedded)), "b (six d) -> b six d", six=6)


class Attention(nn.Module):
    """Queries, keys and values under their published names."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def split(self, x: Tensor) -> Tensor:
        """Map ``[B, L, D]`` to ``[B, heads, L, D / heads]``."""
        return rearrange(x, "b l (h d) -> b h l d", h=self.heads)

    def leave(self, x: Tensor) -> Tensor:
        """Undo `split` and project."""
        return self.to_out[0](rearrange(x, "b h l d -> b l (h d)"))

    def keys_values(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values of tokens ``[B, S, D]``."""
        return self.split(self.to_k(text)), self.split(self.to_v(text))

    def read(self, x: Tensor, keys_values: tuple[Tensor, Tensor], bias: Tensor | None) -> Tensor:
        """Attend to the text."""
        return self.leave(attention(self.split(self.to_q(x)), *keys_values, bias))

    def mix(self, x: Tensor) -> Tensor:
        """Attend among all tokens ``[B, L, D]``."""
        return self.read(x, self.keys_values(x), None)


class FeedForward(nn.Module):
    """A perceptron under its published names.

    Args:
        width: Of what comes in.
        hidden: Inside; None for four times the width.
        outputs: Of what comes out; None for the width.
        approximate: How GELU is computed, ``tanh`` or ``none`` (exactly).
    """

    def __init__(
        self, width: int, hidden: int | None = None, outputs: int | None = None, approximate: str = "tanh"
    ) -> None:
        super().__init__()
        hidden, self.approximate = hidden or 4 * width, approximate
        enter = nn.Module()
        enter.proj = nn.Linear(width, hidden)
        self.net = nn.ModuleList([enter, nn.Identity(), nn.Linear(hidden, outputs or width)])

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., width]``."""
        enter = cast("nn.Linear", self.net[0].proj)
        return self.net[2](functional.gelu(enter(x), approximate=self.approximate))
