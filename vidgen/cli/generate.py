"""``vidgen generate``: a video of a prompt."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vidgen.cli.fields import choice
from vidgen.cli.output import note
from vidgen.errors import ConfigError
from vidgen.size import Size
from vidgen.spec import INTERFACES

if TYPE_CHECKING:
    from vidgen.sampling.memory import Memory
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
    guidance_embed: Annotated[
        float | None, typer.Option(help="Scale that the denoiser itself is told, for those trained so.")
    ] = None,
    guider: Annotated[
        str | None, typer.Option(metavar="NAME", help="Guide by another rule, with --guidance as its scale.")
    ] = None,
    guider_fields: Annotated[
        list[str] | None, typer.Option("-G", metavar="FIELD=VALUE", help="Of --guider; may be repeated.")
    ] = None,
    negative: Annotated[str, typer.Option(help="What to keep away from.")] = "",
    refiner: Annotated[
        str | None, typer.Option(metavar="NAME", help="Rewrite the prompts first; 'none' for as they are.")
    ] = None,
    refiner_fields: Annotated[
        list[str] | None, typer.Option("-R", metavar="FIELD=VALUE", help="Of --refiner; may be repeated.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Prompt i starts from SEED + i; drawn by default.")] = None,
    image: Annotated[Path | None, typer.Option(help="The first frame.")] = None,
    video: Annotated[
        Path | None,
        typer.Option(help="What --extend, --loop, --connect, --strength or --mask is about."),
    ] = None,
    extend: Annotated[Literal["forward", "backward"] | None, typer.Option(help="Continue --video.")] = None,
    loop: Annotated[bool, typer.Option("--loop", help="Close --video to a loop.")] = False,
    connect: Annotated[Path | None, typer.Option(help="Lead from --video into this one.")] = None,
    strength: Annotated[
        float | None, typer.Option(help="How much of --video is made anew, from near 0 to 1.")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="Keep of --video what is white in this picture or video.")
    ] = None,
    given: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FRAME=FILE",
            help="A picture or clip at this frame; below 0 from the end; may be repeated.",
        ),
    ] = None,
    chunk: Annotated[
        int | None,
        typer.Option(
            min=1, help="Sample so many frames at once: --frames may be any number, prompts come in turn."
        ),
    ] = None,
    output: Outputs = None,
    model: Annotated[str | None, typer.Option(help="A tag, a folder or a Hub id; else the default.")] = None,
    autoencoder: Part = None,
    denoiser: Part = None,
    text_encoder: Part = None,
    scheduler: Part = None,
    fit: Annotated[Literal["refuse", "pad"], typer.Option(help="Sizes that do not fit.")] = "refuse",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto (what is fast), float32, bfloat16 or float16.")] = "auto",
    memory: Annotated[
        Literal["auto", "all", "stages", "layers"],
        typer.Option(help="What is on the device: all parts, one at a time, or blocks; auto is what fits."),
    ] = "auto",
    storage: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Keep weights in fewer bits: fp8, int8-weight-only, ..."),
    ] = None,
    decode: Annotated[
        str, typer.Option(metavar="WAY", help="auto, whole, stream, or the side of a tile in pixels.")
    ] = "auto",
    lora: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE[@SCALE]", help="Put a LoRA on the denoiser; may be repeated."),
    ] = None,
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
      vidgen generate "a large red circle growing on a black background" --guider cfg-interval -G high=0.8
      vidgen generate "a big scarlet ball drifts leftwards over black" --refiner kinetic
      vidgen generate "a small red cross moving up on a navy background" --image first.png
      vidgen generate "a small red cross moving up on a navy background" --video clip.mp4 --extend forward
      vidgen generate "a small red cross moving up on a navy background" --video clip.mp4 --mask kept.png
      vidgen generate "a small red cross moving up on a navy background" --given 0=a.png --given -1=b.png
      vidgen generate "a large cyan circle circling on a grey background" --frames 320 --chunk 33
      vidgen generate "a cat" --model folder-of-a-large-model --memory layers --storage fp8 --lora style.safetensors@0.8
    """  # noqa: D301
    from vidgen.video.writer import format_of

    if size is not None:
        if (frames, height, width) != (None, None, None):
            raise ConfigError("Give --size or --frames, --height and --width, not both.")
        frames, height, width = Size.parse(size)
    outputs = output or [Path("out.mp4")]
    for path in outputs:
        format_of(path)  # refuses now what could not be saved after minutes of work
    pictures = _given(given)
    changes = {"video": video, "extend": extend, "loop": loop, "strength": strength, "mask": mask}
    asked_of_video = [name for name, value in changes.items() if value not in (None, False)]
    if chunk is not None and (asked_of_video or connect is not None):
        raise ConfigError("--chunk makes a video anew; leave out --video and what is about it, or --chunk.")
    if connect is not None and (asked_of_video != ["video"] or image or pictures or len(prompts) > 1):
        raise ConfigError(
            "--connect takes --video, the clip before it, and one prompt; leave out what else is given."
        )
    guide: Any = choice(guider, guider_fields, "--guider", "-G")
    if guide is None:
        guide = guidance
    elif guidance is not None:
        guide = {"scale": guidance, **guide}
    chosen = dict(zip(INTERFACES, (autoencoder, denoiser, text_encoder, scheduler), strict=True))
    pipe = _pipeline(model, {kind: name for kind, name in chosen.items() if name}, foreign)
    asked = {"frames": chunk or frames, "height": height, "width": width}
    wanted = pipe.sampling.replace(**{name: value for name, value in asked.items() if value is not None}).size
    _place(pipe, device, dtype, memory, storage, decode, wanted, len(prompts))
    note(f"{pipe!r} on {pipe.device}, {str(pipe.dtype).removeprefix('torch.')}")
    for one in lora or ():
        source, scale = _scaled(one)
        note(f"{pipe.lora(source, scale)!r}")
    options: dict[str, Any] = {
        "height": height,
        "width": width,
        "fps": fps,
        "steps": steps,
        "guidance": guide,
        "guidance_embed": guidance_embed,
        "refiner": choice(refiner, refiner_fields, "--refiner", "-R"),
    }
    options |= {"negative": negative, "image": image, "given": pictures, "fit": fit}
    if chunk is not None:
        pieces = pipe.stream(prompts, frames or pipe.sampling.frames, chunk=chunk, seed=seed, **options)
        _write(pieces, outputs)
        return
    if connect is not None:
        del options["image"], options["given"]
        videos = [pipe.connect(video, connect, prompts[0], frames=frames, seed=seed, **options)]
    else:
        videos = pipe(prompts, frames=frames, seed=seed, **options, **changes)
    for path in outputs:
        _save(videos, path)


