"""Four live parts and what holds for them together: where they are, what is random, whether they belong together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import nn

from vidgen.contract import Status
from vidgen.interfaces import Denoiser, Scheduler, TextEncoder, VideoAutoencoder
from vidgen.process import Process
from vidgen.recipe import Recipe, Sampling
from vidgen.sampling.device import auto_device, auto_dtype, place_of
from vidgen.spec import INTERFACES

__all__ = ["System"]


class System:
    """Four parts that fit.

    Args:
        recipe: The system as data, every following field filled.
        parts: The live parts by kind.
    """

    def __init__(self, recipe: Recipe, parts: Mapping[str, Any]) -> None:
        self.recipe = recipe
        self.autoencoder: VideoAutoencoder = parts["autoencoder"]
        self.denoiser: Denoiser = parts["denoiser"]
        self.text_encoder: TextEncoder = parts["text_encoder"]
        self.scheduler: Scheduler = parts["scheduler"]

    def __repr__(self) -> str:
        parts = ", ".join(f"{kind}={self.recipe.slot(kind).spec.name!r}" for kind in INTERFACES)
        return f"{type(self).__name__}({parts}, status={self.status!r})"

    @property
    def sampling(self) -> Sampling:
        """The defaults of a call."""
        return self.recipe.sampling

    @property
    def process(self) -> Process:
        """The denoiser's process."""
        return Process(self.denoiser.config.contract().process)

    @property
    def device(self) -> torch.device:
        """Where the denoiser is."""
        return place_of(self.denoiser)[0]

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of the denoiser."""
        return place_of(self.denoiser)[1]

    @property
    def random_parts(self) -> list[str]:
        """Kinds of the parts that have random weights; their output is noise until they are trained."""
        return [kind for kind in INTERFACES[:3] if getattr(self, kind).origin == "random"]

    @property
    def status(self) -> Status:
        """``native``, or ``must be trained``: random weights, or parts that never saw each other."""
        return "must be trained" if self.random_parts else self.recipe.status()

    def modules(self) -> dict[str, nn.Module]:
        """Return the parts that hold tensors, by kind."""
        parts = {kind: getattr(self, kind) for kind in INTERFACES}
        return {kind: part for kind, part in parts.items() if isinstance(part, nn.Module)}

    def to(self, device: str | torch.device | None = None, dtype: torch.dtype | str | None = None) -> Self:
        """Move the parts. ``device="auto"`` takes an accelerator if there is one, ``dtype="auto"`` what is fast."""
        place = auto_device() if device == "auto" else self.device if device is None else torch.device(device)
        kind = (
            auto_dtype(place)
            if dtype == "auto"
            else getattr(torch, dtype)
            if isinstance(dtype, str)
            else dtype
        )
        for module in self.modules().values():
            module.to(device=place, dtype=kind)
        return self
