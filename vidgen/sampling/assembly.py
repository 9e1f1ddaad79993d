"""From a recipe to live parts, and from live parts to a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from vidgen.checkpoint import load_part, load_weights, part_folder, save_part
from vidgen.parts import build
from vidgen.recipe import Recipe, Slot
from vidgen.sampling.adapt import adapted
from vidgen.spec import INTERFACES

__all__ = ["assemble", "make", "save_slot"]

ADAPTER = "adapter.safetensors"


def make(slot: Slot) -> Any:
    """Make the part of a slot, with its weights if it names some."""
    return build(slot.spec, slot.config) if slot.weights is None else load_part(slot.spec, slot.weights)


def assemble(recipe: Recipe, live: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make the four parts of a recipe, with trainable projections between them where it says ``adapt``.

    Args:
        recipe: What to make.
        live: Parts that are there already, by kind.
    """
    parts = {kind: (live or {}).get(kind) or make(recipe.slot(kind)) for kind in INTERFACES}
    if recipe.adapt:
        pair = adapted(parts["autoencoder"], parts["denoiser"], parts["text_encoder"])
        parts["denoiser"], parts["text_encoder"] = pair
        for kind in ("denoiser", "text_encoder"):
            weights = recipe.slot(kind).weights
            path = part_folder(kind, weights) / ADAPTER if weights and not (live or {}).get(kind) else None
            if path is not None and path.exists():
                load_weights(parts[kind].adapter, path)
    return parts


def save_slot(part: nn.Module, folder: Path, slot: Slot) -> None:
    """Write a part into a new folder, its adapter beside it."""
    from safetensors.torch import save_file

    folder.mkdir()
    save_part(getattr(part, "inner", part), folder, slot.spec)
    adapter = getattr(part, "adapter", None)
    if isinstance(adapter, nn.Module):
        save_file(adapter.state_dict(), folder / ADAPTER)
