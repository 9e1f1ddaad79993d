"""``vidgen generate``: a video of a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vidgen.cli.output import note
from vidgen.errors import ConfigError
from vidgen.size import Size
from vidgen.spec import INTERFACES

if TYPE_CHECKING:
    from vidgen.sampling.pipeline import Pipeline
    from vidgen.video import Video

__all__ = ["add_to", "generate"]

Count = Annotated[int | None, typer.Option(min=1)]
Part = Annotated[
    str | None, typer.Option(metavar="NAME", help="Take this part: NAME, NAME/PRESET or NAME@WEIGHTS.")
]
Outputs = Annotated[
    list[Path] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="mp4, gif, webm, mov, png, jpg or npy, by its suffix; may be repeated.  [default: out.mp4]",
    ),
]


def generate(
    prompts: Annotated[list[str], typer.Argument(metavar="PROMPT", help="One or more, made as one batch.")],
    frames: Count = None,
    height: Count = None,
    width: Count = None,
    size: Annotated[
        str | None, typer.Option(help="Frames x height x width at once, such as 17x64x64.")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frames a second.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Solver steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="Classifier-free guidance; 1 is none.")] = None,
    negative: Annotated[str, typer.Option(help="What to keep away from.")] = "",
    seed: Annotated[int | None, typer.Option(help="Prompt i starts from SEED + i; drawn by default.")] = None,
    output: Outputs = None,
    model: Annotated[str | None, typer.Option(help="A tag, a folder or a Hub id; else the default.")] = None,
    autoencoder: Part = None,
    denoiser: Part = None,
    text_encoder: Part = None,
    scheduler: Part = None,
    fit: Annotated[Literal["refuse", "pad"], typer.Option(help="Sizes that do not fit.")] = "refuse",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto (what is fast), float32, bfloat16 or float16.")] = "auto",
    foreign: Annotated[
        bool, typer.Option("--foreign", help="Let trained parts meet unknown spaces.")
    ] = False,
) -> None:
    """Make a video of a prompt.

    By the model that ships with vidgen, another one, or with parts swapped by name.

    \b
    Examples:
      vidgen generate "a large red circle moving left on a black background"
      vidgen generate "a small cyan cross growing on a navy background" --size 33x48x80 -o a.mp4 -o a.gif
      vidgen generate "a large white square circling on a brown background" --scheduler heun --steps 10
    """  # noqa: D301
    from vidgen.video.writer import format_of

    if size is not None:
        if (frames, height, width) != (None, None, None):
            raise ConfigError("Give --size or --frames, --height and --width, not both.")
        frames, height, width = Size.parse(size)
    outputs = output or [Path("out.mp4")]
    for path in outputs:
        format_of(path)  # refuses now what could not be saved after minutes of work
    chosen = dict(zip(INTERFACES, (autoencoder, denoiser, text_encoder, scheduler), strict=True))
    pipe = _pipeline(model, {kind: name for kind, name in chosen.items() if name}, foreign)
    _move(pipe, device, dtype)
    note(f"{pipe!r} on {pipe.device}, {str(pipe.dtype).removeprefix('torch.')}")
    made = pipe(
        prompts,
        frames=frames,
        height=height,
        width=width,
        fps=fps,
        steps=steps,
        guidance=guidance,
        negative=negative,
        seed=seed,
        fit=fit,
    )
    videos = made if isinstance(made, list) else [made]
    for path in outputs:
        _save(videos, path)


def _pipeline(model: str | None, parts: dict[str, Any], foreign: bool) -> Pipeline:
    from vidgen.sampling.loading import load
    from vidgen.sampling.pipeline import compose

    if model is None and len(parts) == len(INTERFACES):
        return compose(**parts, foreign=foreign)
    pipe = load(model)
    return pipe.replace(**parts, foreign=foreign) if parts else pipe


def _move(pipe: Pipeline, device: str, dtype: str) -> None:
    known = ("auto", "float32", "bfloat16", "float16")
    if dtype not in known:
        raise ConfigError(f"--dtype takes {', '.join(known)}, not {dtype!r}.")
    try:
        pipe.to(device, dtype)
    except (RuntimeError, AssertionError) as problem:  # torch names no error of its own for an absent device
        raise ConfigError(f"--device {device} cannot be used: {str(problem).splitlines()[0]}") from problem


def _save(videos: Sequence[Video], path: Path) -> None:
    for number, video in enumerate(videos):
        place = video.save(path if number == 0 else path.with_stem(f"{path.stem}-{number}"))
        line = f"wrote {place} ({'x'.join(map(str, video.size))}, seed {video.metadata['seed']})"
        random = video.metadata.get("random weights")
        print(line + (f" RANDOM WEIGHTS in {random}: noise until trained" if random else ""))


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("generate")(generate)
