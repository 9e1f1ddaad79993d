"""What the page knows of four parts by name: what fits, what does not and why. No gradio and no torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vidgen.checkpoint import default_pretrained, pretrained_folder
from vidgen.errors import UnknownNameError, VidgenError
from vidgen.layout import read_recipe
from vidgen.matrix import Combination, addresses, combinations
from vidgen.recipe import Sampling, Slot, nearest_size
from vidgen.registry import list_components
from vidgen.size import Size
from vidgen.spec import INTERFACES

__all__ = [
    "Choice",
    "alternatives",
    "another",
    "default_parts",
    "default_sampling",
    "every",
    "fit",
    "judge",
    "said",
]

Parts = Mapping[str, str]
"""An address for each of the four kinds."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A part that could stand in a combination.

    Attributes:
        address: Its name, with preset or weights.
        reasons: Why it does not fit the other three parts, one line each; empty when it does.
    """

    address: str
    reasons: tuple[str, ...] = ()


def every(kind: str) -> list[str]:
    """Return every address of a kind: names, shipped weights, presets."""
    return list(dict.fromkeys((*addresses(kind), *addresses(kind, "*/*"))))


def judge(parts: Parts) -> Combination:
    """Return what becomes of four parts, as ``vidgen matrix`` says it."""
    return next(combinations({kind: [parts[kind]] for kind in INTERFACES}))


def alternatives(parts: Parts, kind: str) -> list[Choice]:
    """Return every part that could stand in place of one, those that fit first.

    Reasons that stand whatever this part is are left out: they are for the other three to solve.
    """
    rows = list(combinations({**{one: [address] for one, address in parts.items()}, kind: every(kind)}))
    common = set.intersection(*(set(row.reasons) for row in rows))
    found = [
        Choice(row.parts[kind], tuple(reason for reason in row.reasons if reason not in common))
        for row in rows
    ]
    return sorted(found, key=lambda choice: bool(choice.reasons))


def default_parts() -> dict[str, str]:
    """Return the parts of the shipped default model, by their tag; without one, the first parts there are."""
    first = {kind: every(kind)[0] for kind in INTERFACES}
    try:
        folder = default_pretrained()
    except UnknownNameError:
        return first
    tag = next(tag for tag in list_components("pretrained") if pretrained_folder(tag) == folder)
    recipe = read_recipe(folder)
    for kind in INTERFACES:
        name = recipe.slot(kind).spec.name
        known = every(kind)
        first[kind] = next(one for one in (f"{name}@{tag}", name, *known) if one in known)
    return first


def default_sampling() -> Sampling:
    """Return what the shipped default model samples by itself."""
    try:
        return read_recipe(default_pretrained()).sampling
    except UnknownNameError:
        return Sampling()


def another(parts: Parts) -> dict[str, str]:
    """Return the same parts with the next scheduler that fits, for something to compare with."""
    fitting = (one.address for one in alternatives(parts, "scheduler") if not one.reasons)
    return {
        **parts,
        "scheduler": next((one for one in fitting if one != parts["scheduler"]), parts["scheduler"]),
    }


def fit(parts: Parts, size: Size) -> tuple[str, bool]:
    """Return what becomes of a size, in one line, and whether it can be made; an empty line when nothing happens to it.

    Args:
        parts: A combination that fits.
        size: Frames, height and width asked for.
    """
    slots = {kind: Slot.read(kind, parts[kind]) for kind in ("autoencoder", "denoiser")}
    try:
        latent, most = slots["autoencoder"].contract().latent, slots["denoiser"].contract().max_latent
    except VidgenError as problem:
        return str(problem), False
    if any(side < 1 for side in size):
        return f"{size} is no size; every side is at least 1.", False
    padded = latent.padded(size)
    if most is not None and any(a > b for a, b in zip(latent.latent_size(padded), most, strict=True)):
        near = nearest_size(size, slots["autoencoder"], slots["denoiser"])
        return f"{parts['denoiser']} cannot make {size}; take {near}.", False
    if padded != size:
        return f"{parts['autoencoder']} makes {padded}, which is cropped to {size}.", True
    return "", True


def said(parts: Parts) -> tuple[bool, list[str]]:
    """Return whether four parts can run, and what is to be said of them: the status in a line, then each reason."""
    made = judge(parts)
    if made.status == "refused":
        return False, ["does not fit", *made.reasons]
    if made.status == "native":
        return True, ["native: runs as trained"]
    random = [kind for kind in INTERFACES[:3] if not Slot.read(kind, parts[kind]).trained]
    why = (
        f"random weights in {', '.join(random).replace('_', ' ')}"
        if random
        else "these parts never saw each other"
    )
    return True, [f"must be trained: {why}, so expect noise"]
