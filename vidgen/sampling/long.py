"""Videos longer than a model was trained on: chunk after chunk, each conditioned on the end of what is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch

from vidgen.errors import ConfigError, SizeError
from vidgen.interfaces import VideoAutoencoder
from vidgen.progress import progress
from vidgen.recipe import Sampling
from vidgen.size import Size
from vidgen.video import Video

__all__ = ["Generates", "stream"]


class Generates(Protocol):
    """What makes a chunk: a `Pipeline`."""

    @property
    def sampling(self) -> Sampling:
        """Defaults of a call."""
        ...

    autoencoder: VideoAutoencoder

    def __call__(self, prompts: str, **options: Any) -> Video:
        """Make a video."""
        ...


def stream(
    pipe: Generates,
    prompts: str | Sequence[str],
    frames: int,
    *,
    chunk: int | None = None,
    keep: int | None = None,
    seed: int | None = None,
    show_progress: bool | None = None,
    **options: Any,
) -> Iterator[Video]:
    """Yield a video of any length piece by piece, in the memory of one chunk.

    Args:
        pipe: Makes each chunk.
        prompts: One for all, or one a chunk; the last holds for the rest.
        frames: In all.
        chunk: Frames that are sampled at once; None takes the pipeline's default.
        keep: How many of them are the end of the chunk before; None takes about half. Fewer are faster, more hold on
            better to what moves how.
        seed: Of the first chunk; the next ones count up.
        show_progress: None shows a bar on a terminal.
        **options: As in a call, for each chunk; `image` and `given` for the first only.

    Yields:
        Parts of the video in order, `frames` in all.

    Raises:
        SizeError: For a chunk that the autoencoder cannot make, or that `keep` leaves nothing of.
        ConfigError: For options that work on a single video.
    """
    for name in ("video", "extend", "loop", "strength", "mask", "output"):
        if options.get(name) not in (None, False):
            raise ConfigError(f"{name} works on one video in memory; leave it out of a stream.")
    texts = [prompts] if isinstance(prompts, str) else list(prompts)
    if not texts or frames < 1:
        raise ConfigError(f"A stream needs a prompt and at least 1 frame, not {len(texts)} and {frames}.")
    chunk = pipe.sampling.frames if chunk is None else chunk
    latent = pipe.autoencoder.latent
    if keep is None:
        half = max(1, latent.latent_size(latent.padded(Size(chunk, 1, 1))).frames // 2)
        keep = latent.pixel_size(Size(half, 1, 1)).frames
    if not 0 < keep < chunk:
        raise SizeError(f"Of chunks of {chunk} frames {keep} cannot be kept: between 1 and {chunk - 1}.")
    seed = int(torch.randint(2**31, ()).item()) if seed is None else seed
    first: dict[str, Any] = {name: options.pop(name) for name in ("image", "given") if name in options}
    made, number, tail = 0, 0, None
    with progress("generating frames", frames, show=show_progress) as advance:
        while made < frames:
            text = texts[min(number, len(texts) - 1)]
            known: dict[str, Any] = first if tail is None else {"given": {0: tail}}
            clip = pipe(text, frames=chunk, seed=seed + number, show_progress=False, **known, **options)
            new = clip if tail is None else clip[keep:]
            tail = clip[len(clip) - keep :]
            new = new[: frames - made]
            made, number = made + len(new), number + 1
            advance(len(new))
            yield new
