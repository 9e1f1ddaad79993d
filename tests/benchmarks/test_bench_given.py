"""The measure of jumps where something new begins."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.given import WAYS, given_of, seam
from vidgen.video import Video


def clip(levels):
    return Video(np.array(levels, np.uint8)[:, None, None, None] + np.zeros((1, 8, 8, 3), np.uint8))


@pytest.mark.parametrize("way", ["image", "forward", "backward", "between"])
def test_a_steady_change_has_no_jump_and_a_step_at_the_seam_has_one(way):
    places = WAYS[way]
    assert seam(clip(range(0, 170, 10)), places) == 1
    edge = next(edge for place in places for edge in (place.start, place.stop) if 0 < edge < 17)
    stepped = [10 * i + (30 if i >= edge else 0) for i in range(17)]
    assert seam(clip(stepped), places) == 4
    elsewhere = [10 * i + (30 if i >= 6 else 0) for i in range(17)]
    assert seam(clip(elsewhere), places) == 0.25


def test_what_is_given_stands_where_it_was():
    given = given_of(clip(range(17)), WAYS["between"])
    assert {start: len(part) for start, part in given.items()} == {0: 1, 13: 4}
    assert given[13] == clip(range(13, 17))
    assert given_of(clip(range(17)), ()) is None
