"""Named configurations of Open-Sora Plan's parts."""

from __future__ import annotations

from vidgen.process import ProcessSpec
from vidgen_opensora_plan.config import Block, CausalVAEConfig, OpenSoraPlanConfig, WFVAEConfig

__all__ = ["CAUSAL_VAE", "OPENSORA_PLAN", "WF_VAE"]

_SHALLOW: tuple[Block, ...] = ("ResnetBlock2D", "ResnetBlock2D", "ResnetBlock3D", "ResnetBlock3D")

_V1_2 = CausalVAEConfig(
    encoder_conv_in="Conv2d",
    encoder_blocks=_SHALLOW,
    encoder_attention="AttnBlock3DFix",
    encoder_space=("Downsample", "Spatial2xTime2x3DDownsample", "Spatial2xTime2x3DDownsample", ""),
    encoder_time=("", "", "", ""),
    decoder_attention="AttnBlock3DFix",
    decoder_space=("", "SpatialUpsample2x", "Spatial2xTime2x3DUpsample", "Spatial2xTime2x3DUpsample"),
    decoder_time=("", "", "", ""),
)

CAUSAL_VAE: dict[str, CausalVAEConfig] = {
    "v1.2": _V1_2,
    "v1.1": CausalVAEConfig(
        encoder_conv_in="Conv2d",
        encoder_blocks=_SHALLOW,
        encoder_attention="AttnBlock3DFix",
        encoder_space=("Downsample", "Downsample", "Downsample", ""),
        encoder_time=("", "TimeDownsampleRes2x", "TimeDownsampleRes2x", ""),
        decoder_attention="AttnBlock3DFix",
        decoder_time=("", "", "TimeUpsampleRes2x", "TimeUpsampleRes2x"),
    ),
    "v1.0": CausalVAEConfig(),
    "v1.0-release": CausalVAEConfig(encoder_time=("TimeDownsample2x", "TimeDownsample2x", "", "")),
    "tiny": _V1_2.replace(width=32, multipliers=(1, 1, 1, 2), blocks=1),
}

WF_VAE: dict[str, WFVAEConfig] = {
    "4x8x8": WFVAEConfig(),
    "8x8x8": WFVAEConfig(latent_channels=32, width=160, time_stride=8),
    "small": WFVAEConfig(
        latent_channels=16, width=16, encoder_blocks=1, decoder_blocks=1, encoder_flow=32, decoder_flow=32
    ),
    "tiny": WFVAEConfig(
        latent_channels=8, width=16, encoder_blocks=1, decoder_blocks=1, encoder_flow=8, decoder_flow=16
    ),
}

OPENSORA_PLAN: dict[str, OpenSoraPlanConfig] = {
    "v1.3": OpenSoraPlanConfig(latent_channels=8, text_width=4096),
    "v1.3-inpaint": OpenSoraPlanConfig(latent_channels=8, text_width=4096, inpaint=True, mask_channels=4),
    "v1.2": OpenSoraPlanConfig(
        latent_channels=4,
        text_width=4096,
        sparsity=1,
        process=ProcessSpec(family="vp-linear"),
        prediction="epsilon",
    ),
    "mini": OpenSoraPlanConfig(heads=4, head_width=36, depth=4, dense_blocks=(1, 3), sparsity=2),
    "tiny": OpenSoraPlanConfig(heads=2, head_width=24, depth=4, dense_blocks=(1, 3), sparsity=2),
}
