"""`latte`: a transformer whose blocks see each frame and the frames of each place in turns (2+1D).

Latte, https://arxiv.org/abs/2401.03048, in its text-to-video form, which Open-Sora Plan 1.0 and 1.1 trained as well;
blocks in PixArt-alpha's form, https://arxiv.org/abs/2310.00426. Tensor names are those of diffusers'
LatteTransformer3DModel. Letters: B batch, T frames, N tokens of a frame, S text tokens, D width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn

from vidgen import PublishedLayout
from vidgen.interfaces import Condition, Denoiser, Prediction, TextEmbedding
from vidgen.nn.pixart import (
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
from vidgen_latte.config import LatteConfig

__all__ = ["Latte", "Prepared"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What stays the same along the steps.

    Attributes:
        keys_values: For each block over space, keys and values of the text ``[B, heads, S, D / heads]``.
        text_bias: Added to the scores of the text ``[B, 1, 1, S]``; None where no token is masked.
        space: Positions in the frame ``[N, D]``.
        time: Positions in time ``[T, 1, D]``; None for an image that gets none.
        size: Latent size (t, h, w), before padding to patches.
    """

    keys_values: tuple[tuple[Tensor, Tensor], ...]
    text_bias: Tensor | None
    space: Tensor
    time: Tensor | None
    size: Size


class Block(nn.Module):
    """Self-attention and a perceptron, each shifted, scaled and gated by the time."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.scale_shift_table = nn.Parameter(torch.randn(6, width) / width**0.5)
        self.attn1 = Attention(width, heads)
        self.ff = FeedForward(width)

    def modulation(self, shared: Tensor, dtype: torch.dtype) -> tuple[Tensor, ...]:
        """Return shift, scale and gate of the attention, then of the perceptron: each ``[B, 1, 1, D]``."""
        return (self.scale_shift_table + shared).to(dtype)[:, :, None, None].unbind(1)


class SpaceBlock(Block):
    """Attention within each frame, then to the text (of what is not normalised, as published)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.attn2 = Attention(width, heads)

    def forward(
        self, x: Tensor, shared: Tensor, keys_values: tuple[Tensor, Tensor], bias: Tensor | None
    ) -> Tensor:
        """Refine tokens ``[B, T, N, D]`` by the shared modulation ``[B, 6, D]`` and the text."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(shared, x.dtype)
        frames = rearrange(norm(x) * (1 + scale1) + shift1, "b t n d -> (b t) n d")
        x = x + gate1 * rearrange(self.attn1.mix(frames), "(b t) n d -> b t n d", b=len(x))
        read = self.attn2.read(rearrange(x, "b t n d -> b (t n) d"), keys_values, bias)
        x = x + rearrange(read, "b (t n) d -> b t n d", t=x.shape[1])
        return x + gate2 * self.ff(norm(x) * (1 + scale2) + shift2)


class TimeBlock(Block):
    """Attention along the frames of each place."""

    def forward(self, x: Tensor, shared: Tensor) -> Tensor:
        """Refine tokens ``[B, T, N, D]`` by the shared modulation ``[B, 6, D]``."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(shared, x.dtype)
        places = rearrange(norm(x) * (1 + scale1) + shift1, "b t n d -> (b n) t d")
        x = x + gate1 * rearrange(self.attn1.mix(places), "(b n) t d -> b t n d", b=len(x))
        return x + gate2 * self.ff(norm(x) * (1 + scale2) + shift2)


