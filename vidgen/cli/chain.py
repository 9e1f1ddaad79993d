"""``vidgen chain``: a video in stages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["add_to", "chain"]


def chain(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What is to be seen.")],
    stages: Annotated[
        Path | None, typer.Option(help="TOML or JSON file of [[stage]] tables; else the default model's.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Its suffix chooses the format.")] = Path(
        "out.mp4"
    ),
    keep: Annotated[
        Path | None, typer.Option(help="Folder for what each stage makes.", file_okay=False)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the first stage; drawn by default.")] = None,
    negative: Annotated[str, typer.Option(help="What to keep away from.")] = "",
) -> None:
    """Make a video in stages, each by any model.

    Text to image, image to video, then more pixels, then more frames, as a file of stages says.

    \b
    Examples:
      vidgen chain "a large red circle moving left on a black background"
      vidgen chain "a small blue cross growing on a grey background" --keep stages -o smooth.mp4
      vidgen chain "a cat" --stages mine.toml --seed 7
    """  # noqa: D301
    from vidgen.sampling.stages import chain as make
    from vidgen.video.writer import format_of

    format_of(output)
    made = make(stages)(prompt, seed=seed, keep=keep, negative=negative)
    made.save(output)
    print(f"wrote {output} ({'x'.join(map(str, made.size))}, seed {made.metadata['seed']})")
    if keep is not None:
        print(f"stages in {keep}")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("chain")(chain)
