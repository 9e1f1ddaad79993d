"""`wan-vae`: the causal autoencoder of Wan 2.1 (https://arxiv.org/abs/2503.20314).

Tensor names are those of diffusers' ``AutoencoderKLWan``; the original checkpoint's are renamed.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from vidgen import KLAutoencoder, PublishedLayout
from vidgen.interfaces.normalised import moments
from vidgen_wan.causal import (
    AttentionBlock,
    CausalConv3d,
    Downsample,
    Past,
    ResidualBlock,
    RMSNorm,
    Upsample,
    convolved,
)
from vidgen_wan.config import WanAutoencoderConfig
from vidgen_wan.names import autoencoder_names

__all__ = ["WanAutoencoder"]


class Middle(nn.Module):
    """The coarsest level: a block, attention, a block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(ResidualBlock(channels, channels) for _ in range(2))
        self.attentions = nn.ModuleList([AttentionBlock(channels)])

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """Refine ``[B, C, T, H, W]``."""
        for block in (self.resnets[0], self.attentions[0], self.resnets[1]):
            x = block(x, past)
        return x


class Encoder(nn.Module):
    """Frames to moments."""

    def __init__(self, config: WanAutoencoderConfig) -> None:
        super().__init__()
        widths = [config.width * one for one in (1, *config.multiples)]
        self.conv_in = CausalConv3d(3, widths[0], 3)
        blocks: list[nn.Module] = []
        for level, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            for number in range(config.depth):
                blocks.append(ResidualBlock(inputs if number == 0 else outputs, outputs))
            if level < len(config.time_levels):
                blocks.append(Downsample(outputs, time=config.time_levels[level]))
        self.down_blocks = nn.ModuleList(blocks)
        self.mid_block = Middle(widths[-1])
        self.norm_out = RMSNorm(widths[-1])
        self.conv_out = CausalConv3d(widths[-1], 2 * config.channels, 3)

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """Map frames ``[B, 3, T, H, W]`` to ``[B, 2 C, t, h, w]``; first one frame and groups, then groups."""
        x = self.conv_in(x, past)
        for block in self.down_blocks:
            x = block(x, past)
        return convolved(self.norm_out, self.conv_out, self.mid_block(x, past), past)


class UpBlock(nn.Module):
    """One level of the decoder."""

    def __init__(self, inputs: int, outputs: int, depth: int, time: bool | None) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            ResidualBlock(inputs if number == 0 else outputs, outputs) for number in range(depth + 1)
        )
        self.upsamplers = None if time is None else nn.ModuleList([Upsample(outputs, time=time)])

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """Refine ``[B, C, T, H, W]``, and double it but at the finest level."""
        for block in (*self.resnets, *(self.upsamplers or ())):
            x = block(x, past)
        return x


