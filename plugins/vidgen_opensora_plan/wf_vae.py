"""`wf-vae`: WF-VAE of Open-Sora Plan 1.3 (4x8x8) and 1.5 (8x8x8), https://arxiv.org/abs/2411.17459.

Most of a video's energy is in the low bands of its wavelets: they take a short path of their own around the
convolutions, in the encoder to the latents and in the decoder back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidgen import PublishedLayout
from vidgen.interfaces.normalised import KLAutoencoder, moments
from vidgen.nn.ldm import Conv2d, Downsample, FrameResnetBlock, ResnetBlock, Upsample, group_norm
from vidgen_opensora_plan.causal import CausalConv3d, Spatial2xTime2x3DDownsample, Spatial2xTime2x3DUpsample
from vidgen_opensora_plan.causal_vae import ATTENTION
from vidgen_opensora_plan.config import WFVAEConfig
from vidgen_opensora_plan.stream import align, through
from vidgen_opensora_plan.wavelet import Haar2D, Haar3D, InverseHaar2D, InverseHaar3D

__all__ = ["WFVAE"]

COLOURS = 3
STREAM_LATENTS = 2
"""Latent frames that go through at once in a stream: bounds its memory."""


class ChannelNorm(nn.Module):
    """A layer norm over the channels of each position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, ...]`` to the same shape."""
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


NORMS: dict[str, Callable[[int], nn.Module]] = {"layer": ChannelNorm, "group": group_norm}
conv2d = partial(Conv2d, kernel_size=3, padding=1)


class _Blocks:
    """Makes the blocks of a configuration."""

    def __init__(self, config: WFVAEConfig) -> None:
        self.norm = NORMS[config.norm]
        self.frame = partial(FrameResnetBlock, norm=self.norm)
        self.video = partial(ResnetBlock, conv=CausalConv3d, norm=self.norm)
        self.attention = ATTENTION.get(config.attention)

    def middle(self, inputs: int, between: int, outputs: int) -> nn.Sequential:
        """Return two residual blocks with attention between them."""
        attention = [] if self.attention is None else [self.attention(between, norm=self.norm)]
        return nn.Sequential(self.video(inputs, between), *attention, self.video(between, outputs))


class Encoder(nn.Module):
    """Pixels to the moments of the latents."""

    def __init__(self, config: WFVAEConfig) -> None:
        super().__init__()
        blocks, width, flow, count = _Blocks(config), config.width, config.encoder_flow, config.encoder_blocks
        first, wavelet = (
            (Downsample, Haar2D) if config.time_stride == 4 else (Spatial2xTime2x3DDownsample, Haar3D)
        )
        self.down1 = nn.Sequential(
            conv2d(8 * COLOURS, width),
            *(blocks.frame(width, width) for _ in range(count)),
            first(width, width),
        )
        self.down2 = nn.Sequential(
            conv2d(width + flow, 2 * width),
            *(blocks.video(2 * width, 2 * width) for _ in range(count)),
            Spatial2xTime2x3DDownsample(2 * width, 2 * width),
        )
        self.connect_l1 = conv2d((4 if config.time_stride == 4 else 8) * COLOURS, flow)
        self.connect_l2 = conv2d(8 * COLOURS, flow)
        self.mid = blocks.middle(2 * width + flow, 4 * width, 4 * width)
        self.norm_out = blocks.norm(4 * width)
        self.conv_out = CausalConv3d(4 * width, 2 * config.latent_channels, 3, padding=1)
        self.wavelet_transform_in, self.wavelet_transform_l1, self.wavelet_transform_l2 = (
            Haar3D(),
            wavelet(),
            Haar3D(),
        )

    def forward(self, video: Tensor) -> Tensor:
        """Map ``[B, 3, T, H, W]`` to ``[B, 2 C, t, h, w]``."""
        bands = self.wavelet_transform_in(video)
        bands1 = self.wavelet_transform_l1(bands[:, :COLOURS])
        bands2 = self.wavelet_transform_l2(bands1[:, :COLOURS])
        h = torch.cat(align(self.connect_l1, self.down1(bands), self.connect_l1(bands1)), dim=1)
        h = torch.cat(align(self.connect_l2, self.down2(h), self.connect_l2(bands2)), dim=1)
        return self.conv_out(functional.silu(self.norm_out(self.mid(h))))


class Decoder(nn.Module):
    """Latents to pixels."""

    def __init__(self, config: WFVAEConfig) -> None:
        super().__init__()
        blocks, width, flow, count = _Blocks(config), config.width, config.decoder_flow, config.decoder_blocks
        up = partial(Spatial2xTime2x3DUpsample, mode=config.time_interpolation)
        last, inverse = (Upsample, InverseHaar2D) if config.time_stride == 4 else (up, InverseHaar3D)
        self.flow = flow

        def connect(bands: int) -> nn.Sequential:
            head = (blocks.video(flow, flow) for _ in range(config.connect_blocks))
            return nn.Sequential(*head, conv2d(flow, bands * COLOURS))

        self.conv_in = CausalConv3d(config.latent_channels, 4 * width, 3, padding=1)
        self.mid = blocks.middle(4 * width, 4 * width, 4 * width + flow)
        self.up2 = nn.Sequential(
            *(blocks.video(4 * width, 4 * width) for _ in range(count)),
            up(4 * width, 4 * width),
            blocks.video(4 * width, 4 * width + flow),
        )
        self.up1 = nn.Sequential(
            *(blocks.video((2 if index else 4) * width, 2 * width) for index in range(count)),
            last(2 * width, 2 * width),
            blocks.video(2 * width, 2 * width),
        )
        self.layer = nn.Sequential(blocks.video(2 * width, width), blocks.video(width, width))
        self.connect_l1 = connect(4 if config.time_stride == 4 else 8)
        self.connect_l2 = connect(8)
        self.norm_out = blocks.norm(width)
        self.conv_out = conv2d(width, 8 * COLOURS)
        self.inverse_wavelet_transform_out = InverseHaar3D()
        self.inverse_wavelet_transform_l1 = inverse()
        self.inverse_wavelet_transform_l2 = InverseHaar3D()

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[B, C, t, h, w]`` to ``[B, 3, T, H, W]``."""
        h = self.mid(self.conv_in(z))
        low2 = self.inverse_wavelet_transform_l2(self.connect_l2(h[:, -self.flow :]))
        h = self.up2(h[:, : -self.flow])
        low1 = self.inverse_wavelet_transform_l1(
            _add_low(self.connect_l1, self.connect_l1(h[:, -self.flow :]), low2)
        )
        h = self.layer(self.up1(h[:, : -self.flow]))
        bands = self.conv_out(functional.silu(self.norm_out(h)))
        return self.inverse_wavelet_transform_out(_add_low(self.conv_out, bands, low1))


