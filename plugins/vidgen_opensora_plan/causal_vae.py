"""`causal-vae`: CausalVideoVAE of Open-Sora Plan 1.0 to 1.2 (https://arxiv.org/abs/2412.00131).

The ladder of latent diffusion, with convolutions that see no future. Its generations differ in which pieces stand
on which level; the configuration names them, as the published ones do. The norms look over all frames at once,
so a stream of pieces can't equal the whole clip.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from einops import rearrange
from torch import Tensor, nn

from vidgen import PublishedLayout
from vidgen.interfaces.normalised import KLAutoencoder, moments
from vidgen.nn.ldm import (
    AttentionBlock,
    Conv2d,
    Decoder,
    Downsample,
    Encoder,
    FrameResnetBlock,
    Level,
    ResnetBlock,
    Upsample,
)
from vidgen_opensora_plan import causal
from vidgen_opensora_plan.causal import CausalConv3d
from vidgen_opensora_plan.config import CausalVAEConfig

__all__ = ["CausalVAE"]


class MixedAttention(AttentionBlock):
    """Attention of version 1.0, which takes the axes in the wrong order; kept for weights trained with it."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend among what `reshape` makes of channels and frames: rows mix both."""
        shape = q.shape
        rows = [
            rearrange(one.reshape(-1, shape[1], *shape[3:]), "n c h w -> n c h w 1")[..., 0]
            for one in (q, k, v)
        ]
        return super().attend(*rows).reshape(shape)


ATTENTION: dict[str, Callable[..., nn.Module]] = {
    "AttnBlock3D": partial(MixedAttention, conv=CausalConv3d),
    "AttnBlock3DFix": partial(AttentionBlock, conv=CausalConv3d),
}
BLOCKS: dict[str, Callable[[int, int], nn.Module]] = {
    "ResnetBlock2D": FrameResnetBlock,
    "ResnetBlock3D": partial(ResnetBlock, conv=CausalConv3d),
}
CONVOLUTIONS: dict[str, type[nn.Module]] = {"CausalConv3d": CausalConv3d, "Conv2d": Conv2d}
RESIZES: dict[str, type[nn.Module]] = {
    "Downsample": Downsample,
    "Upsample": Upsample,
    **{name: getattr(causal, name) for name in causal.__all__ if "sample" in name and name[0].isupper()},
}


class CausalVAE(KLAutoencoder, PublishedLayout):
    """CausalVideoVAE: 1 + 4k frames, sides that divide by 8, 4 channels as published.

    Args:
        config: Widths, and the pieces of each level by their published names.
    """

    LEFT_OUT = ("loss.",)
    config: CausalVAEConfig

    def __init__(self, config: CausalVAEConfig) -> None:
        super().__init__(config)

        def levels(blocks: tuple[str, ...], space: tuple[str, ...], time: tuple[str, ...]) -> list[Level]:
            result, resolution = [], config.resolution
            for index, factor in enumerate(config.multipliers):
                result.append(
                    Level(
                        width=config.width * factor,
                        block=BLOCKS[blocks[index]],
                        attend=resolution in config.attention_resolutions,
                        space=RESIZES.get(space[index]),
                        time=RESIZES.get(time[index]),
                    )
                )
                resolution //= 2 if config.encoder_space[index] else 1
            return result

        def conv(name: str, inputs: int, outputs: int) -> nn.Module:
            return CONVOLUTIONS[name](inputs, outputs, 3, padding=1)

        self.encoder = Encoder(
            levels(config.encoder_blocks, config.encoder_space, config.encoder_time),
            blocks=config.blocks,
            conv_in=conv(config.encoder_conv_in, 3, config.width),
            first=config.width,
            middle=BLOCKS[config.encoder_middle],
            attention=ATTENTION[config.encoder_attention],
            conv_out=lambda width: conv(config.encoder_conv_out, width, 2 * config.encoder_channels),
        )
        self.decoder = Decoder(
            levels(config.decoder_blocks, config.decoder_space, config.decoder_time),
            blocks=config.blocks + 1,
            conv_in=lambda width: conv(config.decoder_conv_in, config.encoder_channels, width),
            middle=BLOCKS[config.decoder_middle],
            attention=ATTENTION[config.decoder_attention],
            conv_out=lambda width: conv(config.decoder_conv_out, width, 3),
        )
        if config.quant_conv:
            make = CONVOLUTIONS[config.quant_conv]
            self.quant_conv = make(2 * config.encoder_channels, 2 * config.latent_channels, 1)
            self.post_quant_conv = make(config.latent_channels, config.encoder_channels, 1)

    def posterior(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Return raw mean and log-variance."""
        encoded = self.encoder(video)
        return moments(self.quant_conv(encoded) if self.config.quant_conv else encoded)

    def pixels(self, raw: Tensor) -> Tensor:
        """Return the video of raw latents."""
        return self.decoder(self.post_quant_conv(raw) if self.config.quant_conv else raw)

    def published_forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Take ``video`` ``[B, 3, T, H, W]``; return ``mean``, ``logvar`` and ``decoded``, of the mean."""
        mean, log_variance = self.posterior(inputs["video"])
        return {"mean": mean, "logvar": log_variance, "decoded": self.pixels(mean)}
