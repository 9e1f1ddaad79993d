"""Named configurations of the Video VQ-VAE; `444` is the published one."""

from __future__ import annotations

from vidgen_videogpt.config import VideoGPTVQVAEConfig

__all__ = ["VIDEOGPT_VQVAE"]

VIDEOGPT_VQVAE: dict[str, VideoGPTVQVAEConfig] = {
    "444": VideoGPTVQVAEConfig(latent_channels=256, codes=2048, width=240, depth=4, strides=(4, 4, 4)),
    "small": VideoGPTVQVAEConfig(latent_channels=64, codes=2048, width=96, depth=2, strides=(4, 4, 4)),
    "tiny": VideoGPTVQVAEConfig(latent_channels=8, codes=64, width=32, depth=1, strides=(4, 4, 4)),
}
