"""Pipelines in the layout of another library."""

from __future__ import annotations

from pathlib import Path

from vidgen.checkpoint import atomic_folder
from vidgen.errors import ConfigError
from vidgen.layout import INDEX
from vidgen.parts import build
from vidgen.registry import find, list_components
from vidgen.sampling.pipeline import Pipeline

__all__ = ["export"]


def export(pipe: Pipeline, folder: str | Path) -> Path:
    """Write a pipeline as diffusers does, for diffusers and all who read its folders.

    Args:
        pipe: Of parts that a layout knows together (`vidgen list pipeline_layout`).
        folder: Put in place whole, or not at all.

    Raises:
        ConfigError: For parts that no layout knows, and for a scheduler that has no counterpart.
        CheckpointError: When the folder cannot be written or holds something else.
    """
    with atomic_folder(folder, INDEX) as new:
        for name in list_components("pipeline_layout"):
            spec = find("pipeline_layout", name)
            if build(spec, spec.preset()).write(pipe, new):
                return Path(folder)
        raise ConfigError(f"No layout knows {pipe!r}; `Pipeline.save` writes any pipeline in vidgen's own.")
