"""``vidgen train``: train what a recipe says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vidgen.cli.fields import read_value
from vidgen.cli.output import note
from vidgen.errors import RecipeError

__all__ = ["add_to", "read_changes", "train"]


def train(
    recipe: Annotated[Path, typer.Argument(help="A TOML or JSON file with parts, [train] and [[data]].")],
    out: Annotated[Path | None, typer.Option(help="Folder for everything.  [default: runs/RECIPE]")] = None,
    init: Annotated[str | None, typer.Option(help="Start from this pipeline: a folder or a tag.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="train.FIELD=VALUE", help="May be repeated.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Short for --set train.steps=N.")] = None,
) -> None:
    """Train the parts that a recipe names.

    An autoencoder, or a denoiser with or without its text encoder. A checkpoint in the folder is
    resumed exactly; Ctrl-C keeps one.

    \b
    Examples:
      vidgen train recipe.toml
      vidgen train recipe.toml --out runs/mine --init kinetic --set train.learning_rate=1e-4
      vidgen train recipe.toml --steps 100
      torchrun --nproc-per-node 8 -m vidgen train recipe.toml
    """  # noqa: D301
    from vidgen.train.config import TrainRecipe

    overrides = read_changes(changes or ())
    if steps is not None:
        overrides["steps"] = steps
    plan = TrainRecipe.load(recipe, overrides)
    folder = out or Path("runs") / recipe.stem

    from vidgen.train.trainer import Trainer

    trainer = None
    try:
        trainer = Trainer(plan, folder, init=init)
        span = f"from step {trainer.state.step} to {plan.train.steps}"
        if trainer.is_main:
            note(f"training {' and '.join(plan.train.train)} in {folder}, {span}")
        result = trainer.run()
    except KeyboardInterrupt:
        kept = (
            f"a checkpoint of step {trainer.state.step} is in {folder}"
            if trainer
            else "before the first step"
        )
        if trainer is None or trainer.is_main:
            note(f"stopped; {kept}; the same command goes on from there")
        raise typer.Exit(130) from None
    if trainer.is_main:
        print(f"wrote {result}")


def read_changes(changes: Sequence[str]) -> dict[str, Any]:
    """Read ``train.steps=100`` and the like; values are TOML, or else plain words.

    Raises:
        RecipeError: For another form, or another table than ``train``.
    """
    result: dict[str, Any] = {}
    for change in changes:
        key, equals, text = change.partition("=")
        table, dot, field = key.strip().partition(".")
        if not (equals and dot and field) or table != "train":
            raise RecipeError(f"--set reads train.FIELD=VALUE, such as train.steps=100, not {change!r}.")
        result[field] = read_value(text)
    return result


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("train")(train)
