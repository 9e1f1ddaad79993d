"""`videocrafter2`: a U-Net whose blocks see each frame, with convolutions and attention along time between them.

VideoCrafter2, https://arxiv.org/abs/2401.09047; the U-Net of latent diffusion, https://arxiv.org/abs/2112.10752;
convolutions along time as in ModelScope's text-to-video, https://arxiv.org/abs/2308.06571. Attention along time has no
positions: the order of frames comes from the convolutions. Tensor names are the published ones, a misspelt one too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vidgen import PublishedLayout
from vidgen.interfaces import Condition, Denoiser, Prediction, TextEmbedding
from vidgen.nn import attention
from vidgen.process import Process
from vidgen.size import Size
from vidgen_videocrafter.config import VideoCrafter2Config

__all__ = ["Prepared", "VideoCrafter2"]

DEFAULT_FPS = 16.0
"""What the published forward takes when no frame rate is given."""
ENTRY_HEADS = 8


@dataclass(frozen=True, slots=True)
class Prepared:
    """What stays the same along the steps.

    Attributes:
        text: Tokens ``[B, S, D]``.
        text_mask: Boolean ``[B, S]``; None where padding is attended to, as published.
        fps: The frame rate's embedding ``[B, E]``, or None.
        size: Latent size (t, h, w).
    """

    text: Tensor
    text_mask: Tensor | None
    fps: Tensor | None
    size: Size


@dataclass(frozen=True, slots=True)
class Call:
    """What the layers of one forward pass are told.

    Attributes:
        embedded: Time (and frame rate) ``[B T, E]``.
        text: Tokens ``[B T, S, D]``.
        text_mask: Boolean ``[B T, 1, 1, S]``, or None.
        batch: B.
    """

    embedded: Tensor
    text: Tensor
    text_mask: Tensor | None
    batch: int


class Layers(nn.ModuleList):
    """Layers in a row; each is told the call if it wants to know."""

    def forward(self, x: Tensor, call: Call) -> Tensor:
        """Map images ``[B T, C, h, w]``."""
        for layer in self:
            x = (
                layer(x, call)
                if isinstance(layer, (ResBlock, SpatialTransformer, TemporalTransformer))
                else layer(x)
            )
        return x


class TemporalConv(nn.Module):
    """Four convolutions along time, added to their input; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()

        def stage(*dropout: nn.Module) -> nn.Sequential:
            conv = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))
            return nn.Sequential(nn.GroupNorm(32, channels), nn.SiLU(), *dropout, conv)

        self.conv1 = stage()
        self.conv2, self.conv3, self.conv4 = (stage(nn.Dropout(0.1)) for _ in range(3))
        _zero(self.conv4[-1])

    def forward(self, x: Tensor) -> Tensor:
        """Map videos ``[B, C, T, h, w]``."""
        return x + self.conv4(self.conv3(self.conv2(self.conv1(x))))


class ResBlock(nn.Module):
    """Two convolutions over each frame, told the time between them, then convolutions along time."""

    def __init__(self, inputs: int, outputs: int, config: VideoCrafter2Config) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            nn.GroupNorm(32, inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(4 * config.width, outputs))
        last = _zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.out_layers = nn.Sequential(nn.GroupNorm(32, outputs), nn.SiLU(), nn.Identity(), last)
        self.skip_connection = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)
        self.temopral_conv = TemporalConv(outputs) if config.temporal_conv else None

    def forward(self, x: Tensor, call: Call) -> Tensor:
        """Map images ``[B T, inputs, h, w]`` to ``[B T, outputs, h, w]``."""
        h = self.in_layers(x) + self.emb_layers(call.embedded).to(x.dtype)[:, :, None, None]
        h = self.skip_connection(x) + self.out_layers(h)
        if self.temopral_conv is None:
            return h
        h = self.temopral_conv(rearrange(h, "(b t) c h w -> b c t h w", b=call.batch))
        return rearrange(h, "b c t h w -> (b t) c h w")