def _pipeline(model: str | None, parts: dict[str, Any], foreign: bool) -> Pipeline:
    from vidgen.sampling.loading import load
    from vidgen.sampling.pipeline import compose

    if model is None and len(parts) == len(INTERFACES):
        return compose(**parts, foreign=foreign)
    pipe = load(model)
    return pipe.replace(**parts, foreign=foreign) if parts else pipe


def _place(
    pipe: Pipeline,
    device: str,
    dtype: str,
    memory: Memory,
    storage: str | None,
    decode: str,
    size: Size,
    batch: int,
) -> None:
    known = ("auto", "float32", "bfloat16", "float16")
    if dtype not in known:
        raise ConfigError(f"--dtype takes {', '.join(known)}, not {dtype!r}.")
    way: Any = int(decode) if decode.isdigit() else decode
    try:
        pipe.place(device, dtype, memory, storage=storage, decode=way, size=size, batch=batch)
    except (RuntimeError, AssertionError) as problem:  # torch names no error of its own for an absent device
        raise ConfigError(f"--device {device} cannot be used: {str(problem).splitlines()[0]}") from problem
    note(pipe.placement.note if pipe.placement else "")


def _given(pairs: Sequence[str] | None) -> dict[int, Path] | None:
    """Read what is given at which frame."""
    places: dict[int, Path] = {}
    for pair in pairs or ():
        number, _, path = pair.partition("=")
        try:
            frame = int(number)
        except ValueError:
            frame = None
        if frame is None or frame in places or not path:
            raise ConfigError(
                f"--given reads FRAME=FILE, each frame once, such as --given -1=last.png, not {pair!r}."
            )
        places[frame] = Path(path)
    return places or None


def _scaled(lora: str) -> tuple[str, float]:
    """Return where a LoRA is, and how much of it is added: what follows the last @, if that is a number."""
    source, _, scale = lora.rpartition("@")
    try:
        return source, float(scale)
    except ValueError:
        return lora, 1.0


def _write(pieces: Iterator[Video], outputs: Sequence[Path]) -> None:
    """Write a long video while it is made."""
    from vidgen.video import VideoWriter

    first = next(pieces)
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(VideoWriter(path, first.fps, metadata=first.metadata)) for path in outputs
        ]
        count = 0
        for piece in itertools.chain([first], pieces):
            count += len(piece)
            for writer in writers:
                writer.write(piece.numpy())
    for path in outputs:
        print(f"wrote {path} ({count}x{first.height}x{first.width}, seed {first.metadata['seed']})")


def _save(videos: Sequence[Video], path: Path) -> None:
    for number, video in enumerate(videos):
        place = video.save(path if number == 0 else path.with_stem(f"{path.stem}-{number}"))
        line = f"wrote {place} ({'x'.join(map(str, video.size))}, seed {video.metadata['seed']})"
        random = video.metadata.get("random weights")
        print(line + (f" RANDOM WEIGHTS in {random}: noise until trained" if random else ""))


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("generate")(generate)
