"""``vidgen reconstruct``: a clip through an autoencoder and back, with PSNR and SSIM."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidgen.cli.output import note
from vidgen.errors import CheckpointError, ConfigError
from vidgen.size import Size

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from vidgen.contract import LatentSpec
    from vidgen.interfaces import VideoAutoencoder

__all__ = ["add_to", "reconstruct"]


def reconstruct(
    clip: Annotated[Path, typer.Argument(metavar="IN.mp4", help="MP4, WebM, GIF, MOV or an image.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Its suffix chooses the format.")] = Path(
        "out.mp4"
    ),
    autoencoder: Annotated[str | None, typer.Option(help="NAME, NAME/PRESET or NAME@WEIGHTS.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    short_side: Annotated[
        int | None, typer.Option(min=1, help="Scale the shorter side to so many pixels.")
    ] = None,
    tile: Annotated[
        int | None, typer.Option(min=1, help="Pixels of a tile's side, for frames too large for the memory.")
    ] = None,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="The clip left, its copy right.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
) -> None:
    """Encode and decode a clip; print PSNR and SSIM.

    It goes piece by piece, in bounded memory.

    \b
    Examples:
      vidgen reconstruct clip.mp4 --output copy.mp4
      vidgen reconstruct clip.mp4 -o both.mp4 --short-side 256 --frames 33 --side-by-side
      vidgen reconstruct clip.mp4 -o copy.gif --autoencoder sora-vae/tiny
      vidgen reconstruct film.mp4 -o copy.mp4 --tile 256
    """  # noqa: D301
    import numpy as np

    from vidgen.metrics import Quality
    from vidgen.progress import progress
    from vidgen.sampling.device import auto_device
    from vidgen.sampling.reconstruct import reconstruct_stream
    from vidgen.video import Video, VideoReader, VideoWriter
    from vidgen.video.writer import format_of

    format_of(output)
    reader = VideoReader(clip, frames=frames, short_side=short_side)
    part = _autoencoder(autoencoder)
    try:
        part.to(auto_device() if device == "auto" else device)
    except (RuntimeError, AssertionError) as problem:  # torch names no error of its own for an absent device
        raise ConfigError(f"--device {device} cannot be used: {str(problem).splitlines()[0]}") from problem
    waiting: deque[np.ndarray] = deque()
    quality = Quality()
    with VideoWriter(output, reader.rate) as writer, progress("reconstructing", reader.frames) as advance:
        for copy in reconstruct_stream(part, _tensors(reader, waiting), tile=tile):
            made = Video.from_tensor(copy.cpu(), clamp=True).numpy()
            original = np.stack([waiting.popleft() for _ in range(len(made))])
            quality.update(original, made)
            writer.write(np.concatenate([original, made], axis=2) if side_by_side else made)
            advance(len(made))
    size = Size(quality.frames, reader.height, reader.width)
    print(f"wrote {output} ({size})")
    print(f"PSNR {quality.psnr:.2f} dB, SSIM {quality.ssim:.4f} over {quality.frames} frames")
    print(_rate(part.latent, size, float(reader.rate)))
    if part.origin == "random":
        print("RANDOM WEIGHTS: train the autoencoder, or take one with weights")


def _autoencoder(name: str | None) -> VideoAutoencoder:
    from vidgen.checkpoint import default_pretrained
    from vidgen.creation import create
    from vidgen.recipe import read_tables

    if name is not None:
        return create("autoencoder", name)
    folder = default_pretrained()
    slot = read_tables(folder).get("autoencoder", {})
    if not isinstance(slot, dict) or "name" not in slot:
        raise CheckpointError(f"The default model in {folder} names no autoencoder; give --autoencoder.")
    note(f"the default model's autoencoder, {slot['name']!r}")
    return create("autoencoder", slot["name"], weights=folder)


def _tensors(pieces: Iterable[np.ndarray], waiting: deque[np.ndarray]) -> Iterator[Tensor]:
    """Turn pieces uint8 [T, H, W, 3] into tensors, and keep their frames until their copies come out."""
    from vidgen.video import Video

    for piece in pieces:
        waiting.extend(piece)
        yield Video(piece).tensor()


def _rate(latent: LatentSpec, size: Size, fps: float) -> str:
    """Say how large the latents are."""
    inner = latent.latent_size(latent.padded(size))
    numbers = latent.channels * inner.volume
    a_second = numbers * fps / size.frames
    return (
        f"latents {latent.channels}x{inner}: one number for {3 * size.volume / numbers:.1f} of the video's, "
        f"{numbers / size.volume:.4f} a pixel, {a_second:,.0f} a second"
    )


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("reconstruct")(reconstruct)
