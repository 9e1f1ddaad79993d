"""Pipelines from tags, folders and the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vidgen.checkpoint import default_pretrained, pretrained_folder, recover_folder
from vidgen.errors import CheckpointError, UnknownNameError
from vidgen.recipe import Recipe
from vidgen.registry import list_components
from vidgen.sampling.pipeline import Pipeline, compose
from vidgen.spec import INTERFACES

__all__ = ["load"]


def load(source: str | Path | None = None, *, revision: str | None = None) -> Pipeline:
    """Load a pipeline: the shipped default, a tag, a folder written by `Pipeline.save`, or a Hub id.

    Args:
        source: None for the default that a plugin ships.
        revision: Branch, tag or commit of a Hub repository.

    Raises:
        CheckpointError: For a folder that is no pipeline, or that cannot be fetched.
    """
    if source is None:
        folder = default_pretrained()
    elif str(source) in list_components("pretrained"):
        folder = pretrained_folder(str(source))
    elif str(source) and Path(source).exists():
        folder = Path(source)
    else:
        folder = _fetch(str(source), revision)
    recover_folder(folder)
    if not (folder / "recipe.toml").exists():
        raise CheckpointError(f"{folder} is no pipeline: it holds no recipe.toml (see Pipeline.save).")
    recipe = Recipe.load(folder)
    slots: dict[str, Any] = {kind: recipe.slot(kind) for kind in INTERFACES}
    return compose(**slots, sampling=recipe.sampling, foreign=recipe.foreign, adapt=recipe.adapt)


def _fetch(source: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    if source.count("/") != 1:
        tags = list_components("pretrained")
        raise UnknownNameError(
            f"There is no folder, tag or Hub id {source!r}; tags: {', '.join(tags) or 'none'}."
        )
    try:
        return Path(
            snapshot_download(source, revision=revision, allow_patterns=["*.toml", "*.json", "*.safetensors"])
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as problem:
        line = str(problem).splitlines()[0]
        raise CheckpointError(
            f"{source!r} is no folder here, and the Hub did not give it: {line}"
        ) from problem
