"""`opensora-plan`: OpenSoraT2V, full 3D attention (version 1.2) or skip-sparse attention (1.3).

Open-Sora Plan, https://arxiv.org/abs/2412.00131; blocks modulated by one shared map of the time as in PixArt-alpha,
https://arxiv.org/abs/2310.00426. In a skip-sparse block tokens attend only to every k-th token, or to every k-th group
of k, which turn by turn reaches all; cross-attention is the same for every token and stays as it is. Tensor names
are the published ones. Letters: B batch, L tokens, S text tokens, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional

from vidgen import PublishedLayout
from vidgen.interfaces import Condition, Denoiser, Prediction, TextEmbedding
from vidgen.nn import attention, rotate
from vidgen.nn.pixart import (
    MASKED,
    Attention,
    FeedForward,
    PatchEmbed,
    TimeModulation,
    TwoLayers,
    norm,
    pad_to_patch,
    text_bias,
)
from vidgen.process import Process
from vidgen.size import Size
from vidgen_opensora_plan.config import OpenSoraPlanConfig

__all__ = ["OpenSoraPlan", "Prepared", "Skip"]

PADDED = -9_980.0
"""What the reference adds to the scores of tokens that fill a length up to k^2."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Which tokens see each other in a block.

    Attributes:
        k: One of k tokens; 1 for all.
        grouped: Whether groups of k tokens are skipped over, rather than single ones.
    """

    k: int
    grouped: bool

    def split(self, x: Tensor) -> Tensor:
        """Fill ``[B, heads, L, D]`` up and part it into ``[k B, heads, L / k, D]``."""
        x = functional.pad(x, (0, 0, 0, -x.shape[2] % self.k**2))
        if self.grouped:
            return rearrange(x, "b h (n m k) d -> (m b) h (n k) d", m=self.k, k=self.k)
        return rearrange(x, "b h (g k) d -> (k b) h g d", k=self.k)

    def join(self, x: Tensor, length: int) -> Tensor:
        """Undo `split`."""
        if self.grouped:
            x = rearrange(x, "(m b) h (n k) d -> b h (n m k) d", m=self.k, k=self.k)
        else:
            x = rearrange(x, "(k b) h g d -> b h (g k) d", k=self.k)
        return x[:, :, :length]

    def bias(self, keep: Tensor) -> Tensor | None:
        """Return what is added to the scores ``[k B, 1, 1, L / k]`` for kept tokens ``[B, L]``; None for nothing."""
        length = keep.shape[1]
        fill = -length % self.k**2 if self.k > 1 else 0
        if fill == 0 and bool(keep.all()):
            return None
        bias = functional.pad((~keep).float() * MASKED, (0, fill), value=PADDED)[:, None, :, None]
        return rearrange(self.split(bias) if self.k > 1 else bias, "b 1 l 1 -> b 1 1 l")


@dataclass(frozen=True, slots=True)
class Prepared:
    """What stays the same along the steps.

    Attributes:
        keys_values: For each block, keys and values of the text ``[B, heads, S, D / heads]``.
        text_bias: Added to the scores of the text ``[B, 1, 1, S]``; None where no token is masked.
        biases: Likewise for the video's tokens, by kind of block.
        rope: Cosines and sines ``[L, head_width / 2]`` of each axis' third.
        given: Embedded given latents and mask ``[B, L, D]``, or None.
        size: Latent size (t, h, w), before padding to patches.
    """

    keys_values: tuple[tuple[Tensor, Tensor], ...]
    text_bias: Tensor | None
    biases: dict[Skip, Tensor | None]
    rope: tuple[tuple[Tensor, Tensor], ...]
    given: Tensor | None
    size: Size


class SkipAttention(Attention):
    """Self-attention among the tokens that see each other, by their rotary positions."""

    def among(
        self, x: Tensor, skip: Skip, bias: Tensor | None, rope: tuple[tuple[Tensor, Tensor], ...]
    ) -> Tensor:
        """Attend among tokens ``[B, L, D]``."""
        q, k, v = (
            _turn(self.split(self.to_q(x)), rope),
            _turn(self.split(self.to_k(x)), rope),
            self.split(self.to_v(x)),
        )
        if skip.k == 1:
            return self.leave(attention(q, k, v, bias))
        return self.leave(skip.join(attention(skip.split(q), skip.split(k), skip.split(v), bias), x.shape[1]))


class Block(nn.Module):
    """Self-attention, text by cross-attention (of what is not normalised, as published), and a perceptron."""

    def __init__(self, config: OpenSoraPlanConfig, index: int) -> None:
        super().__init__()
        width = config.heads * config.head_width
        first, last = config.dense_blocks
        self.skip = Skip(config.sparsity if first <= index < last else 1, grouped=index % 2 == 1)
        self.scale_shift_table = nn.Parameter(torch.randn(6, width) / width**0.5)
        self.attn1, self.attn2 = SkipAttention(width, config.heads), Attention(width, config.heads)
        self.ff = FeedForward(width)

    def forward(
        self, x: Tensor, shared: Tensor, keys_values: tuple[Tensor, Tensor], prepared: Prepared
    ) -> Tensor:
        """Refine tokens ``[B, L, D]`` by the shared modulation ``[B, 6, D]`` and the text."""
        maps = (self.scale_shift_table + shared).to(x.dtype)[:, :, None]
        shift1, scale1, gate1, shift2, scale2, gate2 = maps.unbind(1)
        mixed = self.attn1.among(
            norm(x) * (1 + scale1) + shift1, self.skip, prepared.biases[self.skip], prepared.rope
        )
        x = x + gate1 * mixed
        x = x + self.attn2.read(x, keys_values, prepared.text_bias)
        return x + gate2 * self.ff(norm(x) * (1 + scale2) + shift2)


class OpenSoraPlan(Denoiser, PublishedLayout):
    """OpenSoraT2V: any size; sides that the patch does not divide are padded inside.

    Args:
        config: The configuration.
    """

    PREFIXES = ("model.",)
    config: OpenSoraPlanConfig

    def __init__(self, config: OpenSoraPlanConfig) -> None:
        super().__init__(config)
        known = config.follow()
        width, channels = config.heads * config.head_width, known.latent_channels or 0
        self.pos_embed = PatchEmbed(channels, width, config.patch)
        self.caption_projection = TwoLayers(known.text_width or 0, width, nn.GELU(approximate="tanh"))
        self.adaln_single = TimeModulation(width)
        self.transformer_blocks = nn.ModuleList(Block(config, index) for index in range(config.depth))
        self.scale_shift_table = nn.Parameter(torch.randn(2, width) / width**0.5)
        self.proj_out = nn.Linear(width, config.patch**2 * channels)
        if config.inpaint:
            for name, count in (("masked_hidden_states", channels), ("mask", known.mask_channels or 0)):
                linear = nn.Linear(width, width, bias=False)
                nn.init.zeros_(linear.weight)
                self.add_module(
                    f"pos_embed_{name}", nn.Sequential(PatchEmbed(count, width, config.patch), linear)
                )

    def prepare(self, text: TextEmbedding, condition: Condition, size: Size) -> Prepared:
        """Compute text keys and values, positions, masks and embedded given latents of a latent size (t, h, w)."""
        condition.check(self.config.contract(), type(self).__name__)
        given = None
        if self.config.inpaint:
            latents = text.tokens.new_zeros(len(text.tokens), self.pos_embed.proj.in_channels + 1, *size)
            both = latents if condition.given is None else condition.given
            mask = repeat(1 - both[:, -1:], "b 1 t h w -> b n t h w", n=self.config.follow().mask_channels)
            given = self._given(both[:, :-1], mask)
        tokens = text.tokens.masked_fill(~text.text_mask[..., None], 0)
        return self._prepared(tokens, text.text_mask, None, given, size)

    def forward(self, x: Tensor, time: Tensor, prepared: Prepared) -> Prediction:
        """Predict from ``x`` ``[B, C, t, h, w]`` at ``time`` ``[B]``.

        Raises:
            SizeError: When `prepared` is of another latent size.
        """
        self.check_prepared(x, prepared.size)
        index = Process(self.config.process).time_to_index(time).clamp(min=0)
        return Prediction(self._predicted(x, index, prepared))

    def published_forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Take latents, timestep, context ``[B, 1, S, D]``, masks (and masked_latents, mask); return ``sample``."""
        latents = inputs["latents"]
        keep = (
            functional.max_pool3d(
                inputs["attention_mask"][:, None].float(), (1, self.config.patch, self.config.patch)
            )
            .flatten(1)
            .bool()
        )
        given = self._given(inputs["masked_latents"], inputs["mask"]) if self.config.inpaint else None
        prepared = self._prepared(
            inputs["context"][:, 0],
            inputs["context_mask"][:, 0].bool(),
            keep,
            given,
            Size(*latents.shape[2:]),
        )
        return {"sample": self._predicted(latents, inputs["timestep"], prepared)}

    def _prepared(
        self, text: Tensor, text_mask: Tensor, keep: Tensor | None, given: Tensor | None, size: Size
    ) -> Prepared:
        grid = self._grid(size)
        text = self.caption_projection(text.to(self.proj_out.weight.dtype))
        keep = (
            torch.ones(len(text), grid.volume, dtype=torch.bool, device=text.device) if keep is None else keep
        )
        biases = {skip: skip.bias(keep) for skip in {block.skip for block in self._blocks()}}
        return Prepared(
            tuple(block.attn2.keys_values(text) for block in self._blocks()),
            text_bias(text_mask, text.dtype),
            {skip: None if bias is None else bias.to(text.dtype) for skip, bias in biases.items()},
            self._rope(grid, text.device),
            given,
            Size(*size),
        )

    def _predicted(self, x: Tensor, index: Tensor, prepared: Prepared) -> Tensor:
        tokens = self.pos_embed(pad_to_patch(x, self.config.patch))
        if prepared.given is not None:
            tokens = tokens + prepared.given.to(tokens.dtype)
        embedded, shared = self.adaln_single(index)
        for block, keys_values in zip(self._blocks(), prepared.keys_values, strict=True):
            tokens = block(tokens, shared, keys_values, prepared)
        shift, scale = (self.scale_shift_table + embedded[:, None]).to(tokens.dtype).chunk(2, dim=1)
        tokens = self.proj_out(norm(tokens) * (1 + scale) + shift)
        t, h, w = self._grid(prepared.size)
        p = self.config.patch
        made = rearrange(tokens, "b (t h w) (p q c) -> b c t (h p) (w q)", t=t, h=h, w=w, p=p, q=p)
        return made[..., : prepared.size.height, : prepared.size.width]

    def _given(self, latents: Tensor, mask: Tensor) -> Tensor:
        """Embed given latents and the mask of what is missing."""
        dtype = self.proj_out.weight.dtype
        known, missing = (
            self.get_submodule("pos_embed_masked_hidden_states"),
            self.get_submodule("pos_embed_mask"),
        )
        latents, mask = (pad_to_patch(x.to(dtype), self.config.patch) for x in (latents, mask))
        return known(latents) + missing(mask)

    def _grid(self, size: Size) -> Size:
        return Size(size.frames, -(-size.height // self.config.patch), -(-size.width // self.config.patch))

    def _blocks(self) -> list[Block]:
        return cast("list[Block]", list(self.transformer_blocks))

    def _rope(self, grid: Size, device: torch.device) -> tuple[tuple[Tensor, Tensor], ...]:
        """Return cosines and sines of each axis, ``[L, head_width / 6]``."""
        third = self.config.head_width // 3
        rates = 10_000 ** -(torch.arange(0, third, 2, device=device).float() / third)
        places = [
            torch.arange(n, device=device) / s for n, s in zip(grid, self.config.interpolation, strict=True)
        ]
        place = torch.stack(torch.meshgrid(*places, indexing="ij"), dim=-1).flatten(0, 2)
        angles = place[..., None] * rates
        return tuple((angles[:, axis].cos(), angles[:, axis].sin()) for axis in range(3))


def _turn(x: Tensor, rope: tuple[tuple[Tensor, Tensor], ...]) -> Tensor:
    """Rotate each third of ``[B, heads, L, D]`` by its axis."""
    return torch.cat(
        [rotate(part, *axis) for part, axis in zip(x.chunk(3, dim=-1), rope, strict=True)], dim=-1
    )
