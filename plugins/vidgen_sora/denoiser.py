"""`sora-dit`: a transformer over spacetime patches of noisy latents.

After DiT (https://arxiv.org/abs/2212.09748); modulation shared by the blocks with a table each as in
PixArt-alpha (https://arxiv.org/abs/2310.00426); normalised queries and keys (https://arxiv.org/abs/2302.05442);
a time for each frame, so that given frames can be clean (https://arxiv.org/abs/2407.01392).
Letters: B batch, L tokens, D width; packed samples are one sequence, B = 1 (NaViT, https://arxiv.org/abs/2307.06304).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

import torch
from einops import rearrange, reduce, repeat
from timm.layers import GELUTanh, Mlp
from torch import Tensor, nn

from vidgen.errors import SizeError
from vidgen.interfaces import Condition, PackedLatents, PackingDenoiser, Prediction, TextEmbedding
from vidgen.nn import Segments, attention, rope_3d, rotate
from vidgen.nn.attention import segment_ids
from vidgen.nn.ulysses import SharedTokens
from vidgen.size import Size
from vidgen_sora.config import SoraDiTConfig

__all__ = ["Prepared", "SoraDiT"]

FREQUENCIES = 4
"""Waves of each absolute position: half a period over the whole axis, then doubling."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What stays the same along the steps.

    Attributes:
        keys_values: For each block, keys and values of the text ``[B, heads, 1 + S, D / heads]``; the first is the
            learned null token, always there.
        text_mask: Boolean ``[B, 1, 1, 1 + S]``; of packed samples, their text tokens in one sequence too.
        pooled: ``[B, D]``, a row a sample.
        positions: ``[L, D]``.
        rope: Cosines and sines ``[L, D / heads / 2]``.
        size: Latent size (t, h, w), before padding to patches; of packed samples each one's.
        within: The packed samples, each of which attends within itself; None for a batch.
        sharing: How the tokens are shared out among processes while they are refined; None where they are not.
    """

    keys_values: tuple[tuple[Tensor, Tensor], ...]
    text_mask: Tensor | Segments
    pooled: Tensor
    positions: Tensor
    rope: tuple[Tensor, Tensor]
    size: Size | tuple[Size, ...]
    within: Segments | None = None
    sharing: SharedTokens | None = None


class SoraDiT(PackingDenoiser):
    """Spacetime patches, adaLN from time and pooled text, rotary positions, text by cross-attention.

    Any latent size: sizes that the patch does not divide are padded inside and cropped back. Positions are
    told twice, by rotation (how far apart) and by waves over the whole clip (where between the borders, how
    large the clip); without the second no token could know where the picture ends.

    Args:
        config: The configuration.
    """

    config: SoraDiTConfig

    def __init__(self, config: SoraDiTConfig) -> None:
        super().__init__(config)
        # Alone, without neighbours to follow, the stand-alone sizes hold.
        known = config.follow()
        width, patch = config.width, math.prod(config.patch) * (known.latent_channels or 0)
        self.enter = nn.Linear(patch, width)
        self.position = nn.Linear(3 * (2 * FREQUENCIES + 1), width)
        self.time = Mlp(config.time_width, width, width, act_layer=nn.SiLU)
        self.text = nn.Linear(known.text_width or 0, width)
        self.text_norm = nn.LayerNorm(width)
        self.null = nn.Parameter(torch.randn(width))
        self.pool = Mlp(width, width, width, act_layer=nn.SiLU)
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.last_modulation = nn.Linear(width, 2 * width)
        self.leave = nn.Linear(width, patch)
        for layer in (self.modulation, self.last_modulation):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def prepare(self, text: TextEmbedding, condition: Condition, size: Size | tuple[Size, ...]) -> Prepared:
        """Compute text keys and values, the pooled text and the positions of a latent size, or of packed ones."""
        condition.check(self.config.contract(), type(self).__name__)
        dtype, device = self.enter.weight.dtype, self.enter.weight.device
        batch = len(text.tokens)
        # Masked tokens are zeroed first, for they may hold anything, even NaN.
        tokens = text.tokens.masked_fill(~text.text_mask[..., None], 0).to(dtype)
        null = repeat(self.null, "d -> b 1 d", b=batch)
        projected = self.text_norm(self.text(tokens))
        tokens = torch.cat((null.to(projected.dtype), projected), dim=1)
        mask = nn.functional.pad(text.text_mask, (1, 0), value=True)
        # Over the root of the count: as large for many words as for few, where a mean would fade.
        pooled = (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).sqrt().to(tokens.dtype)
        text_mask: Tensor | Segments = mask[:, None, None]
        within, alike = None, {size: [0]} if isinstance(size, Size) else _alike(size)
        if not isinstance(size, Size):
            if len(size) != batch:
                raise SizeError(f"{batch} prompts meet {len(size)} packed sizes.")
            within = Segments.of([self._grid(one).volume for one, among in alike.items() for _ in among])
            order = [number for among in alike.values() for number in among]
            tokens, mask, pooled = tokens[order], mask[order], pooled[order]
            text_mask, tokens = Segments(within.queries, tuple(mask.sum(1).tolist())), tokens[mask][None]
        grids, head = [self._grid(one) for one in alike], self.config.width // self.config.heads
        theta, reach = self.config.rope_theta, self.config.reach
        ropes = [rope_3d(grid, head, theta=theta, reach=reach, device=device) for grid in grids]
        placed = [self.position(_waves(grid, device).to(dtype)) for grid in grids]
        cos, sin, positions = (
            torch.cat([one.repeat(len(among), 1) for one, among in zip(each, alike.values(), strict=True)])
            for each in (*zip(*ropes, strict=True), placed)
        )
        keys_values = tuple(block.read.keys_values(tokens) for block in self._blocks())
        return Prepared(keys_values, text_mask, self.pool(pooled), positions, (cos, sin), size, within)

    def forward(self, x: Tensor | PackedLatents, time: Tensor, prepared: Prepared) -> Prediction:
        """Predict from ``x`` ``[B, C, t, h, w]`` at ``time`` ``[B]`` or, a time for each frame, ``[B, t]``.

        Packed samples have times ``[B]`` or, a time for each frame of each, ``[sum of t]``.

        Raises:
            SizeError: When `prepared` is of another latent size, or packed samples have other times.
        """
        seen = x.sizes if isinstance(x, PackedLatents) else Size(*x.shape[2:])
        if seen != prepared.size:
            raise SizeError(
                f"Latents of size {seen} meet what was prepared for {prepared.size}; prepare again."
            )
        if isinstance(x, PackedLatents):
            return Prediction(self._packed(x, time, prepared))
        size = Size(*x.shape[2:])
        grid, tokens = self._grid(size), self.enter(self._patches(x))
        tokens = tokens + prepared.positions.to(tokens.dtype)
        c = self._condition(time, -size.frames % self.config.patch[0], prepared.pooled)
        shared, last = self.modulation(c), self.last_modulation(c)
        if c.shape[1] > 1:
            shared, last = (
                repeat(m, "b t d -> b (t n) d", n=grid.height * grid.width) for m in (shared, last)
            )
        return Prediction(self._latents(self._refine(tokens, shared, last, prepared), size))

    def _packed(self, x: PackedLatents, time: Tensor, prepared: Prepared) -> Tensor:
        """Predict ``[C, P]``, as `forward` does, of one sequence: the samples of one size behind those of another."""
        alike, samples = _alike(x.sizes), x.split()
        batches = [torch.stack([samples[number] for number in among]) for among in alike.values()]
        patches = [self._patches(batch).flatten(0, 1) for batch in batches]
        tokens = self.enter(torch.cat(patches)[None])
        tokens = tokens + prepared.positions.to(tokens.dtype)

        each = time.split(x.counts(time))
        told, counts, pooled = [], [], iter(prepared.pooled.split([len(among) for among in alike.values()]))
        for size, among in alike.items():
            times, grid = torch.stack([each[number] for number in among]), self._grid(size)
            times = times[:, 0] if times.shape[1] < size.frames else times
            c = self._condition(times, -size.frames % self.config.patch[0], next(pooled))
            told.append(c.flatten(0, 1))
            counts += [grid.volume // c.shape[1]] * (len(among) * c.shape[1])
        c, rows = torch.cat(told), segment_ids(tuple(counts), tokens.device)
        tokens = self._refine(tokens, self.modulation(c), self.last_modulation(c), prepared, rows)

        made, lengths = list(samples), [len(one) for one in patches]
        for (size, among), group in zip(alike.items(), tokens[0].split(lengths), strict=True):
            group = self._latents(rearrange(group, "(b l) d -> b l d", b=len(among)), size)
            for number, sample in zip(among, group, strict=True):
                made[number] = sample
        return PackedLatents.of(made).values

    def _grid(self, size: Size) -> Size:
        """Return how many patches a latent size has along each axis."""
        return Size(*(-(-n // p) for n, p in zip(size, self.config.patch, strict=True)))

    def _patches(self, x: Tensor) -> Tensor:
        """Cut ``[B, C, t, h, w]`` into patches ``[B, L, C * patch]``, the last ones padded."""
        pt, ph, pw = self.config.patch
        fill = [-n % p for n, p in zip(x.shape[2:], self.config.patch, strict=True)]
        x = nn.functional.pad(x, (0, fill[2], 0, fill[1], 0, fill[0]), mode="replicate") if any(fill) else x
        return rearrange(x, "b c (t pt) (h ph) (w pw) -> b (t h w) (c pt ph pw)", pt=pt, ph=ph, pw=pw)

    def _latents(self, patches: Tensor, size: Size) -> Tensor:
        """Join patches ``[B, L, C * patch]`` to ``[B, C, t, h, w]`` and crop what was padded."""
        pt, ph, pw = self.config.patch
        t, h, w = self._grid(size)
        value = rearrange(
            patches, "b (t h w) (c pt ph pw) -> b c (t pt) (h ph) (w pw)", t=t, h=h, w=w, pt=pt, ph=ph, pw=pw
        )
        return value[:, :, : size.frames, : size.height, : size.width]

    def _refine(
        self, tokens: Tensor, shared: Tensor, last: Tensor, prepared: Prepared, rows: Tensor | None = None
    ) -> Tensor:
        """Send tokens ``[B, L, D]`` through the blocks and out, to ``[B, L, C * patch]``.

        Modulations are ``[B, 1 or L, ...]``; or a table ``[R, ...]`` where `rows` ``[L]`` says which is a token's.
        """
        sharing = SharedTokens.of(tokens)
        if sharing is not None:
            if rows is not None:
                raise SizeError(
                    "Packed samples cannot be shared out among processes; take a batch of one size."
                )
            cos, sin = (sharing.own(x, dim=0) for x in prepared.rope)
            prepared = replace(prepared, rope=(cos, sin), sharing=sharing)
            tokens = sharing.own(tokens)
            shared, last = (m if m.shape[1] == 1 else sharing.own(m) for m in (shared, last))
        for block, keys_values in zip(self._blocks(), prepared.keys_values, strict=True):
            tokens = block(tokens, shared, keys_values, prepared, rows)
        shift, scale = last.to(tokens.dtype).chunk(2, dim=-1)
        told = [shift, 1 + scale] if rows is None else [_spread(one, rows) for one in (shift, 1 + scale)]
        made = self.leave(self.norm(tokens) * told[1] + told[0])
        return made if sharing is None else sharing.join(made)

    def _blocks(self) -> list[Block]:
        return cast("list[Block]", list(self.blocks))

    def _condition(self, time: Tensor, fill: int, pooled: Tensor) -> Tensor:
        """Return what modulates the blocks: ``[B, 1, D]``, or ``[B, t, D]`` for a time each frame."""
        if time.ndim == 1:
            time = time[:, None]
        else:
            # A patch of several frames takes the noisiest one's time.
            time = nn.functional.pad(time, (0, fill), value=0.0)
            time = reduce(time, "b (t pt) -> b t", "max", pt=self.config.patch[0])
        half = self.config.time_width // 2
        rates = 1000 * torch.exp(-math.log(10_000) * torch.arange(half, device=time.device) / half)
        angles = time.float()[..., None] * rates
        waves = torch.cat((angles.cos(), angles.sin()), dim=-1).to(self.enter.weight.dtype)
        return nn.functional.silu(self.time(waves) + pooled[:, None])


class Block(nn.Module):
    """Self-attention, text by cross-attention, and a perceptron; first and last are modulated and gated."""

    def __init__(self, config: SoraDiTConfig) -> None:
        super().__init__()
        width = config.width
        self.norm1, self.norm2, self.norm3 = (
            nn.LayerNorm(width, eps=1e-6, elementwise_affine=False) for _ in range(3)
        )
        self.mix = SelfAttention(width, config.heads)
        self.read = CrossAttention(width, config.heads)
        self.mlp = Mlp(width, int(config.mlp_ratio * width), act_layer=GELUTanh)
        self.table = nn.Parameter(torch.zeros(6 * width))

    def forward(
        self,
        x: Tensor,
        shared: Tensor,
        keys_values: tuple[Tensor, Tensor],
        prepared: Prepared,
        rows: Tensor | None,
    ) -> Tensor:
        """Refine tokens ``[B, L, D]`` by the shared modulation ``[B, 1 or L, 6 D]`` (or its rows) and the text."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (shared + self.table).to(x.dtype).chunk(6, dim=-1)
        told = [shift1, 1 + scale1, gate1, shift2, 1 + scale2, gate2]
        if rows is not None:
            told = [_spread(one, rows) for one in told]
        shift1, scale1, gate1, shift2, scale2, gate2 = told
        x = x + gate1 * self.mix(self.norm1(x) * scale1 + shift1, prepared)
        x = x + self.read(self.norm2(x), keys_values, prepared.text_mask)
        return x + gate2 * self.mlp(self.norm3(x) * scale2 + shift2)


