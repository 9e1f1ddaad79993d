"""``vidgen cache``: encode the data of a training before it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from vidgen.cli.output import note, print_table
from vidgen.cli.train import read_changes

__all__ = ["add_to", "cache"]


def cache(
    recipe: Annotated[
        Path, typer.Argument(help="A training recipe whose [[data]] tables say cache = N, how many samples.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder of the training.  [default: runs/RECIPE]")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="train.FIELD=VALUE", help="May be repeated.")
    ] = None,
) -> None:
    """Encode the data of a training before it.

    Latents, and where a table says cache_text = true the texts' embeddings, are written in shards;
    `vidgen train` then reads them. A stopped or killed run goes on where it was.

    \b
    Examples:
      vidgen cache recipe.toml
      vidgen cache recipe.toml --set train.cache=/data/encoded
      torchrun --nproc-per-node 8 -m vidgen cache recipe.toml --out runs/mine
    """  # noqa: D301
    from vidgen.train.config import TrainRecipe

    plan = TrainRecipe.load(recipe, read_changes(changes or ()))
    root = Path(plan.train.cache or (out or Path("runs") / recipe.stem) / "latents")

    from vidgen.train.cache import fill_caches

    try:
        caches = fill_caches(plan, root)
    except KeyboardInterrupt:
        note(f"stopped; what is whole is in {root}; the same command goes on from there")
        raise typer.Exit(130) from None
    if os.environ.get("RANK", "0") != "0":  # torchrun's number of this process; the first one speaks
        return
    rows = [
        (
            made.table.spec.name,
            str(made.table.size),
            str(len(made)),
            _megabytes(made.folder),
            str(made.folder),
        )
        for made in caches
    ]
    print_table(("data", "size", "samples", "MB", "folder"), rows)


def _megabytes(folder: Path) -> str:
    return f"{sum(path.stat().st_size for path in folder.iterdir()) / 1e6:.1f}"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("cache")(cache)
