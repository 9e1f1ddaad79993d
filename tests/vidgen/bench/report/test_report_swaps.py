"""Part averages: known differences are found again, with Student's intervals."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from scipy import stats

from vidgen.bench.report.columns import Column
from vidgen.bench.report.swaps import Interval, Swap, interval, quantile, reference, seed_deviation, swaps
from vidgen.bench.store import Measure


def column(values, unit="", better="less"):
    found = Column("suite", "figure", unit, better)
    for (parts, seed), value in values.items():
        found.add(parts, seed, Measure("figure", value, unit, better))
    return found


@pytest.mark.parametrize("freedom", [1, 2, 5, 30, 31, 50, 200, 10_000])
def test_the_quantile_is_students(freedom):
    assert quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1.5e-4)


def test_the_interval_is_students():
    samples = [1.0, 2.0, 4.0, 4.5]
    found = interval(samples)
    low, high = stats.t.interval(0.95, 3, loc=sum(samples) / 4, scale=stats.sem(samples))
    assert (found.mean, found.n) == (2.875, 4)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
    assert interval([3.0]).low is None


def test_a_known_effect_is_found_whatever_the_other_parts_do():
    chance = random.Random(1)
    values = {}
    for d, t, s in itertools.product("de", "t", "rs"):
        base = chance.uniform(1, 100)
        values[("a", d, t, s), 0] = base
        values[("b", d, t, s), 0] = base + 2
    (one,) = swaps(column(values), "autoencoder")
    assert (one.old, one.new, one.over) == ("a", "b", "groups")
    assert one.difference.n == 4
    assert one.difference.mean == pytest.approx(2)
    assert one.verdict("less") == "worse"
    assert one.verdict("more") == "better"
    assert one.verdict("") == ""
    assert swaps(column(values), "text_encoder") == []


def test_ratios_are_of_the_geometric_mean_and_turn_round():
    values = {(("a", "d", "t", s), 0): time for s, time in (("r", 1.0), ("s", 10.0))}
    values |= {(("b", "d", "t", s), 0): time for s, time in (("r", 2.0), ("s", 80.0))}
    (one,) = swaps(column(values, "s"), "autoencoder")
    assert one.ratio.mean == pytest.approx(4)
    assert one.difference.mean == pytest.approx(35.5)
    back = one.reversed()
    assert (back.old, back.new) == ("b", "a")
    assert back.ratio.mean == pytest.approx(0.25)
    assert back.difference.low == pytest.approx(-one.difference.high)
    assert back.ratio.low == pytest.approx(1 / one.ratio.high)
    assert back.ratio.low < back.ratio.mean < back.ratio.high


def test_where_difference_and_ratio_contradict_each_other_nothing_is_said():
    both = Swap("denoiser", "a", "b", Interval(1.0, 0.5, 1.5, 5), Interval(0.5, 0.4, 0.6, 5), "groups")
    assert both.verdict("less") == ""
    assert Swap("denoiser", "a", "b", both.difference, None, "groups").verdict("less") == "worse"
    assert (
        Swap("denoiser", "a", "b", Interval(1.0, -0.5, 1.5, 5), both.ratio, "groups").verdict("less")
        == "better"
    )


@pytest.mark.parametrize(("unit", "low"), [("dB", 1.0), ("", 0.0), ("", -1.0)])
def test_where_a_ratio_means_nothing_there_is_none(unit, low):
    values = {(("a", "d", "t", "s"), 0): low, (("b", "d", "t", "s"), 0): 3.0}
    assert swaps(column(values, unit), "autoencoder")[0].ratio is None


def test_groups_count_once_however_many_seeds():
    values = {
        ((a, d, "t", "s"), seed): float(a == "b") + seed for a in "ab" for d in "de" for seed in range(5)
    }
    (one,) = swaps(column(values), "autoencoder")
    assert (one.difference.n, one.over) == (2, "groups")


def test_of_a_single_group_seeds_are_the_samples_if_both_have_them():
    values = {(("a", "d", "t", "s"), seed): float(seed) for seed in range(4)}
    values |= {(("b", "d", "t", "s"), seed): 2.0 * seed for seed in (1, 2, 3, 9)}
    (one,) = swaps(column(values), "autoencoder")
    assert (one.difference.n, one.over) == (3, "seeds")
    assert one.difference.mean == pytest.approx(2)


def test_without_a_seed_in_common_nothing_is_said():
    assert (
        swaps(column({(("a", "d", "t", "s"), 0): 1.0, (("b", "d", "t", "s"), 1): 2.0}), "autoencoder") == []
    )


def test_a_part_that_the_suite_does_not_read_is_no_part():
    values = {(("a", "", "", ""), 0): 1.0, (("b", "", "", ""), 0): 2.0}
    assert len(swaps(column(values), "autoencoder")) == 1
    assert swaps(column(values), "denoiser") == []


def test_the_reference_is_what_most_groups_hold():
    values = {(("a", d, "t", "s"), 0): 1.0 for d in "d"} | {(("b", d, "t", "s"), 0): 1.0 for d in "def"}
    values |= {(("c", d, "t", "s"), 0): 1.0 for d in "def"}
    assert reference(swaps(column(values), "autoencoder")) in ("b", "c")


def test_how_much_seeds_do():
    values = {(("a", "d", "t", "s"), seed): value for seed, value in enumerate((1.0, 3.0))}
    values |= {(("b", "d", "t", "s"), seed): value for seed, value in enumerate((10.0, 10.0))}
    deviation, n = seed_deviation(column(values))
    assert (deviation, n) == (pytest.approx(math.sqrt((2 + 0) / 2)), 2)
    assert seed_deviation(column({(("a", "d", "t", "s"), 0): 1.0})) is None