def _add_low(owner: nn.Module, bands: Tensor, low: Tensor) -> Tensor:
    """Add to the lowest band, once both are there."""
    bands, low = align(owner, bands, low)
    return torch.cat([bands[:, :COLOURS] + low, bands[:, COLOURS:]], dim=1)


class WFVAE(KLAutoencoder, PublishedLayout):
    """WF-VAE: 1 + 4k (or 1 + 8k) frames, sides that divide by 8.

    Args:
        config: Widths, norms and strides.
    """

    LEFT_OUT = ("loss.",)
    config: WFVAEConfig

    def __init__(self, config: WFVAEConfig) -> None:
        super().__init__(config)
        self.encoder, self.decoder = Encoder(config), Decoder(config)

    def posterior(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Return raw mean and log-variance."""
        return moments(self.encoder(video))

    def pixels(self, raw: Tensor) -> Tensor:
        """Return the video of raw latents."""
        return self.decoder(raw)

    def published_forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Take ``video``; return ``mean``, ``logvar``, ``decoded`` and the same through a stream, ``chunked_*``."""
        video = inputs["video"]
        mean, log_variance = self.posterior(video)
        made = {"mean": mean, "logvar": log_variance, "decoded": self.pixels(mean)}
        if self.latent.streaming == "exact":
            pieces = list(through(self.encoder, [video], STREAM_LATENTS * self.config.time_stride))
            made["chunked_mean"] = moments(torch.cat(pieces, dim=2))[0]
            made["chunked_decoded"] = torch.cat(list(through(self.decoder, [mean], STREAM_LATENTS)), dim=2)
        return made

    def encode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Encode a clip that arrives in pieces: with layer norms equal to `encode` of the whole, in bounded memory.

        Args:
            pieces: Parts ``[B, 3, T_i, H, W]`` of one clip in order, of any lengths that add up to a size that fits.

        Yields:
            Parts of the latents in order.

        Raises:
            SizeError: At the end, when the frames did not add up.
        """
        if self.latent.streaming != "exact":
            yield from super().encode_stream(pieces)
            return
        for part in through(self.encoder, self.counted(pieces), STREAM_LATENTS * self.config.time_stride):
            yield self.normalised(moments(part)[0])

    def decode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Decode latents that arrive in pieces: with layer norms equal to `decode` of the whole.

        Yields:
            Parts of the video in order.
        """
        if self.latent.streaming != "exact":
            yield from super().decode_stream(pieces)
            return

        def raw() -> Iterator[Tensor]:
            for piece in pieces:
                self.check_latents(piece)
                yield self.denormalised(piece)

        yield from through(self.decoder, raw(), STREAM_LATENTS)
