"""VideoCrafter2, part by part: the per-frame KL autoencoder and the 3D U-Net."""

from __future__ import annotations

from vidgen.hookspecs import hookimpl
from vidgen.spec import ComponentSpec
from vidgen_videocrafter.config import KLVAEConfig, VideoCrafter2Config
from vidgen_videocrafter.presets import KL_VAE, VIDEOCRAFTER2

__all__ = ["vidgen_components"]


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare the parts."""
    return [
        ComponentSpec(
            kind="autoencoder",
            name="kl-vae",
            target="vidgen_videocrafter.autoencoder:KLVAE",
            config=KLVAEConfig,
            presets=KL_VAE,
            summary="Per-frame KL autoencoder in Stable Diffusion's layout, 1x8x8, 4 channels.",
        ),
        ComponentSpec(
            kind="denoiser",
            name="videocrafter2",
            target="vidgen_videocrafter.denoiser:VideoCrafter2",
            config=VideoCrafter2Config,
            presets=VIDEOCRAFTER2,
            summary="VideoCrafter2's 3D U-Net: convolutions and attention along time, told the frame rate.",
        ),
    ]
