"""Sora-like parts: a causal video autoencoder and a spacetime-patch transformer, with the shipped weights."""

from __future__ import annotations

from pathlib import Path

from vidgen.hookspecs import hookimpl
from vidgen.pretrained import PretrainedConfig
from vidgen.spec import ComponentSpec
from vidgen_sora.config import SoraDiTConfig, SoraVAEConfig
from vidgen_sora.presets import SORA_DIT, SORA_VAE

__all__ = ["vidgen_components"]

WEIGHTS = Path(__file__).parent / "pretrained"


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare the autoencoder, the denoiser and the weights."""
    return [
        ComponentSpec(
            kind="autoencoder",
            name="sora-vae",
            target="vidgen_sora.autoencoder:SoraVAE",
            config=SoraVAEConfig,
            presets=SORA_VAE,
            summary="Causal convolutional KL autoencoder, 4x8x8, 16 channels; streams exactly at every length.",
        ),
        ComponentSpec(
            kind="denoiser",
            name="sora-dit",
            target="vidgen_sora.denoiser:SoraDiT",
            config=SoraDiTConfig,
            presets=SORA_DIT,
            summary="Spacetime-patch transformer: adaLN, rotary positions, a time for each frame; any size.",
        ),
        ComponentSpec(
            kind="pretrained",
            name="kinetic",
            target="vidgen.pretrained:folder",
            config=PretrainedConfig,
            presets={"default": PretrainedConfig(folder=str(WEIGHTS / "kinetic"), default=True)},
            summary="The default model: sora-vae, sora-dit and words, trained on the kinetic world.",
        ),
    ]
