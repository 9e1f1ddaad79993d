"""Checks of guiders: the branches that they ask for, and what they make of them."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from vidgen.sampling.guidance import BRANCHES, Guider
from vidgen.testing.check import Measured, NotApplicable, Subject, Violated, check, distance

__all__: list[str] = []

MOMENTS = tuple(product((0, 1, 2, 10), (1.0, 0.9, 0.6, 0.5, 0.3, 0.1, 0.0)))
"""Steps and times at which it is asked."""


@check("guider")
def branches_are_known(subject: Subject) -> None:
    """At every step and time it asks for branches that there are, each once, and always for the same."""
    guider = _guider(subject)
    for step, t in MOMENTS:
        names = guider.branches(step, t)
        if not isinstance(names, tuple) or len(set(names)) < len(names) or set(names) - set(BRANCHES):
            raise Violated(f"step {step}, t = {t}: {names!r} is no tuple of some of {', '.join(BRANCHES)}")
        if guider.branches(step, t) != names:
            raise Violated(f"step {step}, t = {t}: asked twice, it wants other branches")


@check("guider")
def predictions_keep_shape_and_type(subject: Subject) -> None:
    """What it combines is finite, of the shape and type of its branches, and leaves them as they were."""
    guider = _guider(subject)
    for dtype, (step, t, names) in product((torch.float32, torch.float64), _evaluated(guider)):
        given = _predictions(names, dtype)
        made = guider.combine({name: value.clone() for name, value in given.items()}, step, t)
        like = given[names[0]]
        if made.shape != like.shape or made.dtype != dtype:
            raise Violated(f"of {dtype} {list(like.shape)} it makes {made.dtype} {list(made.shape)}")
        if not made.isfinite().all():
            raise Violated(f"step {step}, t = {t}: the combination is not finite")
        held = {name: value.clone() for name, value in given.items()}
        guider.combine(held, step, t)
        guider.adjust_clean(held[names[0]], step, t)
        if any(not torch.equal(held[name], value) for name, value in given.items()):
            raise Violated("it changes the predictions that it is given")


@check("guider")
def samples_are_guided_apart(subject: Subject) -> Measured:
    """A sample is guided the same whatever else is in the batch, and however often it was asked before."""
    guider, errors = _guider(subject), [0.0]
    for step, t, names in _evaluated(guider):
        given = _predictions(names, torch.float64)
        together = guider.adjust_clean(guider.combine(given, step, t), step, t)
        alone = guider.combine({name: value[1:2] for name, value in given.items()}, step, t)
        errors.append(distance(guider.adjust_clean(alone, step, t), together[1:2]))
    return Measured(max(errors), 1e-9, "the difference of a sample alone")


@check("guider")
def branches_that_agree_stay(subject: Subject) -> Measured:
    """Where all branches predict the same there is nothing to guide: it comes out unchanged."""
    guider, errors = _guider(subject), [0.0]
    for step, t, names in _evaluated(guider):
        one = _predictions(("text",), torch.float64)["text"]
        errors.append(distance(guider.combine(dict.fromkeys(names, one), step, t), one))
    return Measured(max(errors), 1e-9, "the change of what all branches agree on")


def _guider(subject: Subject) -> Guider:
    made = subject.make()
    if not isinstance(made, Guider):
        raise Violated(f"it makes a {type(made).__name__}, which is no vidgen.sampling.guidance.Guider")
    return made


def _evaluated(guider: Guider) -> list[tuple[int, float, tuple[str, ...]]]:
    """Return the moments at which it asks for anything, with what it asks for."""
    asked = [(step, t, guider.branches(step, t)) for step, t in MOMENTS]
    asked = [(step, t, names) for step, t, names in asked if names]
    if not asked:
        raise NotApplicable("it never asks for a branch")
    return asked


def _predictions(names: tuple[str, ...], dtype: torch.dtype) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(3)
    every = {name: torch.randn(3, 4, 2, 4, 5, generator=draw, dtype=torch.float64) for name in BRANCHES}
    return {name: (every[name] * (1 + k)).to(dtype) for k, name in enumerate(names)}
