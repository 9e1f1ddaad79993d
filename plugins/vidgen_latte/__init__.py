"""Latte: the transformer over space and time in turns, as Open-Sora Plan 1.0 and 1.1 used it too."""

from __future__ import annotations

from vidgen.hookspecs import hookimpl
from vidgen.spec import ComponentSpec
from vidgen_latte.config import LatteConfig
from vidgen_latte.presets import LATTE

__all__ = ["vidgen_components"]


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare the parts."""
    return [
        ComponentSpec(
            kind="denoiser",
            name="latte",
            target="vidgen_latte.denoiser:Latte",
            config=LatteConfig,
            presets=LATTE,
            summary="Latte: attention within each frame and along time in turns (2+1D), learned variance.",
        ),
    ]
