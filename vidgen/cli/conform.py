"""``vidgen conform``: hold a component to what it declares."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from vidgen.cli.output import note, print_json, print_table
from vidgen.errors import ConfigError, UnknownNameError, closest
from vidgen.parts import Address
from vidgen.progress import progress
from vidgen.registry import list_components, registry
from vidgen.spec import CONFORMING, check_kind

__all__ = ["add_to", "conform"]

FAILED = 1
"""Exit code when a check fails."""


def conform(
    name: Annotated[str, typer.Argument(help="name or name/preset; the preset tiny by default.")],
    kind: Annotated[str | None, typer.Option(help=f"One of {', '.join(CONFORMING)}.")] = None,
    check: Annotated[
        list[str] | None, typer.Option("--check", help="Only this check; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Hold a part to what it declares; exit code 1 if it fails.

    \b
    Examples:
      vidgen conform sora-dit --kind denoiser
      vidgen conform dpmpp-2m
      vidgen conform sora-vae/small --check streaming-as-declared
      vidgen conform my-backbone --json
    """  # noqa: D301
    kind = check_kind(kind) if kind else _kind_of(name)
    from vidgen.testing.check import Subject, run_check
    from vidgen.testing.suite import choose

    subject = Subject.of(kind, name)
    chosen, rows = choose(subject, check), []
    with progress(f"{kind} {subject.label}", len(chosen)) as advance:
        for one in chosen:
            rows.append(run_check(subject, one))
            advance(1)
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
    else:
        cells = [
            (
                row.check,
                row.status,
                "-" if row.error is None else f"{row.error:.2g}",
                "-" if row.tolerance is None else f"{row.tolerance:.2g}",
                f"{row.seconds:.2f}",
                row.message,
            )
            for row in rows
        ]
        columns = ("check", "status", "error", "tolerance", "seconds", "why")
        print_table(columns, cells, title=f"{kind} {subject.label}")
    count = {
        status: sum(row.status == status for row in rows) for status in ("pass", "fail", "skip", "xfail")
    }
    note(", ".join(f"{number} {status}" for status, number in count.items() if number))
    if count["fail"]:
        raise typer.Exit(FAILED)


def _kind_of(name: str) -> str:
    """Return the one kind that has a component of this name."""
    bare = Address.parse(name).name
    kinds = [kind for kind in CONFORMING if bare in list_components(kind)]
    if len(kinds) > 1:
        raise ConfigError(f"{bare!r} is the name of {' and '.join(kinds)}; say --kind.")
    if not kinds:
        everything = {one for kind in CONFORMING for one in list_components(kind)}
        raise UnknownNameError(
            f"There is no part {bare!r}.{closest(bare, everything)} `vidgen list` shows all.{registry().broken()}"
        )
    return kinds[0]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("conform")(conform)
