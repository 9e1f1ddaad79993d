"""The Open-Sora Plan (Peking University and Rabbitpre), part by part and generation by generation."""

from __future__ import annotations

from pathlib import Path

from vidgen.hookspecs import hookimpl
from vidgen.pretrained import PretrainedConfig
from vidgen.spec import ComponentSpec
from vidgen_opensora_plan.config import CausalVAEConfig, OpenSoraPlanConfig, WFVAEConfig
from vidgen_opensora_plan.presets import CAUSAL_VAE, OPENSORA_PLAN, WF_VAE

__all__ = ["vidgen_components"]

WEIGHTS = Path(__file__).parent / "pretrained"


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare the parts."""
    return [
        ComponentSpec(
            kind="autoencoder",
            name="causal-vae",
            target="vidgen_opensora_plan.causal_vae:CausalVAE",
            config=CausalVAEConfig,
            presets=CAUSAL_VAE,
            summary="CausalVideoVAE of Open-Sora Plan 1.0 to 1.2, 4x8x8, 4 channels.",
            expected_failures={
                "causal-as-declared": "Its group norms look over all frames, as published, so later ones count.",
            },
        ),
        ComponentSpec(
            kind="autoencoder",
            name="wf-vae",
            target="vidgen_opensora_plan.wf_vae:WFVAE",
            config=WFVAEConfig,
            presets=WF_VAE,
            summary="WF-VAE of Open-Sora Plan 1.3 (4x8x8) and 1.5 (8x8x8): wavelets take a path of their own.",
        ),
        ComponentSpec(
            kind="denoiser",
            name="opensora-plan",
            target="vidgen_opensora_plan.denoiser:OpenSoraPlan",
            config=OpenSoraPlanConfig,
            presets=OPENSORA_PLAN,
            summary="OpenSoraT2V of Open-Sora Plan 1.2 (3D attention) and 1.3 (skip-sparse), also to inpaint.",
        ),
        ComponentSpec(
            kind="pretrained",
            name="wf-vae",
            target="vidgen.pretrained:folder",
            config=PretrainedConfig,
            presets={"default": PretrainedConfig(folder=str(WEIGHTS / "wf-vae"))},
            summary="The small WF-VAE, trained on real clips and the kinetic world.",
        ),
    ]
