"""``vidgen stats``: the mean and the deviation of an autoencoder's latents, ready to normalise them with."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vidgen.checkpoint import atomic_folder, digest, read_part_config, save_part
from vidgen.cli.output import note, print_json, print_table
from vidgen.contract import LatentSpec, NormalisedAutoencoderConfig
from vidgen.errors import CheckpointError, ConfigError, UnknownNameError, VideoError, closest
from vidgen.parts import Address
from vidgen.progress import progress
from vidgen.registry import find, list_components
from vidgen.size import Size
from vidgen.spec import ComponentSpec

if TYPE_CHECKING:
    from torch import Tensor

    from vidgen.data import DataSet
    from vidgen.interfaces import VideoAutoencoder
    from vidgen.train.statistics import LatentStatistics

__all__ = ["add_to", "stats"]

USUAL = Size(17, 256, 256)
"""What is measured at, or the nearest size below that fits."""
GOOD_ENOUGH = 0.05
"""Means that are known to so many deviations need no more samples."""


def stats(
    autoencoder: Annotated[str, typer.Argument(help="NAME, NAME/PRESET or NAME@WEIGHTS.")],
    data: Annotated[str, typer.Argument(help="A folder of videos and images, or the name of a data set.")],
    size: Annotated[
        str | None,
        typer.Option(help=f"Frames x height x width; images serve for one frame.  [default: about {USUAL}]"),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Videos to measure.")] = 128,
    batch: Annotated[int, typer.Option(min=1, help="Videos to encode at once.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Another one takes other samples.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="Write the part with this normalisation."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the latents of an autoencoder, to normalise them.

    Denoisers learn best from latents of mean 0 and deviation 1. Prints what to put into a recipe, and
    writes the part with this normalisation where asked to.

    \b
    Examples:
      vidgen stats wf-vae/4x8x8 my-clips --size 33x256x256 --samples 256
      vidgen stats wf-vae@runs/mine/autoencoder my-clips --output normalised
      vidgen stats kl-vae/tiny kinetic --size 1x64x64 --json
    """  # noqa: D301
    wanted = None if size is None else Size.parse(size)
    address = Address.parse(autoencoder)
    spec = find("autoencoder", address.name)
    _check_place(spec, output)
    source, options = _source(data)

    import torch

    from vidgen.creation import create
    from vidgen.sampling.device import auto_device
    from vidgen.train.statistics import latent_statistics

    torch.manual_seed(seed)
    part = create("autoencoder", autoencoder)
    if wanted is not None:
        part.check_size(wanted)
    try:
        part.to(auto_device() if device == "auto" else device)
    except (RuntimeError, AssertionError) as problem:  # torch names no error of its own for an absent device
        raise ConfigError(f"--device {device} cannot be used: {str(problem).splitlines()[0]}") from problem
    videos = create("data_set", source, **options)
    wanted = wanted or _usual(part.latent, videos)
    samples = min(samples, len(videos))
    # Opened before the work: a place that cannot be written is refused at once.
    with atomic_folder(output) if output else contextlib.nullcontext() as new:
        with progress(f"measuring {spec.name} on {source}", samples) as advance:

            def passing() -> Iterator[Tensor]:
                for piece in _batches(videos, wanted, samples, batch, seed):
                    yield piece
                    advance(len(piece))

            found = latent_statistics(part, passing())
        if new is not None:
            _normalise(part, spec, found)
            save_part(part, new, spec)
    made = f"{found.videos} videos {wanted} of {data}"
    if as_json:
        print_json(_page(part, found) | {"data": data, "size": str(wanted), "output": output})
    else:
        _print(part, found, made)
    say = note if as_json else print
    if output:
        space = f"; its latent space is now {part.latent.space!r}" if part.latent.space else ""
        say(f"wrote {output}{space}")
    if part.origin == "random":
        say("RANDOM WEIGHTS: train the autoencoder, or take one with weights")


def _check_place(spec: ComponentSpec, output: Path | None) -> None:
    """Refuse a folder whose replacement would lose anything but this same part."""
    if output is None:
        return
    if (output / "recipe.toml").exists():
        raise CheckpointError(f"{output} holds a pipeline; choose another folder for the autoencoder.")
    if (output / "config.json").exists():
        read_part_config(spec, output)


