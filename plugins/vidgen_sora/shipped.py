"""The weights that ship as package data."""

from __future__ import annotations

from pathlib import Path

from vidgen_sora.config import PretrainedConfig

__all__ = ["folder"]


def folder(config: PretrainedConfig) -> Path:
    """Return the folder of shipped weights: a pipeline as `Pipeline.save` writes it."""
    return Path(__file__).parent / "pretrained" / config.folder
