"""Read a video of the kinetic world back into words, or into "none".

No model and no training: the object is separated from its background by colour, then fitted by the same
analytic shapes that `world` draws, and its path by the same motions. Every answer needs a good fit *and* a
lead over the second best; otherwise it is "none". Without exactly one object in nearly every frame all is.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from vidgen.errors import VideoError
from vidgen.metrics import Metric
from vidgen_kinetic.config import (
    ATTRIBUTES,
    BACKGROUNDS,
    CIRCLE_RADIUS,
    COLOURS,
    MOTIONS,
    NONE,
    SHAPES,
    SIZES,
    STILL,
    SYNONYMS,
    KineticScorerConfig,
)
from vidgen_kinetic.world import Floats, coverage, path

__all__ = ["KineticScorer", "Reading"]

Bools = NDArray[np.bool_]

# Colours are RGB levels; the least contrast of the world, purple on grey, is 117.
FOREGROUND = 55.0  # a pixel this far from the background belongs to something
BACKGROUND_LIMIT = 35.0
COLOUR_LIMIT = 50.0
PURE = 0.8  # part of the object's inside that must be near its colour

FRAMES_GOOD = 0.9  # part of the frames that must show exactly one object
OTHERS = 0.1  # other things may cover this part of the object's area
FILLED = 0.6  # more of the frame than this is no object
LEAST_RADIUS = 0.04  # in shorter sides

OVERLAP = 0.85  # soft intersection over union with the shape, over all frames
LEAD = 0.06  # by which the best shape must be ahead of the second
SHARPEN = 3.0  # steepens edges about their middle, so that blur and noise hardly count
SIZE_RATIO = 1.25  # a radius within this factor of the size word's

RESIDUAL = 0.05  # root mean square distance from the fitted motion, in shorter sides
RADIUS_WEIGHT = 0.45  # makes growing as long a way as moving
AMPLITUDE = (0.6, 1.5)  # of the motion, relative to the world's
STILL_AMPLITUDE = 0.25

_AREA = {"circle": np.pi, "square": 4.0, "triangle": 2.0, "cross": 20 / 9}  # in squared radii
_DROP = {
    "circle": 0.0,
    "square": 0.0,
    "triangle": 1 / 3,
    "cross": 0.0,
}  # of the centroid below the centre, in radii
_FACTS: dict[str, tuple[str, ...]] = {
    "size": tuple(SIZES),
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "motion": MOTIONS,
    "background": tuple(BACKGROUNDS),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was seen, each a word of the world or "none"."""

    size: str = NONE
    colour: str = NONE
    shape: str = NONE
    motion: str = NONE
    background: str = NONE


@dataclass(frozen=True, slots=True)
class _Object:
    """The one thing in a clip, over the frames that show it.

    Attributes:
        alpha: `[N, H, W]`, how much of each pixel it covers, about in [0, 1]; zero away from it.
        time: `[N]`, when, in [0, 1] over the clip.
        colour: `[3]`, its own.
        pure: Whether its inside has one colour throughout.
    """

    alpha: Floats
    time: Floats
    colour: Floats
    pure: bool


