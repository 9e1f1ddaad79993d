"""``vidgen check`` and ``matrix``: what fits together, without building anything or importing torch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidgen.cli.output import print_json, print_table
from vidgen.errors import ConfigError, closest
from vidgen.spec import INTERFACES

if TYPE_CHECKING:
    from vidgen.contract import Status
    from vidgen.matrix import Combination

__all__ = ["MISFIT", "add_to", "check", "matrix"]

MISFIT = 2
"""Exit code of ``vidgen check`` for a recipe that reads well but whose parts do not fit."""

STATUSES: tuple[Status, ...] = ("native", "must be trained", "refused")


def check(
    recipe: Annotated[
        Path, typer.Argument(help="A TOML or JSON recipe, or a folder that holds recipe.toml.")
    ],
) -> None:
    """Say whether the parts of a recipe fit.

    It runs as trained (native), must be trained, or is refused; then the exit code is 1.

    \b
    Examples:
      vidgen check recipe.toml
      vidgen check runs/kinetic/pipeline
    """  # noqa: D301
    from vidgen.layout import read_recipe

    system = read_recipe(recipe)
    for kind in INTERFACES:
        slot = system.slot(kind)
        print(f"{kind}: {slot.spec.name}" + (f" with the weights {slot.weights}" if slot.weights else ""))
    problems = system.problems()
    for problem in problems:
        print(f"problem: {problem}")
    print(f"status: {system.status()}")
    if problems:
        raise typer.Exit(MISFIT)


Patterns = list[str] | None
_HELP = "NAME, NAME/PRESET or NAME@WEIGHTS, with wildcards; may be given several times."


def matrix(
    autoencoder: Annotated[Patterns, typer.Option(help=_HELP)] = None,
    denoiser: Annotated[Patterns, typer.Option(help=_HELP)] = None,
    text_encoder: Annotated[Patterns, typer.Option(help=_HELP)] = None,
    scheduler: Annotated[Patterns, typer.Option(help=_HELP)] = None,
    status: Annotated[str | None, typer.Option(help=f"Only these: {', '.join(STATUSES)}.")] = None,
    rows: Annotated[int, typer.Option(min=0, help="Print so many rows at most; 0 for all.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print all rows as JSON.")] = False,
) -> None:
    """Say of every combination of parts whether it fits.

    It runs as trained (native), must be trained, or is refused and why. By default every part counts with its
    default preset and with each of its shipped weights.

    \b
    Examples:
      vidgen matrix
      vidgen matrix --denoiser "sora*/*" --scheduler "*"
      vidgen matrix --autoencoder "*@*" --status refused --rows 0
    """  # noqa: D301
    from vidgen.matrix import EVERY_PART, combinations

    if status is not None and status not in STATUSES:
        hint = closest(status, STATUSES)
        raise ConfigError(f"There is no status {status!r}.{hint} Statuses: {', '.join(STATUSES)}.")
    given = {
        "autoencoder": autoencoder,
        "denoiser": denoiser,
        "text_encoder": text_encoder,
        "scheduler": scheduler,
    }
    every = list(combinations({kind: patterns or EVERY_PART for kind, patterns in given.items()}))
    chosen = sorted((c for c in every if status in (None, c.status)), key=lambda c: STATUSES.index(c.status))
    if as_json:
        print_json([{**c.parts, "status": c.status, "reasons": c.reasons} for c in chosen])
        return
    _print(chosen if rows == 0 else chosen[:rows])
    if 0 < rows < len(chosen):
        print(f"... and {len(chosen) - rows} more; --rows 0 shows all")
    counts = Counter(one.status for one in every)
    print(f"{len(every)} combinations: " + ", ".join(f"{counts[name]} {name}" for name in STATUSES))


def _print(chosen: list[Combination]) -> None:
    cells = [(*(one.parts[kind] for kind in INTERFACES), one.status, " ".join(one.reasons)) for one in chosen]
    if cells:
        print_table((*INTERFACES, "status", "why"), cells)


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("check")(check)
    app.command("matrix")(matrix)
