"""Guiders: how predictions with and without the prompt, and with and without what is given, combine."""

from __future__ import annotations

from vidgen.hookspecs import hookimpl
from vidgen.spec import ComponentSpec
from vidgen_guidance import presets
from vidgen_guidance.config import GuidanceConfig

__all__ = ["vidgen_components"]

_SUMMARIES = {
    "cfg": "Classifier-free guidance, with every option below at rest.",
    "cfg-rescaled": "Its spread pulled back to that of the prompt's own prediction.",
    "cfg-interval": "Guided between two times only; outside, one evaluation a step instead of two.",
    "cfg-image-text": "Scales of their own for the text and for what is given.",
    "cfg-zero": "CFG-Zero*: the other branch scaled to fit, and a first step of zero.",
}


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare five starting points of one guider, whose options all go together."""
    return [
        ComponentSpec(
            kind="guider",
            name=name,
            target="vidgen_guidance.guider:Guidance",
            config=GuidanceConfig,
            summary=summary,
            presets=presets.GUIDERS[name],
        )
        for name, summary in _SUMMARIES.items()
    ]
