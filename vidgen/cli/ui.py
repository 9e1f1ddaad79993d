"""``vidgen ui``: a page to play with in the browser."""

from __future__ import annotations

import importlib.util
import shutil
from typing import Annotated

import typer

from vidgen.cli.output import note
from vidgen.errors import MissingDependencyError

__all__ = ["add_to", "ui"]


def ui(
    host: Annotated[
        str, typer.Option(help="Listen at this address; 0.0.0.0 lets others in, without a password.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="[default: the first free one from 7860 on]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto (what is fast), float32, bfloat16 or float16.")] = "auto",
    browser: Annotated[bool, typer.Option("--open/--no-browser", help="Open the page in a browser.")] = True,
) -> None:
    """Play with two combinations of parts, side by side.

    Parts that do not fit are greyed, with the reason. Needs the extra 'ui' (gradio); nothing is fetched from elsewhere.

    \b
    Examples:
      vidgen ui
      vidgen ui --port 8000 --no-browser
      vidgen ui --device cuda --dtype bfloat16
    """  # noqa: D301
    from vidgen.bench.running import check_place

    check_place(device, dtype)
    if importlib.util.find_spec("gradio") is None:
        raise MissingDependencyError("The page needs gradio: pip install 'vidgen-components[ui]'.")
    from vidgen.ui.page import launch
    from vidgen.ui.state import Studio

    studio = Studio(device=device, dtype=dtype)
    try:
        page = launch(studio, host, port, show=browser)
        note(f"vidgen is at {page.local_url} (Ctrl-C stops it)")
        page.block_thread()
    finally:
        shutil.rmtree(studio.folder, ignore_errors=True)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("ui")(ui)
