"""Suites of the combination benchmark: what is measured of every combination of parts."""

from __future__ import annotations

from vidgen.hookspecs import hookimpl
from vidgen.spec import ComponentSpec
from vidgen_suites import presets
from vidgen_suites.config import (
    FlopsConfig,
    GenerationConfig,
    LearningConfig,
    MemoryConfig,
    ReconstructionConfig,
    SolversConfig,
    SpeedConfig,
)

__all__ = ["vidgen_components"]


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare the suites."""
    return [
        ComponentSpec(
            kind="suite",
            name="speed",
            target="vidgen_suites.speed:Speed",
            config=SpeedConfig,
            summary="Seconds of every stage of a generation: text, each step, decoding; median and spread.",
            presets=presets.SPEED,
        ),
        ComponentSpec(
            kind="suite",
            name="memory",
            target="vidgen_suites.memory:Memory",
            config=MemoryConfig,
            summary="Peak memory of every stage, and parameters of every part.",
            presets=presets.MEMORY,
        ),
        ComponentSpec(
            kind="suite",
            name="flops",
            target="vidgen_suites.flops:Flops",
            config=FlopsConfig,
            summary="Operations of every stage, and which share of the machine's peak they reach.",
            presets=presets.FLOPS,
        ),
        ComponentSpec(
            kind="suite",
            name="solvers",
            target="vidgen_suites.solvers:Solvers",
            config=SolversConfig,
            summary="Distance to the exact solution of the denoiser's equation, by number of steps.",
            presets=presets.SOLVERS,
        ),
        ComponentSpec(
            kind="suite",
            name="reconstruction",
            target="vidgen_suites.reconstruction:Reconstruction",
            config=ReconstructionConfig,
            summary="PSNR, SSIM, LPIPS and flicker of clips through the autoencoder and back.",
            presets=presets.RECONSTRUCTION,
        ),
        ComponentSpec(
            kind="suite",
            name="generation",
            target="vidgen_suites.generation:Generation",
            config=GenerationConfig,
            summary="Whether videos show what their prompts ask for; CLIP score, Frechet distance, consistency.",
            presets=presets.GENERATION,
        ),
        ComponentSpec(
            kind="suite",
            name="learning",
            target="vidgen_suites.learning:Learning",
            config=LearningConfig,
            summary="Trains every combination alike, then its validation loss and what it generates.",
            presets=presets.LEARNING,
        ),
    ]
