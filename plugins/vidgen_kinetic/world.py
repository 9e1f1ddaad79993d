"""The kinetic world: one coloured shape in one motion on one background, drawn from its caption's facts.

Coordinates are in pixels, x to the right and y down, with pixel centres at halves. Lengths of the world are
parts of the frame's shorter side. Every shape spans the square of side 2r about its centre.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from vidgen.config import require
from vidgen_kinetic.config import (
    BACKGROUNDS,
    CAPTION,
    CIRCLE_RADIUS,
    COLOURS,
    GROWTH,
    HELD_OUT,
    IMAGE_CAPTION,
    IMAGE_TEMPLATES,
    MOTIONS,
    MOVE_SPAN,
    SHAPES,
    SIZES,
    STILL,
    SYNONYMS,
    TEMPLATES,
)

__all__ = ["Scene", "caption", "coverage", "draw_scene", "paraphrase", "path", "render", "scenes_for_test"]

Floats = NDArray[np.float32]

_TRAINED = tuple(triple for triple in product(COLOURS, SHAPES, MOTIONS) if triple not in HELD_OUT)
_TRAINED_STILL = tuple(triple for triple in _TRAINED if triple[2] == STILL)
_DIRECTIONS = {"moving left": (-1, 0), "moving right": (1, 0), "moving up": (0, -1), "moving down": (0, 1)}
_ARM = 1 / 3  # half the width of the cross's arms, in radii


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """Everything that is seen, independent of the frame's size and the clip's length.

    Attributes:
        size: A word of `SIZES`.
        colour: A word of `COLOURS`.
        shape: A word of `SHAPES`.
        motion: A word of `MOTIONS`.
        background: A word of `BACKGROUNDS`.
        place: (x, y) in [0, 1]: where the motion's middle lies between the ends of the room it leaves.
    """

    size: str
    colour: str
    shape: str
    motion: str
    background: str
    place: tuple[float, float] = (0.5, 0.5)

    def at(self, x: float, y: float) -> Scene:
        """Return the same scene at another place."""
        return replace(self, place=(x, y))


def caption(scene: Scene, *, image: bool = False) -> str:
    """Write the one fixed sentence about a scene; an image's leaves the motion out."""
    template = IMAGE_CAPTION if image else CAPTION
    return template.format(
        size=scene.size,
        colour=scene.colour,
        shape=scene.shape,
        motion=scene.motion,
        background=scene.background,
    )


def paraphrase(scene: Scene, rng: np.random.Generator, *, image: bool = False) -> str:
    """Say the same with another word order, synonyms, or without articles; every fact stays in."""
    templates = IMAGE_TEMPLATES if image else TEMPLATES

    def word(fact: str) -> str:
        choices = SYNONYMS.get(fact, (fact,))
        return choices[int(rng.integers(len(choices)))]

    return templates[int(rng.integers(len(templates)))].format(
        a=("a ", "")[int(rng.integers(2))],
        size=word(scene.size),
        colour=word(scene.colour),
        shape=word(scene.shape),
        motion=word(scene.motion),
        background=word(scene.background),
    )


def draw_scene(
    rng: np.random.Generator,
    *,
    image: bool = False,
    shapes: Sequence[str] = SHAPES,
    motions: Sequence[str] = MOTIONS,
) -> Scene:
    """Draw a scene of some shapes and motions for training: never a held-out triple.

    An image counts as standing still, so that it cannot show a held-out triple either.

    Raises:
        ConfigError: If all that is asked for is held out, or an image is asked for and `standing still` is not.
    """
    triples = _TRAINED_STILL if image else _TRAINED
    if len(shapes) < len(SHAPES) or len(motions) < len(MOTIONS):
        triples = tuple(triple for triple in triples if triple[1] in shapes and triple[2] in motions)
        require(
            bool(triples), f"no scene of {list(shapes)} {list(motions)} may be drawn{' as an image' * image}."
        )
    colour, shape, motion = triples[int(rng.integers(len(triples)))]
    return Scene(
        size=tuple(SIZES)[int(rng.integers(len(SIZES)))],
        colour=colour,
        shape=shape,
        motion=motion,
        background=tuple(BACKGROUNDS)[int(rng.integers(len(BACKGROUNDS)))],
        place=(float(rng.random()), float(rng.random())),
    )


def scenes_for_test() -> list[Scene]:
    """List the 28 held-out triples in both sizes on the four backgrounds: 224 scenes in a fixed order."""
    triples = [triple for triple in product(COLOURS, SHAPES, MOTIONS) if triple in HELD_OUT]
    return [
        Scene(size=size, colour=colour, shape=shape, motion=motion, background=background)
        for (colour, shape, motion), size, background in product(triples, SIZES, BACKGROUNDS)
    ]


