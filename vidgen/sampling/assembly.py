"""From a recipe to live parts, and from live parts to a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vidgen.checkpoint import load_weights, part_folder, save_part
from vidgen.contract import DenoiserConfig, TextEncoderContract, find_problems
from vidgen.errors import ContractError
from vidgen.interfaces import TextEncoder
from vidgen.parts import build
from vidgen.recipe import Recipe, Slot
from vidgen.sampling.adapt import AdaptedDenoiser, AdaptedTextEncoder, adapted
from vidgen.spec import INTERFACES
from vidgen.trained import load_trained

__all__ = ["Place", "assemble", "make", "save_slot"]

ADAPTER = "adapter.safetensors"


@dataclass(frozen=True, slots=True)
class Place:
    """Where parts are made.

    Attributes:
        device: Where their tensors go.
        dtype: Their floating-point type; None for float32.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype | None = None


def make(slot: Slot, place: Place | None = None) -> Any:
    """Make the part of a slot, with its weights if it names some, one at a time and nowhere twice."""
    place = place or Place()
    if slot.weights is not None:
        return load_trained(slot.spec, slot.weights, slot.told, device=place.device, dtype=place.dtype)
    with _by_default(place.dtype if slot.trained else None):
        part = build(slot.spec, slot.config)
    return part.to(place.device, place.dtype) if isinstance(part, nn.Module) else part


@contextmanager
def _by_default(dtype: torch.dtype | None) -> Iterator[None]:
    """Let parts that fetch weights by themselves read them in a floating-point type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype or before)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def assemble(
    recipe: Recipe, live: Mapping[str, Any] | None = None, place: Place | None = None
) -> dict[str, Any]:
    """Make the four parts of a recipe, with trainable projections between them where it says ``adapt``.

    Args:
        recipe: What to make.
        live: Parts that are there already, by kind.
        place: Where to make the others.

    Raises:
        ContractError: When a text encoder that says what it is only once it is loaded does not fit.
    """
    live = live or {}
    text_encoder = live.get("text_encoder") or make(recipe.text_encoder, place)
    recipe = _told(recipe, text_encoder)
    there = {**live, "text_encoder": text_encoder}
    parts = {kind: there.get(kind) or make(recipe.slot(kind), place) for kind in INTERFACES}
    if recipe.adapt:
        pair = adapted(parts["autoencoder"], parts["denoiser"], parts["text_encoder"])
        parts["denoiser"], parts["text_encoder"] = pair
        for kind in ("denoiser", "text_encoder"):
            weights = recipe.slot(kind).weights
            path = part_folder(kind, weights) / ADAPTER if weights and not live.get(kind) else None
            if path is not None and path.exists():
                load_weights(parts[kind].adapter, path)
    return parts


def _told(recipe: Recipe, text_encoder: TextEncoder) -> Recipe:
    """Return the recipe whose denoiser follows what its text encoder could not say before it was loaded."""
    contracts = recipe.contracts()
    declared, denoiser = contracts.text_encoder.text, recipe.denoiser
    if declared.width is not None and declared.space is not None:
        return recipe
    text = text_encoder.text
    if text.space is None:
        text = replace(text, space="" if text_encoder.origin == "random" else "unknown")
    told = replace(contracts, text_encoder=TextEncoderContract(text=text))
    problems = find_problems(told, foreign=recipe.foreign, adapt=recipe.adapt)
    if problems:
        raise ContractError(" ".join(map(str, problems)))
    if isinstance(denoiser.config, DenoiserConfig):
        denoiser = replace(denoiser, config=denoiser.config.follow(contracts.autoencoder.latent, text))
    return replace(recipe, denoiser=denoiser)


def save_slot(part: nn.Module, folder: Path, slot: Slot) -> None:
    """Write a part into a new folder, its adapter beside it."""
    from safetensors.torch import save_file

    folder.mkdir()
    if isinstance(part, (AdaptedDenoiser, AdaptedTextEncoder)):
        save_part(part.inner, folder, slot.spec)
        save_file(part.adapter.state_dict(), folder / ADAPTER)
    else:
        save_part(part, folder, slot.spec)
