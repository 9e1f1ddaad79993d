"""Your own videos: a folder, or tar files, of clips and images with captions beside them, as data sets."""

from __future__ import annotations

from vidgen.hookspecs import hookimpl
from vidgen.spec import ComponentSpec
from vidgen_folder.config import FolderConfig, WebDatasetConfig

__all__ = ["vidgen_components"]


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare the data sets."""
    return [
        ComponentSpec(
            kind="data_set",
            name="folder",
            target="vidgen_folder.data:FolderVideos",
            config=FolderConfig,
            summary="Videos and images of a folder, with captions from text files, JSON lines or CSV.",
        ),
        ComponentSpec(
            kind="data_set",
            name="webdataset",
            target="vidgen_folder.tars:WebDataset",
            config=WebDatasetConfig,
            summary="Videos and images in WebDataset tar files, with captions from .txt or .json.",
        ),
    ]
