"""Each check of guiders sees its fault, and lets an honest guider pass."""

from __future__ import annotations

import pytest

import vidgen
from vidgen.sampling.guidance import Guider
from vidgen.testing import check_component, checks_of


class Honest(Guider):
    def __init__(self, scale: float = 3.0):
        self.scale = scale

    def branches(self, step, t):
        return ("text", "none") if t > 0.4 else ("text",)

    def combine(self, predictions, step, t):
        none = predictions.get("none", predictions["text"])
        return none + self.scale * (predictions["text"] - none)


class Stranger(Honest):
    def branches(self, step, t):
        return ("text", "empty")


class Twice(Honest):
    def branches(self, step, t):
        return ("text", "text")


class Fickle(Honest):
    asked = 0

    def branches(self, step, t):
        self.asked += 1
        return ("text", "none") if self.asked % 2 else ("text",)


class Narrow(Honest):
    def combine(self, predictions, step, t):
        return super().combine(predictions, step, t).float()


class Infinite(Honest):
    def combine(self, predictions, step, t):
        return super().combine(predictions, step, t) / t


class InPlace(Honest):
    def combine(self, predictions, step, t):
        return predictions["text"].mul_(2)


class WholeBatch(Honest):
    def combine(self, predictions, step, t):
        made = super().combine(predictions, step, t)
        return made * predictions["text"].std() / made.std()


class Momentum(Honest):
    def combine(self, predictions, step, t):
        made = super().combine(predictions, step, t)
        self.last = made + 0.5 * getattr(self, "last", made).mean()
        return self.last


class Louder(Honest):
    def combine(self, predictions, step, t):
        return self.scale * predictions["text"]


FAULTS = [
    ("branches-are-known", Stranger),
    ("branches-are-known", Twice),
    ("branches-are-known", Fickle),
    ("predictions-keep-shape-and-type", Narrow),
    ("predictions-keep-shape-and-type", Infinite),
    ("predictions-keep-shape-and-type", InPlace),
    ("samples-are-guided-apart", WholeBatch),
    ("samples-are-guided-apart", Momentum),
    ("branches-that-agree-stay", Louder),
]


def rows(cls, **options):
    vidgen.register("guider", "toy")(cls)
    return check_component("guider", "toy", **options)


def test_an_honest_guider_passes(scratch_registry):
    made = rows(Honest)
    assert len(made) >= 7
    assert {row.status for row in made} == {"pass"}, made


@pytest.mark.parametrize(("check", "cls"), FAULTS, ids=lambda one: getattr(one, "__name__", one))
def test_the_right_check_sees_the_fault(check, cls, scratch_registry):
    (row,) = rows(cls, checks=[check])
    assert row.status == "fail", row


def test_what_is_no_guider_fails(scratch_registry):
    class Function:
        def __init__(self):
            pass

    assert (
        "which is no vidgen.sampling.guidance.Guider"
        in rows(Function, checks=["branches-are-known"])[0].message
    )


def test_every_check_of_guiders_has_a_fault():
    own = {one.name for one in checks_of("guider")} - {one.name for one in checks_of("scheduler")}
    assert own == {check for check, _ in FAULTS}