class Attention(nn.Module):
    """Attention under its published names."""

    def __init__(self, width: int, context: int, heads: int, head_width: int) -> None:
        super().__init__()
        inner = heads * head_width
        self.heads = heads
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_k, self.to_v = (nn.Linear(context, inner, bias=False) for _ in range(2))
        self.to_out = nn.Sequential(nn.Linear(inner, width))

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from ``[B, L, D]`` to ``[B, S, D']``."""
        parts = (self.to_q(x), self.to_k(context), self.to_v(context))
        q, k, v = (rearrange(part, "b l (h d) -> b h l d", h=self.heads) for part in parts)
        return self.to_out(rearrange(attention(q, k, v, mask), "b h l d -> b l (h d)"))


class GatedFeedForward(nn.Module):
    """A perceptron with a GELU gate, under its published names."""

    def __init__(self, width: int) -> None:
        super().__init__()
        enter = nn.Module()
        enter.proj = nn.Linear(width, 8 * width)
        self.net = nn.ModuleList([enter, nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, L, D]``."""
        value, gate = cast("nn.Linear", self.net[0].proj)(x).chunk(2, dim=-1)
        return self.net[2](value * functional.gelu(gate))


class TransformerBlock(nn.Module):
    """Self-attention, attention to a context (or to itself again), and a perceptron."""

    def __init__(self, width: int, context: int | None, heads: int, head_width: int) -> None:
        super().__init__()
        self.attn1 = Attention(width, width, heads, head_width)
        self.ff = GatedFeedForward(width)
        self.attn2 = Attention(width, context or width, heads, head_width)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, x: Tensor, context: Tensor | None, mask: Tensor | None = None) -> Tensor:
        """Refine ``[B, L, D]``."""
        h = self.norm1(x)
        x = x + self.attn1(h, h)
        h = self.norm2(x)
        x = x + self.attn2(h, h if context is None else context, mask)
        return x + self.ff(self.norm3(x))


class SpatialTransformer(nn.Module):
    """A transformer over the positions of each frame, which reads the text."""

    def __init__(
        self, channels: int, heads: int, head_width: int, context: int, config: VideoCrafter2Config
    ) -> None:
        super().__init__()
        inner = heads * head_width
        self.linear = config.linear
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, inner) if self.linear else nn.Conv2d(channels, inner, 1)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(inner, context, heads, head_width) for _ in range(config.transformer_depth)
        )
        self.proj_out = _zero(nn.Linear(inner, channels) if self.linear else nn.Conv2d(inner, channels, 1))

    def forward(self, x: Tensor, call: Call) -> Tensor:
        """Map images ``[B T, C, h, w]``."""
        h = self.norm(x)
        h = h if self.linear else self.proj_in(h)
        h = rearrange(h, "n c h w -> n (h w) c")
        h = self.proj_in(h) if self.linear else h
        for block in self.transformer_blocks:
            h = block(h, call.text, call.text_mask)
        h = self.proj_out(h) if self.linear else h
        h = rearrange(h, "n (h w) c -> n c h w", h=x.shape[2])
        return x + (h if self.linear else self.proj_out(h))


class TemporalTransformer(nn.Module):
    """A transformer along the frames of each position; it reads nothing but itself."""

    def __init__(self, channels: int, heads: int, head_width: int, depth: int, linear: bool) -> None:
        super().__init__()
        inner = heads * head_width
        self.linear = linear
        self.norm = nn.GroupNorm(32, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, inner) if linear else nn.Conv1d(channels, inner, 1)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(inner, None, heads, head_width) for _ in range(depth)
        )
        self.proj_out = _zero(nn.Linear(inner, channels) if linear else nn.Conv1d(inner, channels, 1))

    def forward(self, x: Tensor, call: Call) -> Tensor:
        """Map images ``[B T, C, h, w]``."""
        h = self.norm(rearrange(x, "(b t) c h w -> b c t h w", b=call.batch))
        size = {"b": call.batch, "h": x.shape[2]}
        h = rearrange(h, "b c t h w -> (b h w) t c")
        h = _projected(self.proj_in, h)
        for block in self.transformer_blocks:
            h = block(h, None)
        return x + rearrange(_projected(self.proj_out, h), "(b h w) t c -> (b t) c h w", **size)


class Downsample(nn.Module):
    """Halve height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images."""
        return self.op(x)


class Upsample(nn.Module):
    """Double height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map images."""
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class VideoCrafter2(Denoiser, PublishedLayout):
    """The 3D U-Net; sides that its levels do not halve evenly are padded inside.

    Args:
        config: The configuration.
    """

    PREFIXES = ("model.diffusion_model.", "diffusion_model.")
    config: VideoCrafter2Config

    def __init__(self, config: VideoCrafter2Config) -> None:
        super().__init__(config)
        known = config.follow()
        channels, context = known.latent_channels or 0, known.text_width or 0
        width = config.width
        self.time_embed = _embedding(width)
        if config.fps:
            self.fps_embedding = _embedding(width)

        def attend(size: int) -> list[nn.Module]:
            heads = size // config.head_width
            layers: list[nn.Module] = [SpatialTransformer(size, heads, config.head_width, context, config)]
            if config.temporal_attention:
                layers.append(
                    TemporalTransformer(size, heads, config.head_width, config.temporal_depth, config.linear)
                )
            return layers

        self.input_blocks = nn.ModuleList([Layers([nn.Conv2d(channels, width, 3, padding=1)])])
        if config.entry_attention:
            entry = TemporalTransformer(
                width, ENTRY_HEADS, config.head_width, config.transformer_depth, linear=False
            )
            self.init_attn = Layers([entry])
        kept, size, stride = [width], width, 1
        for level, factor in enumerate(config.multipliers):
            for _ in range(config.blocks):
                layers: list[nn.Module] = [ResBlock(size, factor * width, config)]
                size = factor * width
                self.input_blocks.append(
                    Layers(layers + (attend(size) if stride in config.attention_strides else []))
                )
                kept.append(size)
            if level < len(config.multipliers) - 1:
                self.input_blocks.append(Layers([Downsample(size)]))
                kept.append(size)
                stride *= 2
        self.middle_block = Layers(
            [ResBlock(size, size, config), *attend(size), ResBlock(size, size, config)]
        )
        self.output_blocks = nn.ModuleList()
        for level, factor in reversed(list(enumerate(config.multipliers))):
            for index in range(config.blocks + 1):
                layers = [ResBlock(size + kept.pop(), factor * width, config)]
                size = factor * width
                layers += attend(size) if stride in config.attention_strides else []
                if level and index == config.blocks:
                    layers.append(Upsample(size))
                    stride //= 2
                self.output_blocks.append(Layers(layers))
        self.out = nn.Sequential(
            nn.GroupNorm(32, size), nn.SiLU(), _zero(nn.Conv2d(width, channels, 3, padding=1))
        )

    def prepare(self, text: TextEmbedding, condition: Condition, size: Size) -> Prepared:
        """Keep the text and embed the frame rate."""
        condition.check(self.config.contract(), type(self).__name__)
        fps = torch.full((len(text.tokens),), DEFAULT_FPS, device=text.tokens.device)
        mask = text.text_mask if self.config.text_padding == "masked" else None
        tokens = text.tokens if mask is None else text.tokens.masked_fill(~mask[..., None], 0)
        if mask is not None:  # an empty prompt attends to one token of zeros
            mask = torch.cat([mask[:, :1] | ~mask.any(dim=1, keepdim=True), mask[:, 1:]], dim=1)
        return self._prepared(tokens, mask, fps if condition.fps is None else condition.fps, size)

    def forward(self, x: Tensor, time: Tensor, prepared: Prepared) -> Prediction:
        """Predict from ``x`` ``[B, C, t, h, w]`` at ``time`` ``[B]``.

        Raises:
            SizeError: When `prepared` is of another latent size.
        """
        self.check_prepared(x, prepared.size)
        index = Process(self.config.process).time_to_index(time).clamp(min=0)
        return Prediction(self._predicted(x, index, prepared))

    def published_forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Take latents, timestep, context ``[B, S, D]`` and fps; return ``sample``."""
        latents = inputs["latents"]
        fps = inputs.get("fps", torch.full((len(latents),), DEFAULT_FPS))
        prepared = self._prepared(inputs["context"], None, fps, Size(*latents.shape[2:]))
        return {"sample": self._predicted(latents, inputs["timestep"], prepared)}

    def _prepared(self, text: Tensor, mask: Tensor | None, fps: Tensor, size: Size) -> Prepared:
        embedded = self.fps_embedding(self._waves(fps)) if self.config.fps else None
        return Prepared(text.to(next(self.parameters()).dtype), mask, embedded, Size(*size))

    def _predicted(self, x: Tensor, index: Tensor, prepared: Prepared) -> Tensor:
        batch, _, frames, height, width = x.shape
        embedded = self.time_embed(self._waves(index))
        embedded = embedded if prepared.fps is None else embedded + prepared.fps
        mask = prepared.text_mask
        call = Call(
            embedded.repeat_interleave(frames, dim=0),
            prepared.text.repeat_interleave(frames, dim=0),
            None if mask is None else mask.repeat_interleave(frames, dim=0)[:, None, None],
            batch,
        )
        step = 2 ** (len(self.config.multipliers) - 1)
        h = rearrange(x, "b c t h w -> (b t) c h w")
        if height % step or width % step:
            h = functional.pad(h, (0, -width % step, 0, -height % step), mode="replicate")
        kept = []
        for number, block in enumerate(self.input_blocks):
            h = block(h, call)
            if number == 0 and self.config.entry_attention:
                h = self.init_attn(h, call)
            kept.append(h)
        h = self.middle_block(h, call)
        for block in self.output_blocks:
            h = block(torch.cat([h, kept.pop()], dim=1), call)
        return rearrange(self.out(h)[..., :height, :width], "(b t) c h w -> b c t h w", b=batch)

    def _waves(self, value: Tensor) -> Tensor:
        """Return cosines and sines ``[B, width]`` of a number each."""
        half = self.config.width // 2
        rates = torch.exp(-math.log(10_000) * torch.arange(half, device=value.device) / half)
        angles = value.float()[:, None] * rates
        return torch.cat([angles.cos(), angles.sin()], dim=1).to(next(self.parameters()).dtype)


def _embedding(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width))


def _projected(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a linear layer, or the same as a convolution of width 1, to ``[N, T, C]``."""
    return layer(x) if isinstance(layer, nn.Linear) else layer(x.transpose(1, 2)).transpose(1, 2)


def _zero(layer: nn.Module) -> nn.Module:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
