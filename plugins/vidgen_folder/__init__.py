"""Your own videos: a folder of clips and images, with captions beside them, as a data set."""

from __future__ import annotations

from vidgen.hookspecs import hookimpl
from vidgen.spec import ComponentSpec
from vidgen_folder.config import FolderConfig

__all__ = ["vidgen_components"]


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare the data set."""
    return [
        ComponentSpec(
            kind="data_set",
            name="folder",
            target="vidgen_folder.data:FolderVideos",
            config=FolderConfig,
            summary="Videos and images of a folder, with captions from text files, JSON lines or CSV.",
        )
    ]
