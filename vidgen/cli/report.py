"""``vidgen report``: what a file of results says, as Markdown, CSV and one HTML page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from vidgen.cli.output import print_json
from vidgen.errors import ConfigError

__all__ = ["add_to", "report"]


def report(
    results: Annotated[Path, typer.Argument(help="The SQLite file of `vidgen bench`.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Where to write.  [default: beside the file]"),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the report.  [default: the file's name]")] = None,
    video_megabytes: Annotated[
        float, typer.Option(min=0, help="Embed at most so much video in the page, whole prompts at a time.")
    ] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print the files as JSON.")] = False,
) -> None:
    """Write results as Markdown, CSV and one HTML page.

    report.md, rows.csv and report.html (one file, opens without a network).

    \b
    Examples:
      vidgen report results.db
      vidgen report results.db -o report --title "Standard suite, 2 cores"
    """  # noqa: D301
    from vidgen.bench.report import write_report

    if not math.isfinite(video_megabytes):
        raise ConfigError(f"--video-megabytes is a finite number, not {video_megabytes}.")

    folder = output or results.with_name(f"{results.stem}-report")
    files = write_report(results, folder, title=title, video_bytes=int(video_megabytes * 1e6))
    if as_json:
        print_json([str(file) for file in files])
        return
    for file in files:
        print(file)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("report")(report)
