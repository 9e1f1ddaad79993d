"""``vidgen export``: a pipeline in another library's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["add_to", "export"]


def export(
    source: Annotated[str, typer.Argument(help="A tag, a folder or a Hub id, as `vidgen.load` takes it.")],
    folder: Annotated[Path, typer.Argument(help="To be written.", file_okay=False)],
    layout: Annotated[
        Literal["vidgen", "diffusers"], typer.Option("--format", help="Whose folder it shall be.")
    ] = "diffusers",
) -> None:
    """Write a pipeline in another library's layout, or in ours.

    \b
    Examples:
      vidgen export models/Wan2.1-T2V-1.3B-Diffusers wan --format vidgen
      vidgen export wan back --format diffusers
    """  # noqa: D301
    from vidgen.sampling.export import export as write
    from vidgen.sampling.loading import load

    pipe = load(source)
    if layout == "diffusers":
        write(pipe, folder)
    else:
        pipe.save(folder)
    print(f"wrote {folder} ({pipe!r})")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export")(export)