class Decoder(nn.Module):
    """Latents to frames."""

    def __init__(self, config: WanAutoencoderConfig) -> None:
        super().__init__()
        width = config.decoder_width or config.width
        widths = [width * one for one in (config.multiples[-1], *reversed(config.multiples))]
        times: list[bool | None] = [*reversed(config.time_levels), None]
        self.conv_in = CausalConv3d(config.channels, widths[0], 3)
        self.mid_block = Middle(widths[0])
        self.up_blocks = nn.ModuleList(
            UpBlock(inputs if level == 0 else inputs // 2, outputs, config.depth, time)
            for level, ((inputs, outputs), time) in enumerate(
                zip(itertools.pairwise(widths), times, strict=True)
            )
        )
        self.norm_out = RMSNorm(widths[-1])
        self.conv_out = CausalConv3d(widths[-1], 3, 3)

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """Map ``[B, C, t, h, w]`` to frames ``[B, 3, T, H, W]``."""
        x = self.mid_block(self.conv_in(x, past), past)
        for block in self.up_blocks:
            x = block(x, past)
        return convolved(self.norm_out, self.conv_out, x, past)


class WanAutoencoder(KLAutoencoder, PublishedLayout):
    """Wan 2.1's autoencoder: one frame, then four frames to a latent; the past is all that it sees.

    Without gradients clips go through in pieces of `piece` latent frames, so memory does not grow with the length.

    Args:
        config: The configuration.
    """

    LEFT_OUT = ("loss",)
    config: WanAutoencoderConfig
    piece = 2
    """Latent frames that go through at once."""

    def __init__(self, config: WanAutoencoderConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config)
        self.quant_conv = CausalConv3d(2 * config.channels, 2 * config.channels, 1)
        self.post_quant_conv = CausalConv3d(config.channels, config.channels, 1)
        self.decoder = Decoder(config)
        self.register_load_state_dict_post_hook(lambda module, _: _lay_out(module))
        _lay_out(self)

    def posterior(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Return raw mean and log-variance ``[B, C, t, h, w]`` of a video that fits."""
        past, stride = Past(), self.latent.time_stride
        ends = [*range(1, video.shape[2], stride * self.piece), video.shape[2]]
        if torch.is_grad_enabled():
            ends = ends[-1:]
        made = [
            self._moments(video[:, :, a:b], past) for a, b in itertools.pairwise([0, *dict.fromkeys(ends)])
        ]
        return moments(torch.cat(made, dim=2))

    def pixels(self, raw: Tensor) -> Tensor:
        """Return the video ``[B, 3, T, H, W]`` of raw latents, within [-1, 1] but in training."""
        past = Past()
        parts = (raw,) if torch.is_grad_enabled() else _pieces(raw, self.piece)
        made = torch.cat([self._frames(part, past) for part in parts], dim=2)
        return made if self.training else made.clamp_(-1, 1)

    def encode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the latents of a clip that arrives in pieces ``[B, 3, T_i, H, W]``, as the whole clip gives them."""
        past, waiting, begun = Past(), None, 0
        for piece in self.counted(pieces):
            waiting = piece if waiting is None else torch.cat([waiting, piece], dim=2)
            ready = (waiting.shape[2] - (not begun)) // self.latent.time_stride * self.latent.time_stride
            ready += not begun
            for part in _pieces(waiting[:, :, :ready], self.piece * self.latent.time_stride, first=not begun):
                begun = 1
                yield self.normalised(moments(self._moments(part, past))[0])
            waiting = waiting[:, :, ready:]

    def decode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield the frames of latents that arrive in pieces ``[B, C, t_i, h, w]``, as the whole clip gives them."""
        past = Past()
        for piece in pieces:
            self.check_latents(piece)
            for part in piece.split(self.piece, dim=2):
                yield self._frames(self.denormalised(part), past).clamp(-1, 1)

    @classmethod
    def rename(cls, names: Collection[str], settings: object) -> Mapping[str, str]:
        """Return our names of the original checkpoint's."""
        assert isinstance(settings, WanAutoencoderConfig)
        return autoencoder_names(names, settings)

    def published_forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Return ``latents``, raw, of ``video`` ``[B, 3, T, H, W]``; and the ``video`` of raw ``latents``."""
        made: dict[str, Tensor] = {}
        if "video" in inputs:
            made["latents"] = self.raw_latents(inputs["video"])
        if "latents" in inputs:
            made["video"] = self.pixels(inputs["latents"])
        return made

    def _moments(self, video: Tensor, past: Past) -> Tensor:
        return self.quant_conv(
            self.encoder(video.contiguous(memory_format=torch.channels_last_3d), past), past
        )

    def _frames(self, raw: Tensor, past: Past) -> Tensor:
        raw = raw.contiguous(memory_format=torch.channels_last_3d)
        return self.decoder(self.post_quant_conv(raw, past), past)


def _pieces(x: Tensor, count: int, *, first: bool = False) -> Iterator[Tensor]:
    """Yield so many frames at a time; with `first` a single one in front."""
    if first and x.shape[2]:
        yield x[:, :, :1]
        x = x[:, :, 1:]
    if x.shape[2]:
        yield from x.split(count, dim=2)


def _lay_out(module: nn.Module) -> None:
    """Keep kernels as convolutions read them fastest, the channels innermost."""
    for part in module.modules():
        if isinstance(part, nn.Conv3d):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last_3d)
        elif isinstance(part, nn.Conv2d):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)
