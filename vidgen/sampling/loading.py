"""Pipelines from tags, folders and the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vidgen.checkpoint import default_pretrained, pretrained_folder, recover_folder
from vidgen.errors import CheckpointError, UnknownNameError
from vidgen.hub import fetch
from vidgen.layout import INDEX, read_recipe
from vidgen.registry import list_components
from vidgen.sampling.device import as_dtype, auto_device
from vidgen.sampling.memory import Memory
from vidgen.sampling.pipeline import Pipeline, compose
from vidgen.spec import INTERFACES
from vidgen.tensors import read_json

__all__ = ["load"]

HEADS = ("recipe.toml", INDEX)
"""What the folder of a pipeline holds: ours, or one as diffusers writes it."""
PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model")
"""What is fetched of a part: settings, weights and tokenizers; nothing that could run."""


def load(
    source: str | Path | None = None,
    *,
    revision: str | None = None,
    offline: bool = False,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    memory: Memory | None = None,
) -> Pipeline:
    """Load a pipeline: the shipped default, a tag, a folder or a Hub id.

    A folder is one that `Pipeline.save` wrote, or one as diffusers writes it (``model_index.json``), if a plugin reads
    its class. Weights go straight to their device and type, one tensor after another.

    Args:
        source: None for the default that a plugin ships.
        revision: Branch, tag or commit of a Hub repository.
        offline: Look for a Hub id only among what was fetched before.
        device: ``auto`` takes an accelerator if there is one.
        dtype: ``auto`` takes what is fast there; None is float32.
        memory: How the device's memory is shared out, as in `Pipeline.place`; then weights are read into the CPU's
            first. None puts all on the device.

    Raises:
        CheckpointError: For a folder that is no pipeline or not complete, or that cannot be fetched.
        UnknownNameError: For a class that no plugin reads.
    """
    if source is None:
        folder = default_pretrained()
    elif str(source) in list_components("pretrained"):
        folder = pretrained_folder(str(source))
    elif str(source) and Path(source).exists():
        folder = Path(source)
    else:
        folder = _fetch(str(source), revision, offline=offline)
    recover_folder(folder)
    if not any((folder / name).exists() for name in HEADS):
        raise CheckpointError(f"{folder} is no pipeline: it holds neither {' nor '.join(HEADS)}.")
    recipe = read_recipe(folder)
    slots: dict[str, Any] = {kind: recipe.slot(kind) for kind in INTERFACES}
    place = auto_device() if device == "auto" else torch.device(device)
    kind = as_dtype(dtype, place)
    pipe = compose(
        **slots,
        sampling=recipe.sampling,
        foreign=recipe.foreign,
        adapt=recipe.adapt,
        device=place if memory is None else "cpu",
        dtype=kind,
    )
    return pipe if memory is None else pipe.place(place, kind, memory)


def _fetch(source: str, revision: str | None, *, offline: bool) -> Path:
    if source.count("/") != 1:
        tags = list_components("pretrained")
        raise UnknownNameError(
            f"There is no folder, tag or Hub id {source!r}; tags: {', '.join(tags) or 'none'}."
        )
    # First what says which folders make up the pipeline: a repository may hold the same weights in other forms too.
    folder = fetch(source, HEADS, revision=revision, offline=offline)
    parts = [*INTERFACES, *(read_json(folder / INDEX) if (folder / INDEX).exists() else ())]
    wanted = [f"{part}/{pattern}" for part in parts if not part.startswith("_") for pattern in PATTERNS]
    return fetch(source, [*HEADS, *wanted], revision=revision, offline=offline)
