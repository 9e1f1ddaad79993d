"""The program ``vidgen``: its commands, and how it says what went wrong."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from vidgen.cli import (
    bench,
    cache,
    chain,
    combine,
    conform,
    doctor,
    export,
    generate,
    parts,
    reconstruct,
    report,
    scaffold,
    stats,
    train,
    ui,
)
from vidgen.errors import VidgenError

__all__ = ["BAD_INPUT", "STOPPED", "app", "main"]

BAD_INPUT = 2
"""Exit code of every mistake that a user can make."""
STOPPED = 130
"""Exit code after Ctrl-C."""


class Commands(TyperGroup):
    """The commands, with every foreseeable failure said in one line on stderr."""

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, *_: Any, **__: Any
    ) -> Any:
        """Run one command and leave by `sys.exit`; ``--debug`` may stand anywhere."""
        given = list(sys.argv[1:] if args is None else args)
        words = [word for word in given if word != "--debug"]
        debug = words != given or os.environ.get("VIDGEN_DEBUG", "0") not in ("", "0")
        with _short_warnings():
            try:
                code = super().main(words, prog_name or "vidgen", standalone_mode=False)
            except typer.Abort:
                code = STOPPED
            except Exception as problem:
                line = _in_one_line(problem)
                if debug or line is None:
                    raise
                print(f"error: {line}", file=sys.stderr)
                code = BAD_INPUT
        sys.exit(code if isinstance(code, int) else 0)


def _in_one_line(problem: Exception) -> str | None:
    """Say what a user can do something about; None for what is a fault of ours and deserves its traceback."""
    if isinstance(problem, VidgenError):
        text = str(problem)
    elif hasattr(problem, "format_message") and hasattr(problem, "exit_code"):  # a usage error of typer
        where = getattr(getattr(problem, "ctx", None), "command_path", "vidgen")
        text = f"{problem.format_message()} (`{where} --help` shows how)"
    elif isinstance(problem, OSError):
        place = f"{problem.filename}: " if problem.filename else ""
        text = f"{place}{problem.strerror or problem}"
    elif _lacks_memory(problem):
        text = "out of memory; take fewer frames, a smaller size or a smaller preset"
    elif type(problem).__name__ == "SafetensorError":
        text = f"weights could not be read or written: {problem}"
    else:
        return None
    return " ".join(text.split())


def _lacks_memory(problem: Exception) -> bool:
    """Recognise torch's two errors by their words: it is not imported here."""
    text = f"{type(problem).__name__}: {problem}"
    return isinstance(problem, MemoryError) or "OutOfMemoryError" in text or "can't allocate memory" in text


@contextlib.contextmanager
def _short_warnings() -> Iterator[None]:
    """Show warnings as one line each instead of Python's two with a place in the code."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


app = typer.Typer(
    cls=Commands,
    name="vidgen",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from vidgen import __version__

        print(f"vidgen {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks (also VIDGEN_DEBUG=1).")] = False,
) -> None:
    """Take video-generation systems apart, swap any part by name, and see which combination is better.

    \b
    Examples:
      vidgen list denoiser
      vidgen generate "a large red circle moving left on a black background" --output out.mp4
      vidgen generate "a small blue cross growing on a grey background" --scheduler heun
      vidgen matrix --denoiser "sora*"
    """  # noqa: D301  (\b keeps the lines of a paragraph apart)
    if context.invoked_subcommand is None:
        print(context.get_help())


for group in (
    parts,
    doctor,
    combine,
    generate,
    chain,
    reconstruct,
    stats,
    cache,
    train,
    conform,
    scaffold,
    export,
    bench,
    report,
    ui,
):
    group.add_to(app)


def main() -> None:
    """Run the command line."""
    app()