class KineticScorer(Metric):
    """Score videos of the kinetic world against prompts.

    Args:
        config: Has no settings.
    """

    def __init__(self, config: KineticScorerConfig | None = None) -> None:
        self.config = config or KineticScorerConfig()

    def read(self, video: NDArray[np.uint8]) -> Reading:
        """Read a video into words.

        Args:
            video: `[T, H, W, 3]`; a single frame has no motion to read.

        Raises:
            VideoError: For another shape or type.
        """
        if video.ndim != 4 or video.shape[-1] != 3 or video.dtype != np.uint8 or 0 in video.shape:
            raise VideoError(
                f"The kinetic scorer reads uint8 [T, H, W, 3], not {video.dtype} {list(video.shape)}."
            )
        frames = video.astype(np.float32)
        background = np.median(frames.reshape(-1, 3), axis=0)
        found = _find_object(frames, background)
        if found is None:
            return Reading()
        shape, x, y, radius = _fit_shape(found.alpha)
        middle = np.abs(found.time - 0.5) <= max(1 / 6, float(np.abs(found.time - 0.5).min()))
        short = min(video.shape[1:3])
        return Reading(
            size=_name_size(float(radius[middle].mean()) / short),
            colour=_nearest(found.colour, COLOURS, COLOUR_LIMIT) if found.pure else NONE,
            shape=shape,
            motion=_fit_motion(found.time, x / short, y / short, radius / short) if len(video) > 1 else NONE,
            background=_nearest(background, BACKGROUNDS, BACKGROUND_LIMIT),
        )

    def facts(self, prompt: str) -> dict[str, str]:
        """Find the facts that a prompt names: attribute -> word of the world; those not named are absent."""
        text = f" {' '.join(re.findall('[a-z]+', prompt.lower()))} "
        facts: dict[str, str] = {}
        for attribute in ATTRIBUTES:
            for word in _FACTS[attribute]:
                if any(f" {synonym} " in text for synonym in SYNONYMS.get(word, (word,))):
                    facts[attribute] = word
        return facts

    def score(self, video: NDArray[np.uint8], prompt: str) -> dict[str, bool]:
        """Compare a video with each fact that its prompt names.

        Args:
            video: `[T, H, W, 3]`.
            prompt: Words of the world, in any of its paraphrases.

        Returns:
            Each attribute named in the prompt, and `all`.

        Raises:
            VideoError: If the prompt names no fact of the kinetic world, or the video is malformed.
        """
        asked = self.facts(prompt)
        if not asked:
            raise VideoError(
                f"The kinetic scorer knows no word of {prompt!r}; name a size, colour, shape or motion."
            )
        seen = asdict(self.read(video))
        right = {attribute: seen[attribute] == word for attribute, word in asked.items()}
        return {**right, "all": all(right.values())}


def _find_object(frames: Floats, background: Floats) -> _Object | None:
    """Separate the one object from its background; None unless nearly every frame shows exactly one."""
    off = frames - background
    distance = np.sqrt(np.square(off).sum(-1))
    something = distance > FOREGROUND
    blob = _largest_blob(something)
    area = blob.sum((1, 2))
    height, width = blob.shape[1:]
    least = np.pi * (LEAST_RADIUS * min(height, width)) ** 2
    others = something.sum((1, 2)) - area
    good = (area >= least) & (area <= FILLED * height * width) & (others <= OTHERS * area)
    if good.mean() < FRAMES_GOOD:
        return None
    time = (np.arange(len(frames), dtype=np.float32) / max(len(frames) - 1, 1))[good]
    if len(frames) == 1:
        time = np.full(1, 0.5, np.float32)
    blob, off, distance, frames = blob[good], off[good], distance[good], frames[good]

    inside = distance[blob]
    core = frames[blob][inside >= 0.8 * np.percentile(inside, 75)]
    colour = np.median(core, axis=0)
    contrast = colour - background
    alpha = off @ contrast / float(contrast @ contrast)
    # Blur and rims mix the two colours; a third one lies off the line between them.
    aside = off - np.clip(alpha, 0, 1)[..., None] * contrast
    pure = bool((np.square(aside[blob]).sum(-1) <= FOREGROUND**2).mean() >= PURE)
    near = _dilate(_dilate(blob))
    return _Object(np.where(near, alpha, 0).astype(np.float32), time, colour, pure)


