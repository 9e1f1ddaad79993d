"""``vidgen doctor``: what this machine has, what is broken, and what to do."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from vidgen.cli.output import print_json, print_table

__all__ = ["add_to", "doctor"]


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Look at versions, devices, and what is fast or broken here.

    The exit code is 1 when something is broken.

    \b
    Examples:
      vidgen doctor
      vidgen doctor --json
    """  # noqa: D301
    from vidgen.doctor import Row, diagnose
    from vidgen.registry import plugins

    rows = diagnose()
    for plugin in plugins():
        found = f"{plugin.distribution} {plugin.version}"
        error = plugin.error or ""
        rows.append(Row("plugins", plugin.name, found, "broken" if error else "ok", error))
    if as_json:
        print_json([dataclasses.asdict(row) for row in rows])
    else:
        print_table(
            ("topic", "what", "found", "status", "advice"),
            [(row.topic, row.name, row.value, row.status, row.advice) for row in rows],
        )
    if any(row.status == "broken" for row in rows):
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)
