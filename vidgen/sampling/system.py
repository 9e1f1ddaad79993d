"""Four live parts and what holds for them together: where they are, what is random, whether they belong together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from vidgen.contract import Status
from vidgen.errors import ConfigError
from vidgen.interfaces import Denoiser, Scheduler, TextEncoder, VideoAutoencoder
from vidgen.lora import Lora, load_lora
from vidgen.process import Process
from vidgen.quantisation import unpack
from vidgen.recipe import Recipe, Sampling
from vidgen.sampling.device import as_dtype, auto_device, place_of
from vidgen.sampling.memory import Decoding, Memory, Placement, lift, place
from vidgen.size import Size
from vidgen.spec import INTERFACES

__all__ = ["System"]


class System:
    """Four parts that fit.

    Args:
        recipe: The system as data, every following field filled.
        parts: The live parts by kind.
    """

    placement: Placement | None = None
    """Where the parts work, by `place`."""

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
        where = auto_device() if device == "auto" else self.device if device is None else torch.device(device)
        kind = as_dtype(dtype, where)
        lift(self.modules())
        self.placement = None
        for module in self.modules().values():
            if kind is not None:
                unpack(module)
            module.to(device=where, dtype=kind)
        return self

    def place(
        self,
        device: str | torch.device | None = "auto",
        dtype: str | torch.dtype | None = None,
        memory: Memory = "auto",
        *,
        storage: str | None = None,
        decode: Decoding = "auto",
        size: Size | None = None,
        batch: int = 1,
    ) -> Self:
        """Put the parts where they work, in as little memory as need be; see `vidgen.sampling.memory.place`.

        ``pipe.place("cuda", "bfloat16", "layers")``; what ``auto`` chose stands in ``pipe.placement.note``.
        """
        self.placement = place(
            self, device, dtype, memory, storage=storage, decode=decode, size=size, batch=batch
        )
        return self

    def make_room(self, size: Size, batch: int) -> None:
        """Place the parts anew if they were placed by ``auto`` for less than what is to be made now."""
        placement, volume = self.placement, self.autoencoder.latent.latent_size(size).volume * batch
        if placement is not None and 0 < placement.planned < volume:
            self.place(**placement.asked, size=size, batch=batch)

    def lora(
        self, source: str | Path, scale: float = 1.0, *, part: str = "denoiser", file: str | None = None
    ) -> Lora:
        """Put a LoRA on a part: a safetensors file, a folder or a Hub id; see `vidgen.lora.load_lora`."""
        modules = self.modules()
        if part not in modules:
            raise ConfigError(f"A LoRA goes on one of {', '.join(modules)}, not {part!r}.")
        return load_lora(modules[part], source, scale, file=file)
