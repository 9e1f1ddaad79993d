"""VideoGPT's autoencoder with discrete codes, the Video VQ-VAE of Open-Sora Plan's first framework."""

from __future__ import annotations

from pathlib import Path

from vidgen.hookspecs import hookimpl
from vidgen.pretrained import PretrainedConfig
from vidgen.spec import ComponentSpec
from vidgen_videogpt.config import VideoGPTVQVAEConfig
from vidgen_videogpt.presets import VIDEOGPT_VQVAE

__all__ = ["vidgen_components"]

WEIGHTS = Path(__file__).parent / "pretrained"


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare the autoencoder."""
    return [
        ComponentSpec(
            kind="autoencoder",
            name="videogpt-vqvae",
            target="vidgen_videogpt.autoencoder:VideoGPTVQVAE",
            config=VideoGPTVQVAEConfig,
            presets=VIDEOGPT_VQVAE,
            summary="Video VQ-VAE: axial attention, 2,048 discrete codes, 4x4x4.",
        ),
        ComponentSpec(
            kind="pretrained",
            name="videogpt-vqvae",
            target="vidgen.pretrained:folder",
            config=PretrainedConfig,
            presets={"default": PretrainedConfig(folder=str(WEIGHTS / "videogpt-vqvae"))},
            summary="The small Video VQ-VAE, trained on real clips and the kinetic world.",
        ),
    ]
