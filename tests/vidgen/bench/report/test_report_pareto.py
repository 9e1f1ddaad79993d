"""The Pareto front against its definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidgen.bench.report.columns import Column
from vidgen.bench.report.pareto import axes, front
from vidgen.bench.store import Measure

SIDES = st.sampled_from(["less", "more"])


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20), SIDES, SIDES)
def test_the_front_is_what_nothing_beats(points, x, y):
    cost = [(a if x == "less" else -a, b if y == "less" else -b) for a, b in points]

    def beaten(i):
        return any(o != cost[i] and o[0] <= cost[i][0] and o[1] <= cost[i][1] for o in cost)

    assert sorted(front(points, (x, y))) == [i for i in range(len(points)) if not beaten(i)]


def test_a_figure_without_a_better_side_has_no_front():
    assert front([(1, 2), (3, 4)], ("less", "")) == []


def column(run, name, unit, better, n=1, step=1.0):
    found = Column(run, name, unit, better)
    for i in range(n):
        found.add((str(i), "d", "t", "s"), 0, Measure(name, step * i, unit, better))
    return found


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ([], None),
        ([column("speed", "decode", "s", "less")], None),
        ([column("speed", "decode", "s", "less"), column("speed", "total", "s", "less")], (1, 0)),
        (
            [
                column("speed", "total", "s", "less"),
                column("speed", "rate", "Hz", "more"),
                column("flops", "rate", "GFLOP/s", "more", n=3),
                column("generation", "loss", "", "less"),
                column("generation", "shape right", "", "more", n=2),
                column("generation", "all right", "", "more", n=2),
                column("reconstruction", "psnr", "dB", "more"),
            ],
            (0, 5),
        ),
        (
            [
                column("speed", "total", "s", "less", n=3),
                column("generation", "all right", "", "more", n=3, step=0.0),  # nobody got any right
                column("generation", "facts right", "", "more", n=3),
            ],
            (0, 2),
        ),
        ([column("generation", "loss", "", "less"), column("generation", "accuracy", "", "more")], (0, 1)),
    ],
)
def test_a_time_is_drawn_against_a_quality_of_another_suite(given_, wanted):
    assert axes(given_) == wanted
