"""Any video autoencoder, denoiser or scheduler of diffusers as a part with a true contract."""

from __future__ import annotations

from vidgen.hookspecs import hookimpl
from vidgen.layout import LayoutConfig
from vidgen.spec import ComponentSpec
from vidgen_diffusers.autoencoder_config import DiffusersAutoencoderConfig
from vidgen_diffusers.autoencoder_presets import AUTOENCODER
from vidgen_diffusers.denoiser_config import DiffusersDenoiserConfig
from vidgen_diffusers.denoiser_presets import DENOISERS
from vidgen_diffusers.layouts import FAMILIES
from vidgen_diffusers.scheduler_config import DiffusersSchedulerConfig
from vidgen_diffusers.scheduler_presets import SCHEDULER

__all__ = ["vidgen_components"]


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare the parts."""
    return [
        ComponentSpec(
            kind="autoencoder",
            name="diffusers",
            target="vidgen_diffusers.autoencoder:DiffusersAutoencoder",
            config=DiffusersAutoencoderConfig,
            presets=AUTOENCODER,
            summary="A video autoencoder of diffusers, by the name of its class.",
        ),
        ComponentSpec(
            kind="scheduler",
            name="diffusers",
            target="vidgen_diffusers.scheduler:DiffusersScheduler",
            config=DiffusersSchedulerConfig,
            presets=SCHEDULER,
            summary="A scheduler of diffusers, by the name of its class; it keeps to its own process.",
        ),
        ComponentSpec(
            kind="denoiser",
            name="diffusers",
            target="vidgen_diffusers.denoiser:DiffusersDenoiser",
            config=DiffusersDenoiserConfig,
            presets=DENOISERS,
            summary="A video denoiser of diffusers, by the name of its class.",
        ),
        ComponentSpec(
            kind="pipeline_layout",
            name="diffusers",
            target="vidgen_diffusers.layouts:DiffusersLayout",
            config=LayoutConfig,
            presets={"all": LayoutConfig(classes=tuple(FAMILIES))},
            summary="diffusers' folders of whole pipelines.",
        ),
    ]