class SelfAttention(nn.Module):
    """Attention among the tokens, queries and keys normalised and rotated."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm, self.k_norm = (nn.LayerNorm(width // heads, bias=False) for _ in range(2))
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, prepared: Prepared) -> Tensor:
        """Mix tokens ``[B, L, D]``, of packed samples each within itself."""
        q, k, v = rearrange(self.qkv(x), "b l (three h d) -> three b h l d", three=3, h=self.heads)
        q, k = rotate(self.q_norm(q), *prepared.rope), rotate(self.k_norm(k), *prepared.rope)
        mixed = (
            prepared.sharing.attention(q, k, v) if prepared.sharing else attention(q, k, v, prepared.within)
        )
        return self.out(rearrange(mixed, "b h l d -> b l (h d)"))


class CrossAttention(nn.Module):
    """Attention to the text; starts at zero."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.q_norm, self.k_norm = (nn.LayerNorm(width // heads, bias=False) for _ in range(2))
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def keys_values(self, text: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys and values ``[B, heads, S, D / heads]`` of text tokens ``[B, S, D]``."""
        k, v = rearrange(self.kv(text), "b s (two h d) -> two b h s d", two=2, h=self.heads)
        return self.k_norm(k), v

    def forward(self, x: Tensor, keys_values: tuple[Tensor, Tensor], text_mask: Tensor | Segments) -> Tensor:
        """Read the text from tokens ``[B, L, D]``."""
        q = self.q_norm(rearrange(self.q(x), "b l (h d) -> b h l d", h=self.heads))
        return self.out(rearrange(attention(q, *keys_values, text_mask), "b h l d -> b l (h d)"))


def _alike(sizes: tuple[Size, ...]) -> dict[Size, list[int]]:
    """Return which samples have each size: packed together, they attend in one call."""
    found: dict[Size, list[int]] = {}
    for number, size in enumerate(sizes):
        found.setdefault(size, []).append(number)
    return found


def _spread(table: Tensor, rows: Tensor) -> Tensor:
    """Return ``[1, L, ...]``, each token's row of a table; indexing by brackets would go back more slowly."""
    return table.index_select(0, rows)[None]


def _waves(grid: Size, device: torch.device) -> Tensor:
    """Return ``[t * h * w, 3 * (2 FREQUENCIES + 1)]``: each patch's place in the clip, and its size."""
    places = [(torch.arange(n, device=device) + 0.5) / n - 0.5 for n in grid]
    place = torch.stack(torch.meshgrid(*places, indexing="ij"), dim=-1).flatten(0, 2)
    angles = (place[..., None] * math.pi * 2.0 ** torch.arange(FREQUENCIES, device=device)).flatten(1)
    sizes = torch.tensor(grid, device=device).log2().expand(len(place), 3) / 4
    return torch.cat((angles.sin(), angles.cos(), sizes), dim=1)
