"""``vidgen chain``: a video in stages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vidgen.cli.fields import choice
from vidgen.errors import ConfigError

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
    refiner: Annotated[
        str | None, typer.Option(metavar="NAME", help="Rewrite the prompts first; 'none' for as they are.")
    ] = None,
    refiner_fields: Annotated[
        list[str] | None, typer.Option("-R", metavar="FIELD=VALUE", help="Of --refiner; may be repeated.")
    ] = None,
    stage_prompts: Annotated[
        list[str] | None,
        typer.Option(
            "--stage-prompt", metavar="N=PROMPT", help="Of stage N, counted from 0; may be repeated."
        ),
    ] = None,
) -> None:
    """Make a video in stages, each by any model.

    Text to image, image to video, then more pixels, then more frames, as a file of stages says.

    \b
    Examples:
      vidgen chain "a large red circle moving left on a black background"
      vidgen chain "a small blue cross growing on a grey background" --keep stages -o smooth.mp4
      vidgen chain "a cat" --stages mine.toml --seed 7
      vidgen chain "a big scarlet ball over black" --refiner kinetic --stage-prompt "1=a large red circle growing"
    """  # noqa: D301
    prompts = dict(map(_numbered, stage_prompts or ()))
    rewriter = choice(refiner, refiner_fields, "--refiner", "-R")

    from vidgen.sampling.stages import chain as make
    from vidgen.video.writer import format_of

    format_of(output)
    run = make(stages)
    made = run(prompt, seed=seed, prompts=prompts, keep=keep, negative=negative, refiner=rewriter)
    made.save(output)
    print(f"wrote {output} ({'x'.join(map(str, made.size))}, seed {made.metadata['seed']})")
    if keep is not None:
        print(f"stages in {keep}")


def _numbered(pair: str) -> tuple[int, str]:
    number, _, text = pair.partition("=")
    if not number.strip().isdecimal() or not text.strip():
        raise ConfigError(f"--stage-prompt reads N=PROMPT, such as '1=a red circle', not {pair!r}.")
    return int(number), text.strip()


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("chain")(chain)