def _largest_blob(mask: Bools) -> Bools:
    """Keep, in each frame of `[T, H, W]`, the connected part about the place where the mask is densest."""
    count, height, width = mask.shape
    half = max(2, min(height, width) // 12)
    padded = np.pad(mask, ((0, 0), (half + 1, half), (half + 1, half))).astype(np.int32)
    sums = padded.cumsum(1).cumsum(2)
    step = 2 * half + 1
    density = (
        sums[:, step:, step:] - sums[:, :-step, step:] - sums[:, step:, :-step] + sums[:, :-step, :-step]
    )
    seed = np.where(mask, density, -1).reshape(count, -1).argmax(1)
    blob = np.zeros_like(mask)
    blob.reshape(count, -1)[np.arange(count), seed] = True
    blob &= mask
    size = -1
    while (now := int(blob.sum())) != size:
        size = now
        for _ in range(4):  # counting is dearer than growing
            blob = _dilate(blob) & mask
    return blob


def _dilate(mask: Bools) -> Bools:
    grown = mask.copy()
    grown[:, 1:] |= mask[:, :-1]
    grown[:, :-1] |= mask[:, 1:]
    grown[:, :, 1:] |= mask[:, :, :-1]
    grown[:, :, :-1] |= mask[:, :, 1:]
    return grown


def _fit_shape(alpha: Floats) -> tuple[str, Floats, Floats, Floats]:
    """Fit every shape to every frame by area and centroid, and compare the overlaps summed over frames.

    Args:
        alpha: `[N, H, W]`.

    Returns:
        The shape or "none", then x, y and radius `[N]` in pixels, of the best shape all the same.
    """
    height, width = alpha.shape[1:]
    columns = np.arange(width, dtype=np.float32) + 0.5
    rows = np.arange(height, dtype=np.float32) + 0.5
    mass = np.maximum(alpha.sum((1, 2)), 1.0)
    centroid_x = (alpha.sum(1) @ columns) / mass
    centroid_y = (alpha.sum(2) @ rows) / mass
    mask = _sharpen(alpha)
    fits = []
    for shape in SHAPES:
        radius = np.sqrt(mass / _AREA[shape]).astype(np.float32)
        centre_y = centroid_y - _DROP[shape] * radius
        template = coverage(
            shape,
            (columns - centroid_x[:, None])[:, None, :],
            (rows - centre_y[:, None])[:, :, None],
            radius[:, None, None],
        )
        template = _sharpen(template)
        overlap = np.minimum(mask, template).sum() / np.maximum(mask, template).sum()
        fits.append((float(overlap), shape, centroid_x, centre_y, radius))
    fits.sort(key=lambda fit: -fit[0])
    (best, shape, *place), (second, *_) = fits[:2]
    x, y, radius = place
    return (shape if best >= OVERLAP and best - second >= LEAD else NONE), x, y, radius


def _sharpen(alpha: Floats) -> Floats:
    return np.clip(SHARPEN * (alpha - 0.5) + 0.5, 0, 1)


def _fit_motion(time: Floats, x: Floats, y: Floats, radius: Floats) -> str:
    """Name the motion whose shape, freely placed and scaled within limits, explains the path best.

    Args:
        time: `[N]` in [0, 1].
        x: `[N]` in shorter sides, likewise `y` and `radius`.
        y: Down.
        radius: Of the object.
    """
    seen = np.stack([x, y, RADIUS_WEIGHT * radius / radius.mean()])
    seen = seen - seen.mean(1, keepdims=True)
    still = float(np.sqrt(np.square(seen).sum() / len(time)))
    fine = np.linspace(0, 1, 257)
    fits = [(still, STILL)]
    largest = 0.0
    for motion in MOTIONS:
        if motion in (STILL, "circling"):
            continue
        dx, dy, scale = (np.interp(time, fine, track) for track in path(motion, len(fine)))
        model = np.stack([dx, dy, RADIUS_WEIGHT * scale])
        model -= model.mean(1, keepdims=True)
        amplitude = float((seen * model).sum() / np.square(model).sum())
        largest = max(largest, amplitude)
        if AMPLITUDE[0] <= amplitude <= AMPLITUDE[1]:
            fits.append((_rms(seen - amplitude * model), motion))
    for sense in (1, -1):  # either way round, from wherever it starts
        turn = np.exp(2j * np.pi * sense * time)
        basis = np.stack([np.ones_like(turn), turn], 1)
        track = seen[0] + 1j * seen[1]
        weights = np.linalg.lstsq(basis, track, rcond=None)[0]
        amplitude = float(np.abs(weights[1])) / CIRCLE_RADIUS
        largest = max(largest, amplitude)
        if AMPLITUDE[0] <= amplitude <= AMPLITUDE[1]:
            rest = track - basis @ weights
            fits.append((_rms(np.stack([rest.real, rest.imag, seen[2]])), "circling"))
    if largest > STILL_AMPLITUDE:
        fits = fits[1:]
    residual, motion = min(fits, default=(np.inf, NONE))
    return motion if residual <= RESIDUAL else NONE


def _rms(rest: NDArray[np.floating]) -> float:
    """Root mean square length of `[3, N]`."""
    return float(np.sqrt(np.square(rest).sum(0).mean()))


def _name_size(radius: float) -> str:
    """Name the size of a radius given in shorter sides."""
    word = min(SIZES, key=lambda size: abs(np.log(radius / SIZES[size])))
    return word if 1 / SIZE_RATIO <= radius / SIZES[word] <= SIZE_RATIO else NONE


def _nearest(colour: Floats, words: dict[str, tuple[int, int, int]], limit: float) -> str:
    """Name the nearest colour, or none within `limit` RGB levels."""
    far = {word: float(np.linalg.norm(colour - np.array(rgb))) for word, rgb in words.items()}
    word = min(far, key=far.__getitem__)
    return word if far[word] <= limit else NONE