def _source(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name of a data set and what it is to be made with."""
    names = list_components("data_set")
    if Address.parse(text).name in names:
        return text, {}
    if Path(text).exists():
        return "folder", {"path": text, "short": "loop"}
    raise UnknownNameError(
        f"There is no folder or data set {text!r}.{closest(text, names)} Data sets: {', '.join(names)}."
    )


def _usual(latent: LatentSpec, data: DataSet) -> Size:
    """Return the usual size, or one frame of it where there are only images."""
    size = USUAL if latent.fits(USUAL) else latent.nearest(USUAL)[-1]
    image = size._replace(frames=1)
    if latent.fits(image):
        try:
            data.sample(0, size)
        except VideoError:
            return image
    return size


def _batches(data: DataSet, size: Size, samples: int, batch: int, seed: int) -> Iterator[Tensor]:
    """Yield so many samples from the `seed`-th stretch of a data set."""
    import numpy as np

    from vidgen.train.batches import to_unit

    for begin in range(0, samples, batch):
        numbers = range(begin, min(begin + batch, samples))
        chosen = [data.sample((seed * samples + number) % len(data), size) for number in numbers]
        yield to_unit(np.stack([sample.video for sample in chosen]))


def _normalise(part: VideoAutoencoder, spec: ComponentSpec, found: LatentStatistics) -> None:
    """Declare the normalisation; a space that has a name gets another, since its latents are others now."""
    affine = {"shift": found.shift, "scale": found.scale}
    part.set_normalisation(found.shift, 1 / found.scale)
    if part.latent.space:
        mark = digest({**part.state_dict(), **{f"normalisation.{k}": v for k, v in affine.items()}})
        part.config = part.config.replace(space=f"{spec.name}-{mark}")


def _page(part: VideoAutoencoder, found: LatentStatistics) -> dict[str, Any]:
    """Return the result as plain data."""
    mean, std = found.overall
    return {
        "autoencoder": part.origin,
        "videos": found.videos,
        "values": found.count,
        "mean": found.mean.tolist(),
        "std": found.std.tolist(),
        "error": [None if math.isnan(error) else error for error in found.error.tolist()],
        "dead": found.dead,
        "overall": {"mean": mean, "std": std, "factor": found.factor},
        "latent_shift": found.shift.tolist(),
        "latent_scale": found.scale.tolist(),
    }


def _print(part: VideoAutoencoder, found: LatentStatistics, made: str) -> None:
    columns = zip(found.mean.tolist(), found.std.tolist(), found.error.tolist(), strict=True)
    rows = [(str(i), *(f"{value:.5g}" for value in row)) for i, row in enumerate(columns)]
    mean, std = found.overall
    print_table(
        ("channel", "mean", "std", "error of mean"), [*rows, ("all", f"{mean:.5g}", f"{std:.5g}", "")]
    )
    print(f"from {made}, {found.count:,} values a channel")
    print(_convergence(found))
    if not isinstance(part.config, NormalisedAutoencoderConfig):
        print("this part keeps its normalisation among its weights: --output writes it")
        return
    print(f"\none scale for all channels: latent_scale = [{found.factor:.5g}]")
    place = (
        "a recipe's [autoencoder.config]"
        if part.origin == "random"
        else "the weights' config.json (or --output)"
    )
    print(f"or each its own, in {place}:")
    for field, values in (("latent_shift", found.shift), ("latent_scale", found.scale)):
        print(f"{field} = [{', '.join(f'{value:.6g}' for value in values.tolist())}]")


def _convergence(found: LatentStatistics) -> str:
    """Say how well the means are known."""
    if found.videos < 2:
        return "from a single video nobody can say how well they are known; take more --samples"
    worst = float((found.error * found.scale).max())
    more = f"take {(worst / GOOD_ENOUGH) ** 2:.1f} times the --samples for {GOOD_ENOUGH}"
    return f"the means are known to {worst:.2g} deviations or better: {'enough' if worst <= GOOD_ENOUGH else more}"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("stats")(stats)
