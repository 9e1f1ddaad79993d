"""Trained parts from wherever their weights are: a tag, a folder that we wrote, or one in a published layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidgen.checkpoint import load_part, part_folder, read_part_config
from vidgen.config import Config
from vidgen.errors import RecipeError
from vidgen.published import is_published, load_published, published_config
from vidgen.spec import ComponentSpec

if TYPE_CHECKING:
    import torch

__all__ = ["load_trained", "trained_config"]


def trained_config(spec: ComponentSpec, weights: str | Path, told: Mapping[str, Any]) -> Config:
    """Return the configuration that weights bring, without reading them.

    Args:
        spec: The part.
        weights: A tag or a folder.
        told: Fields that a published folder cannot know, such as the space that a denoiser was trained on.

    Raises:
        RecipeError: For fields beside weights that know them all.
        CheckpointError: For a folder that cannot be read.
    """
    folder = part_folder(spec.kind, weights)
    if is_published(spec, folder):
        return published_config(spec, folder).replace(**told)
    if told:
        raise RecipeError(
            f"{spec.kind} {spec.name!r}: weights bring their own configuration; leave preset and config."
        )
    return read_part_config(spec, folder)


def load_trained(
    spec: ComponentSpec,
    weights: str | Path,
    told: Mapping[str, Any] | None = None,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Any:
    """Make a part with the configuration and the tensors of a tag or folder, in evaluation mode; see `trained_config`.

    Args:
        spec: The part.
        weights: A tag or a folder.
        told: As in `trained_config`.
        device: Where its tensors go.
        dtype: Of its floating-point tensors; None for float32.
    """
    folder = part_folder(spec.kind, weights)
    if not is_published(spec, folder):
        return load_part(spec, weights).to(device=device, dtype=dtype)
    part = load_published(spec.kind, spec.name, folder, device=device, dtype=dtype, **(told or {}))
    part.origin = str(weights)
    return part
