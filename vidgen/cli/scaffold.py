"""``vidgen new-plugin``: start a plugin of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidgen.cli.output import note
from vidgen.scaffold import new_plugin
from vidgen.spec import INTERFACES

__all__ = ["add_to", "start_plugin"]


def start_plugin(
    name: Annotated[str, typer.Argument(help="Lower-case kebab; the component's and the package's name.")],
    kind: Annotated[str, typer.Option(help=f"One of {', '.join(INTERFACES)}.")] = "denoiser",
    folder: Annotated[Path, typer.Option(help="Where the package's folder is made.")] = Path(),
) -> None:
    """Write a small plugin that passes every check at once.

    \b
    Examples:
      vidgen new-plugin my-backbone --kind denoiser
      vidgen new-plugin my-codec --kind autoencoder --folder ~/code
    """  # noqa: D301
    place = new_plugin(name, kind, folder)
    print(f"wrote {place}")
    note(f"next: pip install -e {place} && vidgen conform {name} --kind {kind} && pytest {place}")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("new-plugin")(start_plugin)
