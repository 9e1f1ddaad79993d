"""The kinetic world: captioned moving shapes as a data set, a scorer that reads videos, a refiner of prompts."""

from __future__ import annotations

from vidgen.hookspecs import hookimpl
from vidgen.spec import ComponentSpec
from vidgen_kinetic.config import KineticConfig, KineticRefinerConfig, KineticScorerConfig

__all__ = ["vidgen_components"]


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare the data set, the scorer and the prompt refiner."""
    return [
        ComponentSpec(
            kind="data_set",
            name="kinetic",
            target="vidgen_kinetic.data:KineticWorld",
            config=KineticConfig,
            summary="Captioned moving shapes, drawn on the fly; 28 of 256 triples are held out.",
        ),
        ComponentSpec(
            kind="metric",
            name="kinetic",
            target="vidgen_kinetic.scorer:KineticScorer",
            config=KineticScorerConfig,
            summary='Reads a video of the kinetic world back into words, or into "none".',
        ),
        ComponentSpec(
            kind="prompt_refiner",
            name="kinetic",
            target="vidgen_kinetic.refiner:KineticRefiner",
            config=KineticRefinerConfig,
            summary="Loose wording to the captions of the kinetic world, by rules.",
        ),
    ]