def path(motion: str, frames: int) -> tuple[Floats, Floats, Floats]:
    """Trace a motion over a clip, whatever its length.

    Args:
        motion: A word of `MOTIONS`.
        frames: Length of the clip; a single frame shows the object at rest.

    Returns:
        dx, dy (in shorter sides, about the motion's middle) and scale (in radii), each `[frames]`.
    """
    zero, one = np.zeros(frames, np.float32), np.ones(frames, np.float32)
    if frames == 1 or motion == STILL:
        return zero, zero, one
    time = np.linspace(0, 1, frames, dtype=np.float32)
    if motion == "circling":  # clockwise from the top
        return CIRCLE_RADIUS * np.sin(2 * np.pi * time), -CIRCLE_RADIUS * np.cos(2 * np.pi * time), one
    if motion in ("growing", "shrinking"):
        low, high = GROWTH if motion == "growing" else GROWTH[::-1]
        return zero, zero, low + (high - low) * time
    along = MOVE_SPAN * (time - 0.5)
    x, y = _DIRECTIONS[motion]
    return x * along, y * along, one


def coverage(shape: str, x: Floats, y: Floats, radius: Floats) -> Floats:
    """Give the part of each pixel that a shape covers, in [0, 1].

    Args:
        shape: A word of `SHAPES`.
        x: Offsets of the pixels from the shape's centre, in pixels; broadcasts with `y` and `radius`.
        y: Likewise, down.
        radius: In pixels.
    """
    wide, high = radius - np.abs(x), radius - np.abs(y)
    if shape == "circle":
        return _ramp(radius - np.sqrt(x * x + y * y))
    if shape == "square":
        return _ramp(wide) * _ramp(high)
    if shape == "triangle":
        slant = np.float32(2 / np.sqrt(5))
        left, right = (_ramp(slant * (0.5 * (y + radius) + side)) for side in (x, -x))
        return np.maximum(left + right - 1, 0) * _ramp(radius - y)
    cut = np.float32(1 - _ARM) * radius
    thin_x, thin_y = _ramp(wide - cut), _ramp(high - cut)
    return _ramp(wide) * thin_y + thin_x * _ramp(high) - thin_x * thin_y


def render(
    scene: Scene, frames: int, height: int, width: int, behind: Sequence[Scene] = ()
) -> NDArray[np.uint8]:
    """Draw a scene, anti-aliased, the object fully inside in every frame.

    Args:
        scene: What to draw.
        frames: Length; 1 draws the object at rest.
        height: In pixels.
        width: In pixels.
        behind: Scenes whose objects are drawn first, on this scene's background.

    Returns:
        `[frames, height, width, 3]`.
    """
    video = np.empty((frames, height, width, 3), np.uint8)
    video[:] = np.array(BACKGROUNDS[scene.background], np.uint8)
    for one in (*behind, scene):
        _draw_object(video, one)
    return video


def _draw_object(video: NDArray[np.uint8], scene: Scene) -> None:
    """Draw a scene's object over a video `[T, H, W, 3]`."""
    frames, height, width, _ = video.shape
    short = min(height, width)
    dx, dy, scale = path(scene.motion, frames)
    radius = SIZES[scene.size] * short * scale
    x = _place(scene.place[0], width, short * dx, radius)
    y = _place(scene.place[1], height, short * dy, radius)

    # Only a box around the object is computed; it is kept inside the frame, as the object is.
    side = min(int(np.ceil(2 * radius.max())) + 3, short)
    left = np.clip(np.floor(x - side / 2).astype(int), 0, width - side)
    top = np.clip(np.floor(y - side / 2).astype(int), 0, height - side)
    steps = np.arange(side, dtype=np.float32) + 0.5
    mask = coverage(
        scene.shape,
        (steps + (left - x)[:, None]).astype(np.float32)[:, None, :],
        (steps + (top - y)[:, None]).astype(np.float32)[:, :, None],
        radius[:, None, None],
    )
    colour = np.array(COLOURS[scene.colour], np.float32)
    for frame, part, t, l in zip(video, mask, top, left, strict=True):  # noqa: E741
        box = frame[t : t + side, l : l + side]
        box[:] = (box + part[..., None] * (colour - box) + 0.5).astype(np.uint8)


def _ramp(distance: Floats) -> Floats:
    """Turn the signed distance inside an edge (pixels) into the covered part of the pixel."""
    return np.clip(distance + np.float32(0.5), 0, 1)


def _place(place: float, extent: int, offset: Floats, radius: Floats) -> Floats:
    """Put the middle of a motion so that `offset` +- `radius` stays within [0, extent]."""
    low, high = float(np.max(radius - offset)), extent - float(np.max(radius + offset))
    return (low + place * (high - low) + offset).astype(np.float32)
