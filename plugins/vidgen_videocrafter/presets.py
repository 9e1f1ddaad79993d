"""Named configurations of VideoCrafter2's parts."""

from __future__ import annotations

from vidgen_videocrafter.config import KLVAEConfig, VideoCrafter2Config

__all__ = ["KL_VAE", "VIDEOCRAFTER2"]

KL_VAE: dict[str, KLVAEConfig] = {
    "stable-diffusion": KLVAEConfig(
        latent_channels=4, encoder_channels=4, width=128, multipliers=(1, 2, 4, 4), blocks=2, resolution=256,
        attention_resolutions=(), latent_scale=(0.18215,),
    ),
    "tiny": KLVAEConfig(
        latent_channels=4, encoder_channels=4, width=32, multipliers=(1, 1, 1, 2), blocks=1, resolution=64,
        attention_resolutions=(), latent_scale=(0.18215,),
    ),
}  # fmt: skip

VIDEOCRAFTER2: dict[str, VideoCrafter2Config] = {
    "512": VideoCrafter2Config(latent_channels=4, text_width=1024),
    "tiny": VideoCrafter2Config(
        width=32, multipliers=(1, 2), blocks=1, attention_strides=(1, 2), head_width=16, text_padding="masked"
    ),
}
