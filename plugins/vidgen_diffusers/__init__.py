"""Any video autoencoder, denoiser or scheduler of diffusers as a part with a true contract."""

from __future__ import annotations

from vidgen.hookspecs import hookimpl
from vidgen.spec import ComponentSpec

__all__ = ["vidgen_components"]


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare the parts."""
    return []
