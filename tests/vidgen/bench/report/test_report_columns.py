"""Figures of several suites about the same combination are joined, and runs with other settings kept apart."""

from __future__ import annotations

import math
from dataclasses import replace

from vidgen.bench.report.columns import columns, runs, systems
from vidgen.bench.store import Measure, Row, digest
from vidgen.spec import INTERFACES


def row(suite, parts, value=1.0, seed=0, status="ok", settings=None, sampling=None):
    return Row(
        key=digest(suite, parts, seed, settings, sampling),
        suite=suite,
        parts=dict(zip(INTERFACES, parts, strict=True)),
        status=status,
        seed=seed,
        settings=settings or {},
        recipe={"sampling": sampling} if sampling else {},
        measures=(Measure("figure", value, "s", "less"),) if status == "ok" else (),
    )


FULL = ("a", "d", "t", "s")


def test_a_suite_that_reads_one_part_holds_for_every_combination_with_it():
    rows = [
        row("speed", FULL, 2.0),
        row("speed", ("b", "d", "t", "s"), 4.0),
        row("quality", ("a", "", "", ""), 30.0),
    ]
    speed, quality = columns(rows)
    assert systems(rows) == [FULL, ("b", "d", "t", "s")]
    assert speed.point(FULL) == (2.0, None, None)
    assert quality.point(FULL) == (30.0, None, None)
    assert quality.point(("b", "d", "t", "s")) is None
    assert speed.label == "speed: figure [s]"


def test_a_part_alone_is_a_system_where_nothing_fuller_is_known():
    assert systems([row("quality", ("a", "", "", ""))]) == [("a", "", "", "")]


def test_seeds_are_averaged_with_their_ends():
    (column,) = columns([row("speed", FULL, 1.0, seed=0), row("speed", FULL, 4.0, seed=1)])
    assert column.point(FULL) == (2.5, 1.0, 4.0)


def test_runs_with_other_settings_are_columns_of_their_own():
    rows = [row("speed", FULL, 1.0, settings={"steps": 4, "device": "cpu"})]
    rows += [row("speed", FULL, 2.0, settings={"steps": 8, "device": "cpu"})]
    assert [column.run for column in columns(rows)] == ["speed (steps=4)", "speed (steps=8)"]


def test_other_sampling_is_told_only_where_it_is_the_only_difference():
    apart = [
        row("speed", FULL, sampling={"steps": 4}),
        row("speed", ("b", "d", "t", "s"), sampling={"steps": 8}),
    ]
    assert set(runs(apart).values()) == {"speed"}
    same = [row("speed", FULL, sampling={"steps": 4}), row("speed", FULL, sampling={"steps": 8})]
    assert list(runs(same).values()) == ["speed (steps=4)", "speed (steps=8)"]


def test_what_did_not_run_has_no_figures():
    rows = [row("speed", FULL, status="error"), row("speed", ("b", "d", "t", "s"), math.inf)]
    assert columns(rows) == []
    assert list(runs(rows).values()) == ["speed", "speed"]


def test_rows_of_the_same_are_columns_of_their_own():
    plain, adapted, again = (row("speed", FULL, value, sampling={"steps": 4}) for value in (1.0, 2.0, 3.0))
    adapted = replace(adapted, key="a", recipe={**adapted.recipe, "adapt": True})
    again = replace(again, key="b")
    assert [one.run for one in columns([plain, adapted])] == ["speed (adapt=false)", "speed (adapt=true)"]
    found = columns([plain, again])
    assert [one.run for one in found] == ["speed", "speed (take=2)"]
    assert [one.point(FULL)[0] for one in found] == [1.0, 3.0]
