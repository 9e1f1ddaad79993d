"""Pictures and videos as prompts: what the arguments of a call say is given, and how the result is put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal

import numpy as np

from vidgen.contract import LatentSpec
from vidgen.errors import ConfigError, SizeError
from vidgen.sampling.given import Given, as_video
from vidgen.size import Size
from vidgen.video import Video

__all__ = ["VISUAL", "Direction", "Visual", "common_rate", "connecting", "each", "extending", "read_visual"]

Direction = Literal["forward", "backward"]

VISUAL = frozenset(("image", "video", "extend", "loop", "strength", "mask", "given"))
"""The arguments of a call that are about pictures and videos."""


@dataclass(frozen=True, slots=True)
class Visual:
    """A picture or a video as the prompt of one sample.

    Attributes:
        given: What the sample must keep.
        begin: What it begins from, noised.
        join: Makes the result of what was sampled, a `Video` of the sample's size.
        fps: Frames a second of the video that it is about; None where there is none.
    """

    given: Given | None = None
    begin: Video | None = None
    join: Callable[[Video], Video] | None = None
    fps: float | None = None


def read_visual(
    size: Size,
    latent: LatentSpec,
    *,
    image: Any = None,
    video: Any = None,
    extend: Direction | None = None,
    loop: bool = False,
    strength: float | None = None,
    mask: Any = None,
    given: Given | Mapping[int, Any] | None = None,
) -> Visual | None:
    """Read the arguments of a call for one sample; None when it is prompted by text alone.

    Args:
        size: To be sampled.
        latent: The autoencoder's.
        image: The first frame.
        video: What is continued, closed to a loop, changed, or kept in part.
        extend: Where it is continued.
        loop: Whether it is closed to a loop.
        strength: How much of it is made anew.
        mask: White where it is kept.
        given: Frames by number, or pixels with a mask.

    Raises:
        ConfigError: For arguments that do not go together.
        SizeError: For parts that do not fit the size.
    """
    named = {"image": image, "video": video, "given": given}
    sources = [name for name, value in named.items() if value is not None]
    if len(sources) > 1:
        raise ConfigError(
            f"Give one of {' and '.join(sources)}; frames at several places go into given={{...}}."
        )
    ways = {
        "extend": extend is not None,
        "loop": loop,
        "strength": strength is not None,
        "mask": mask is not None,
    }
    chosen = [name for name, value in ways.items() if value]
    if chosen and video is None:
        raise ConfigError(f"{chosen[0]} needs a video= to work on.")
    if video is not None and len(chosen) != 1:
        raise ConfigError(
            "Say what to do with video=: extend='forward' or 'backward', loop=True, strength= (0 to 1), or mask="
            + (f"; not {' and '.join(chosen)} at once." if chosen else ".")
        )
    if image is not None:
        return Visual(Given.frames({0: as_video(image, size, 1)[:1]}, size))
    if isinstance(given, Given):
        if given.video.shape[1:] != tuple(size):
            raise SizeError(f"What is given has the size {Size(*given.video.shape[1:])}, the video {size}.")
        return Visual(given)
    if given is not None:
        return Visual(Given.frames(given, size))
    if video is None:
        return None
    clip = as_video(video, size)
    if mask is not None:
        return Visual(Given.region(clip, mask, size), fps=clip.fps)
    if extend is not None:
        return extending(clip, size, latent, extend)
    if loop:
        return connecting(clip, clip, size, latent, twice=False)
    if not isinstance(strength, Real) or not 0 < strength <= 1:
        raise ConfigError(f"strength lies in (0, 1]: how much of the video is made anew, not {strength!r}.")
    if len(clip) < size.frames:
        raise SizeError(
            f"The video has {len(clip)} frames, fewer than {size}; ask for frames={len(clip)} or fewer."
        )
    return Visual(begin=clip[: size.frames], fps=clip.fps)


def extending(clip: Video, size: Size, latent: LatentSpec, where: Direction) -> Visual:
    """Continue a clip: half of the sample is its end (or its beginning), the other half is new.

    Raises:
        ConfigError: For another direction.
    """
    if where not in ("forward", "backward"):
        raise ConfigError(f"extend is 'forward' or 'backward', not {where!r}.")
    half = max(1, latent.latent_size(size).frames // 2)
    if where == "forward":
        count = _held(clip, _head(latent, half), size)
        return Visual(
            Given.frames({0: clip[len(clip) - count :]}, size),
            join=lambda made: _joined(made, clip, made[count:]),
            fps=clip.fps,
        )
    count = _held(clip, _tail(latent, half), size)
    return Visual(
        Given.frames({-count: clip[:count]}, size),
        join=lambda made: _joined(made, made[: len(made) - count], clip),
        fps=clip.fps,
    )


def connecting(first: Video, second: Video, size: Size, latent: LatentSpec, *, twice: bool = True) -> Visual:
    """Lead from one clip into another: a third of the sample is the one's end, a third the other's beginning.

    Args:
        first: The clip before.
        second: The clip after.
        size: To be sampled.
        latent: The autoencoder's.
        twice: Whether the second clip follows in the result; not for a loop, where it is the first.
    """
    third = max(1, latent.latent_size(size).frames // 3)
    before, after = _held(first, _head(latent, third), size), _held(second, _tail(latent, third), size)
    if before + after >= size.frames:
        raise SizeError(f"Between two clips there must be something new: {size.frames} frames are too few.")
    given = Given.frames({0: first[len(first) - before :], -after: second[:after]}, size)
    parts = (second,) if twice else ()
    return Visual(
        given,
        join=lambda made: _joined(made, first, made[before : len(made) - after], *parts),
        fps=first.fps,
    )


def _head(latent: LatentSpec, count: int) -> int:
    """Return the frames of so many first latents."""
    return latent.pixel_size(Size(count, 1, 1)).frames


def _tail(latent: LatentSpec, count: int) -> int:
    """Return the frames of so many last latents."""
    return count * latent.time_stride


def _held(clip: Video, wanted: int, size: Size) -> int:
    """Return how many frames of a clip are given: the wanted ones, or all where it is shorter."""
    count = min(len(clip), wanted)
    if count >= size.frames:
        raise SizeError(
            f"{size.frames} frames leave nothing to make beside {count} given ones; ask for more frames."
        )
    return count


def _joined(made: Video, *videos: Video) -> Video:
    """Return clips one after the other, with the rate and the notes of what was sampled."""
    return Video(np.concatenate([video.numpy() for video in videos]), made.fps, made.metadata)


def common_rate(visuals: Sequence[Visual], default: float = 0.0) -> float:
    """Return the frames a second of the videos of a batch; the default where it has none.

    Raises:
        ConfigError: For several rates.
    """
    rates = sorted({visual.fps for visual in visuals if visual.fps is not None})
    if len(rates) > 1:
        raise ConfigError(
            f"The videos have {' and '.join(f'{rate:g}' for rate in rates)} frames a second; give fps=."
        )
    return rates[0] if rates else default


def each(value: Any, count: int, name: str) -> Sequence[Any]:
    """Return a value for each of several samples: the one for all, or a list with one each."""
    if not isinstance(value, (list, tuple)):
        return [value] * count
    if len(value) != count:
        raise ConfigError(f"{len(value)} values of {name} for {count} prompts; give one, or one each.")
    return value
