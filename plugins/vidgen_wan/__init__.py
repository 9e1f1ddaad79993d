"""Wan 2.1 and 2.2: a causal video autoencoder, a transformer that reads text and images, and its experts."""

from __future__ import annotations

from vidgen.hookspecs import hookimpl
from vidgen.spec import ComponentSpec
from vidgen_wan import config, presets, text_and_image_config

__all__ = ["vidgen_components"]


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare the autoencoder, the denoiser, the pair of experts, and the layouts of published folders."""
    return [
        ComponentSpec(
            kind="autoencoder",
            name="wan-vae",
            target="vidgen_wan.autoencoder:WanAutoencoder",
            config=config.WanAutoencoderConfig,
            summary="Wan 2.1's causal autoencoder: 16 channels, 4x8x8, streams exactly at every length.",
            presets=presets.WAN_VAE,
        ),
        ComponentSpec(
            kind="denoiser",
            name="wan",
            target="vidgen_wan.denoiser:Wan",
            config=config.WanConfig,
            summary="Wan's transformer, 1.3B and 14B, from text and from an image.",
            presets=presets.WAN,
        ),
        ComponentSpec(
            kind="denoiser",
            name="experts",
            target="vidgen_wan.experts:Experts",
            config=config.ExpertsConfig,
            summary="Two denoisers: one where it is noisy, one where it is clean (Wan 2.2).",
            presets=presets.EXPERTS,
        ),
        ComponentSpec(
            kind="text_encoder",
            name="text-and-image",
            target="vidgen_wan.text_and_image:TextAndImage",
            config=text_and_image_config.TextAndImageConfig,
            summary="Any text encoder, with CLIP's encoder of images beside it (Wan 2.1 from an image).",
            presets=presets.TEXT_AND_IMAGE,
        ),
        ComponentSpec(
            kind="pipeline_layout",
            name="wan",
            target="vidgen_wan.layout:WanLayout",
            config=config.WanLayoutConfig,
            summary="diffusers' folders of Wan 2.1 and 2.2, from text and from an image.",
            presets=presets.LAYOUT,
        ),
    ]
