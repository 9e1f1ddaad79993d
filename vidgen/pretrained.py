"""Trained weights that ship as package data: what a family declares under the kind ``pretrained``."""

from __future__ import annotations

from pathlib import Path

from vidgen.config import Config, config
from vidgen.errors import CheckpointError

__all__ = ["PretrainedConfig", "folder"]


@config
class PretrainedConfig(Config):
    """Shipped weights.

    Attributes:
        folder: Where they are: a part's folder, or a pipeline as `Pipeline.save` writes it.
        default: Whether `vidgen.load()` takes them when nothing is named.
    """

    folder: str = ""
    default: bool = False


def folder(config: PretrainedConfig) -> Path:
    """Return the folder of shipped weights.

    Raises:
        CheckpointError: When there is none.
    """
    path = Path(config.folder)
    if not config.folder or not path.is_dir():
        raise CheckpointError(f"There are no shipped weights in {config.folder!r}: install the plugin again.")
    return path
