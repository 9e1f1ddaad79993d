"""The KL autoencoder of Stable Diffusion, frame by frame, as VideoCrafter2 and Latte use it.

Latent diffusion, https://arxiv.org/abs/2112.10752; VideoCrafter2, https://arxiv.org/abs/2401.09047.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from einops import rearrange
from torch import Tensor, nn

from vidgen import PublishedLayout
from vidgen.interfaces.normalised import KLAutoencoder, moments
from vidgen.nn.ldm import AttentionBlock, Decoder, Downsample, Encoder, Level, ResnetBlock, Upsample
from vidgen_videocrafter.config import KLVAEConfig

__all__ = ["KLVAE"]

FRAMES_AT_ONCE = 8
"""Frames that a stream codes together."""


class KLVAE(KLAutoencoder, PublishedLayout):
    """Each frame by itself: strides 1x8x8 with the published four levels; any number of frames.

    Args:
        config: Widths and depths.
    """

    PREFIXES = ("first_stage_model.",)
    LEFT_OUT = ("loss.",)
    config: KLVAEConfig

    def __init__(self, config: KLVAEConfig) -> None:
        super().__init__(config)
        widths = [config.width * factor for factor in config.multipliers]
        last = len(widths) - 1
        resolutions = [config.resolution // 2**index for index in range(len(widths))]
        attends = [resolution in config.attention_resolutions for resolution in resolutions]

        def levels(resize: type[nn.Module], kept: int) -> list[Level]:
            return [
                Level(width=w, block=ResnetBlock, attend=a, space=None if index == kept else resize)
                for index, (w, a) in enumerate(zip(widths, attends, strict=True))
            ]

        conv = partial(nn.Conv2d, kernel_size=3, padding=1)
        self.encoder = Encoder(
            levels(Downsample, last),
            blocks=config.blocks,
            conv_in=conv(3, config.width),
            first=config.width,
            middle=ResnetBlock,
            attention=AttentionBlock,
            conv_out=lambda width: conv(width, 2 * config.encoder_channels),
        )
        self.decoder = Decoder(
            levels(Upsample, 0),
            blocks=config.blocks + 1,
            conv_in=lambda width: conv(config.encoder_channels, width),
            middle=ResnetBlock,
            attention=AttentionBlock,
            conv_out=lambda width: conv(width, 3),
        )
        self.quant_conv = nn.Conv2d(2 * config.encoder_channels, 2 * config.latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(config.latent_channels, config.encoder_channels, 1)

    def posterior(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log-variance of each frame."""
        images = rearrange(video, "b c t h w -> (b t) c h w")
        both = rearrange(self._encoded(images), "(b t) c h w -> b c t h w", b=len(video))
        return moments(both)

    def pixels(self, raw: Tensor) -> Tensor:
        """Return the frames of raw latents."""
        images = self._decoded(rearrange(raw, "b c t h w -> (b t) c h w"))
        return rearrange(images, "(b t) c h w -> b c t h w", b=len(raw))

    def encode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Encode a few frames at a time; equal to `encode` of the whole."""
        for piece in pieces:
            for part in piece.split(FRAMES_AT_ONCE, dim=2):
                yield self.encode(part)

    def decode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Decode a few frames at a time; equal to `decode` of the whole."""
        for piece in pieces:
            for part in piece.split(FRAMES_AT_ONCE, dim=2):
                yield self.decode(part)

    def published_forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Take ``image`` ``[B, 3, H, W]``; return ``mean``, ``logvar`` and ``decoded``, of the mean."""
        mean, log_variance = moments(self._encoded(inputs["image"]))
        return {"mean": mean, "logvar": log_variance, "decoded": self._decoded(mean)}

    def _encoded(self, images: Tensor) -> Tensor:
        return self.quant_conv(self.encoder(images))

    def _decoded(self, images: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(images))
