"""The words of the kinetic world, what they look like, and which combinations are held out."""

from __future__ import annotations

from itertools import product
from typing import Literal

from vidgen.config import Config, config, require

SIZES: dict[str, float] = {"small": 0.13, "large": 0.22}
"""Radius of each size word, as a part of the frame's shorter side."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (230, 30, 30),
    "green": (30, 180, 50),
    "blue": (40, 70, 230),
    "yellow": (240, 220, 40),
    "purple": (150, 50, 200),
    "orange": (250, 140, 20),
    "cyan": (40, 210, 220),
    "white": (245, 245, 245),
}
BACKGROUNDS: dict[str, tuple[int, int, int]] = {
    "black": (10, 10, 10),
    "grey": (110, 110, 110),
    "navy": (15, 20, 70),
    "brown": (90, 55, 25),
}
SHAPES: tuple[str, ...] = ("circle", "square", "triangle", "cross")
STILL = "standing still"
MOTIONS: tuple[str, ...] = (
    "moving left",
    "moving right",
    "moving up",
    "moving down",
    STILL,
    "growing",
    "shrinking",
    "circling",
)
NONE = "none"
"""What the scorer answers where it cannot tell."""

ATTRIBUTES: tuple[str, ...] = ("size", "colour", "shape", "motion", "background")

MOVE_SPAN = 0.4
"""How far a move goes over the clip, in shorter sides."""
CIRCLE_RADIUS = 0.16
"""Radius of the path of `circling`, in shorter sides."""
GROWTH: tuple[float, float] = (0.6, 1.4)
"""First and last radius of `growing`, in radii of the size word; `shrinking` goes back."""

# The word itself stands first. No synonym may be read as another attribute's word.
SYNONYMS: dict[str, tuple[str, ...]] = {
    "small": ("small", "little", "tiny"),
    "large": ("large", "big", "huge"),
    "circle": ("circle", "disc"),
    "square": ("square", "box"),
    "triangle": ("triangle",),
    "cross": ("cross", "plus"),
    "moving left": ("moving left", "going left", "sliding to the left"),
    "moving right": ("moving right", "going right", "sliding to the right"),
    "moving up": ("moving up", "going up", "rising"),
    "moving down": ("moving down", "going down", "falling"),
    STILL: (STILL, "not moving", "at rest"),
    "growing": ("growing", "getting bigger", "expanding"),
    "shrinking": ("shrinking", "getting smaller", "contracting"),
    "circling": ("circling", "orbiting", "going round"),
    "grey": ("grey", "gray"),
}

# `{a}` becomes "a " or nothing. Every template names every fact; a template without `{motion}` is for images.
CAPTION = "a {size} {colour} {shape} {motion} on a {background} background"
IMAGE_CAPTION = "a {size} {colour} {shape} on a {background} background"
TEMPLATES: tuple[str, ...] = (
    "{a}{size} {colour} {shape} {motion} on {a}{background} background",
    "{a}{size} {colour} {shape} is {motion} on {a}{background} background",
    "on {a}{background} background, {a}{size} {colour} {shape} {motion}",
    "{a}{size} {colour} {shape} on {a}{background} background, {motion}",
    "{a}{colour} {shape}, {size}, {motion}, {background} background",
    "{motion}: {a}{size} {colour} {shape} against {background}",
    "{background} background, {motion}, {a}{size} {shape} in {colour}",
)
IMAGE_TEMPLATES: tuple[str, ...] = (
    "{a}{size} {colour} {shape} on {a}{background} background",
    "on {a}{background} background, {a}{size} {colour} {shape}",
    "{a}{colour} {shape}, {size}, {background} background",
    "{a}{size} {colour} {shape} against {background}",
    "{background} background, {a}{size} {shape} in {colour}",
)


def held_out(colour: str, shape: str, motion: str) -> bool:
    """Say whether a triple of words is kept for the test of composition and never trained on."""
    number = 3 * list(COLOURS).index(colour) + 5 * SHAPES.index(shape) + 7 * MOTIONS.index(motion)
    return number % 10 == 0


HELD_OUT: frozenset[tuple[str, str, str]] = frozenset(
    triple for triple in product(COLOURS, SHAPES, MOTIONS) if held_out(*triple)
)
"""The 28 held-out triples (colour, shape, motion)."""


@config
class KineticConfig(Config):
    """Settings of the kinetic data set.

    Attributes:
        split: `train` never draws a held-out triple; `test` goes round the 224 held-out prompts in order.
        samples: Length of one pass; samples are drawn on the fly and differ at every index.
        seed: Everything about a sample follows from this, its index and its size.
        paraphrase: Vary the captions (word order, synonyms, articles); else the one fixed sentence.
        objects: More than one crowds the frame, which teaches an autoencoder more at the same cost; the caption
            speaks of the topmost alone.
        shapes: Draw these shapes only (the hard ones, more often); held-out triples stay out all the same.
        motions: Draw these motions only; images, which count as standing still, need that word.
    """

    split: Literal["train", "test"] = "train"
    samples: int = 1_000_000
    seed: int = 0
    paraphrase: bool = True
    objects: int = 1
    shapes: tuple[str, ...] = SHAPES
    motions: tuple[str, ...] = MOTIONS

    def validate(self) -> None:
        """Check the ranges."""
        require(self.samples >= 1, f"KineticConfig.samples must be at least 1, not {self.samples}.")
        for field, chosen, known in (("shapes", self.shapes, SHAPES), ("motions", self.motions, MOTIONS)):
            require(
                bool(chosen) and set(chosen) <= set(known),
                f"KineticConfig.{field} must name some of {', '.join(known)}, not {list(chosen)}.",
            )
        require(self.objects >= 1, f"KineticConfig.objects must be at least 1, not {self.objects}.")
        require(self.seed >= 0, f"KineticConfig.seed must be 0 or more, not {self.seed}.")


@config
class KineticScorerConfig(Config):
    """Settings of the scorer: none, so that every figure is read with the same limits."""


@config
class KineticRefinerConfig(Config):
    """Settings of the prompt refiner: the word for what a prompt leaves open.

    Attributes:
        size: A word of `SIZES`.
        colour: A word of `COLOURS`.
        shape: A word of `SHAPES`.
        motion: A word of `MOTIONS`.
        background: A word of `BACKGROUNDS`.
        image: Write captions of images, which leave the motion out.
    """

    size: str = "large"
    colour: str = "red"
    shape: str = "circle"
    motion: str = STILL
    background: str = "black"
    image: bool = False

    def validate(self) -> None:
        """Check that every word is one of the world's."""
        known: dict[str, tuple[str, ...]] = {"shape": SHAPES, "motion": MOTIONS}
        known |= {"size": tuple(SIZES), "colour": tuple(COLOURS), "background": tuple(BACKGROUNDS)}
        for field, words in known.items():
            value = getattr(self, field)
            require(
                value in words,
                f"KineticRefinerConfig.{field} must be one of {', '.join(words)}, not {value!r}.",
            )
