"""Videos longer than a model was trained on: chunk after chunk, each conditioned on the end of what is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any, Protocol

import torch

from vidgen.errors import ConfigError, SizeError
from vidgen.interfaces import VideoAutoencoder
from vidgen.progress import progress
from vidgen.recipe import Sampling
from vidgen.sampling.visual import VISUAL
from vidgen.size import Size
from vidgen.video import Video

__all__ = ["Generates", "stream"]

FIRST = frozenset(("image", "given"))
"""The arguments about pictures that are for the first chunk."""


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
    for name in (*sorted(VISUAL - FIRST), "output"):
        if name in options and options[name] is not None and options[name] is not False:
            raise ConfigError(f"{name} works on one video in memory; leave it out of a stream.")
    texts = [prompts] if isinstance(prompts, str) else list(prompts) if isinstance(prompts, Sequence) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"A stream needs a prompt, or one a chunk, not {prompts!r}.")
    for name, value in (("frames", frames), ("chunk", chunk), ("keep", keep), ("seed", seed)):
        if not isinstance(value, Integral) and (value is not None or name == "frames"):
            raise ConfigError(f"{name} is a whole number, not {value!r}.")
    if frames < 1:
        raise ConfigError(f"A stream needs at least 1 frame, not {frames}.")
    asked = {"frames": chunk, "height": options.get("height"), "width": options.get("width")}
    size = pipe.sampling.replace(**{name: value for name, value in asked.items() if value is not None}).size
    chunk, latent = size.frames, pipe.autoencoder.latent
    if options.get("fit") == "pad" and latent.padded(size) != size:
        raise SizeError(f"The chunks of a stream are not padded; take {latent.padded(size)} for {size}.")
    if keep is None:
        half = max(1, latent.latent_size(latent.padded(Size(chunk, 1, 1))).frames // 2)
        keep = latent.pixel_size(Size(half, 1, 1)).frames
    if not 0 < keep < chunk:
        raise SizeError(f"Of chunks of {chunk} frames {keep} cannot be kept: between 1 and {chunk - 1}.")
    seed = int(torch.randint(2**31, ()).item()) if seed is None else seed
    first: dict[str, Any] = {name: options.pop(name) for name in FIRST if name in options}
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