class Latte(Denoiser, PublishedLayout):
    """Latte: any number of frames and any size; sides that the patch does not divide are padded inside.

    With `learned_sigma` the prediction has a raw `log_variance`: mapped from [-1, 1] to [0, 1] it interpolates the
    logarithm of a DDPM step's variance between its lower bound (the posterior's) and its upper one (beta). Solvers
    drop it; training adds the published bound for it (`vidgen.train.variance`).

    Args:
        config: The configuration.
    """

    PREFIXES = ("model.", "transformer.")
    LEFT_OUT = ("caption_projection.y_embedding",)
    config: LatteConfig

    def __init__(self, config: LatteConfig) -> None:
        super().__init__(config)
        known = config.follow()
        width, channels = config.heads * config.head_width, known.latent_channels or 0
        outputs = 2 * channels if config.learned_sigma else channels
        self.pos_embed = PatchEmbed(channels, width, config.patch)
        self.caption_projection = TwoLayers(known.text_width or 0, width, nn.GELU(approximate="tanh"))
        self.adaln_single = TimeModulation(width)
        self.transformer_blocks = nn.ModuleList(SpaceBlock(width, config.heads) for _ in range(config.depth))
        self.temporal_transformer_blocks = nn.ModuleList(
            TimeBlock(width, config.heads) for _ in range(config.depth)
        )
        self.scale_shift_table = nn.Parameter(torch.randn(2, width) / width**0.5)
        self.proj_out = nn.Linear(width, config.patch**2 * outputs)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def prepare(self, text: TextEmbedding, condition: Condition, size: Size) -> Prepared:
        """Compute the text's keys and values, and the positions of a latent size (t, h, w)."""
        condition.check(self.config.contract(), type(self).__name__)
        tokens = text.tokens.masked_fill(~text.text_mask[..., None], 0)
        return self._prepared(tokens, text.text_mask, size)

    def forward(self, x: Tensor, time: Tensor, prepared: Prepared) -> Prediction:
        """Predict from ``x`` ``[B, C, t, h, w]`` at ``time`` ``[B]``.

        Raises:
            SizeError: When `prepared` is of another latent size.
        """
        self.check_prepared(x, prepared.size)
        index = Process(self.config.process).time_to_index(time).clamp(min=0)
        made = self._predicted(x, index, prepared)
        return Prediction(*made.chunk(2, dim=1)) if self.config.learned_sigma else Prediction(made)

    def published_forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Return ``sample``, all its channels.

        Args:
            **inputs: ``hidden_states`` ``[B, C, T, H, W]``, ``timestep`` ``[B]``, ``encoder_hidden_states``
                ``[B, S, D]``, and ``encoder_attention_mask`` ``[B, S]`` (1 = keep) if there is padding.
        """
        latents, text = inputs["hidden_states"], inputs["encoder_hidden_states"]
        mask = inputs.get("encoder_attention_mask", torch.ones(text.shape[:2])).to(text.device, torch.bool)
        prepared = self._prepared(text, mask, Size(*latents.shape[2:]))
        return {"sample": self._predicted(latents, inputs["timestep"], prepared)}

    def _prepared(self, text: Tensor, text_mask: Tensor, size: Size) -> Prepared:
        weight = self.proj_out.weight
        text = self.caption_projection(text.to(weight.dtype))
        (t, h, w), (pace, scale) = self._grid(size), self.config.interpolation
        reach = self.config.side // self.config.patch / scale
        # columns come first in the published table
        columns, rows = (_waves(torch.arange(n) * (reach / n), weight.shape[1] // 2) for n in (w, h))
        space = torch.cat([columns.expand(h, -1, -1), rows[:, None].expand(-1, w, -1)], dim=-1).flatten(0, 1)
        time = _waves(torch.arange(t) / pace, weight.shape[1])[:, None]
        return Prepared(
            tuple(cast("SpaceBlock", block).attn2.keys_values(text) for block in self.transformer_blocks),
            text_bias(text_mask, text.dtype),
            space.to(weight),
            time.to(weight) if t > 1 or self.config.image_position else None,
            Size(*size),
        )

    def _predicted(self, x: Tensor, index: Tensor, prepared: Prepared) -> Tensor:
        t, h, w = self._grid(prepared.size)
        tokens = self.pos_embed(pad_to_patch(x, self.config.patch))
        tokens = rearrange(tokens, "b (t n) d -> b t n d", t=t) + prepared.space
        embedded, shared = self.adaln_single(index)
        for number, over_space in enumerate(self.transformer_blocks):
            tokens = over_space(tokens, shared, prepared.keys_values[number], prepared.text_bias)
            if number == 0 and prepared.time is not None:
                tokens = tokens + prepared.time
            tokens = self.temporal_transformer_blocks[number](tokens, shared)
        shift, scale = (
            (self.scale_shift_table + embedded[:, None]).to(tokens.dtype)[:, :, None, None].unbind(1)
        )
        tokens = self.proj_out(norm(tokens) * (1 + scale) + shift)
        p = self.config.patch
        made = rearrange(tokens, "b t (h w) (p q c) -> b c t (h p) (w q)", h=h, w=w, p=p, q=p)
        return made[..., : prepared.size.height, : prepared.size.width]

    def _grid(self, size: Size) -> Size:
        return Size(size.frames, -(-size.height // self.config.patch), -(-size.width // self.config.patch))


def _waves(places: Tensor, width: int) -> Tensor:
    """Return sines, then cosines ``[N, width]`` of places ``[N]``."""
    rates = 10_000 ** -(torch.arange(width // 2, dtype=torch.float64) / (width // 2))
    angles = places.double()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()
