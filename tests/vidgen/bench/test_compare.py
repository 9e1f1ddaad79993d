"""Regressions: only what passes both limits, and what no longer comes out well."""

from __future__ import annotations

import pytest

from vidgen.bench.compare import compare
from vidgen.bench.store import Measure, Row, Store, digest
from vidgen.errors import ConfigError, ResultsError

PARTS = {"autoencoder": "a", "denoiser": "d", "text_encoder": "t", "scheduler": "s"}


def row(*measures, suite="speed", parts=PARTS, **fields):
    given = {"status": "ok", "machine": {"cores": 2}, **fields}
    return Row(key=digest(suite, parts, str(given)), suite=suite, parts=parts, measures=measures, **given)


def seconds(value, name="total"):
    return Measure(name, value, "s", "less")


@pytest.fixture
def between(tmp_path):
    """Compare rows with rows."""

    def run(old, new, **limits):
        for name, rows in (("old.db", old), ("new.db", new)):
            (tmp_path / name).unlink(missing_ok=True)
            with Store(tmp_path / name) as store:
                store.add(rows)
        return compare(tmp_path / "old.db", tmp_path / "new.db", **limits)

    return run


@pytest.mark.parametrize(
    ("old", "new", "worse", "better"),
    [
        (1.0, 1.3, 1, 0),  # both limits passed
        (1.0, 1.05, 0, 0),  # more than 0.02 s, not more than 10 %
        (0.01, 0.02, 0, 0),  # more than 10 %, not more than 0.02 s
        (1.3, 1.0, 0, 1),
        (1.0, 1.0, 0, 0),
        (0.0, 1.0, 1, 0),
    ],
)
def test_both_limits_must_be_passed(between, old, new, worse, better):
    found = between([row(seconds(old))], [row(seconds(new))])
    assert (len(found.regressions), len(found.improvements), found.measures) == (worse, better, 1)


def test_limits_are_exclusive(between):
    assert not between(
        [row(seconds(1.0))], [row(seconds(1.5))], relative=0.5, absolute={"s": 0.1}
    ).regressions
    assert not between(
        [row(seconds(1.0))], [row(seconds(1.5))], relative=0.1, absolute={"s": 0.5}
    ).regressions
    assert between([row(seconds(1.0))], [row(seconds(1.5))], relative=0.49, absolute={"s": 0.49}).regressions


def test_a_limit_by_measure_goes_before_one_by_unit(between):
    limits = {"absolute": {"s": 10.0, "decode": 0.1}}
    old = [row(seconds(1.0), seconds(1.0, "decode"))]
    new = [row(seconds(2.0), seconds(2.0, "decode"))]
    assert [change.name for change in between(old, new, **limits).regressions] == ["decode"]


def test_more_can_be_better_and_what_says_nothing_is_not_compared(between):
    def figures(psnr, count):
        return row(Measure("psnr", psnr, "dB", "more"), Measure("tokens", count))

    found = between([figures(30.0, 1.0)], [figures(20.0, 100.0)])
    assert [change.name for change in found.regressions] == ["psnr"]
    assert found.measures == 1
    assert len(between([figures(20.0, 1.0)], [figures(30.0, 1.0)]).improvements) == 1


@pytest.mark.parametrize("status", ["incompatible", "oom", "timeout", "error"])
def test_a_row_that_no_longer_comes_out_well_is_a_regression(between, status):
    found = between([row(seconds(1.0))], [row(status=status, reason="it broke")], relative=9)
    (change,) = found.regressions
    assert (change.name, change.old, change.new) == ("status", "ok", f"{status}: it broke")
    assert str(found).splitlines()[1] == f"worse: speed: a + d + t + s, seed 0: ok -> {status}: it broke"
    (back,) = between([row(status=status, reason="it broke")], [row(seconds(1.0))]).improvements
    assert back.new == "ok"


def test_the_worst_comes_first(between):
    names = ("one", "two", "three")
    old = [row(*(seconds(1.0, name) for name in names))]
    new = [row(*(seconds(value, name) for name, value in zip(names, (2.0, 4.0, 3.0), strict=True)))]
    found = between(old, new)
    assert [change.name for change in found.regressions] == ["two", "three", "one"]
    assert found.regressions[0].relative == pytest.approx(3)
    assert "two 1 -> 4 s (+300.0%)" in str(found)


def test_only_the_same_is_compared(between):
    old = [row(seconds(1.0)), row(seconds(1.0), settings={"steps": 4}), row(seconds(1.0), seed=1)]
    new = [
        row(seconds(9.0), parts=PARTS | {"scheduler": "r"}),
        row(seconds(9.0), settings={"steps": 8}),
        row(seconds(9.0), seed=2),
        row(seconds(9.0), suite="memory"),
        row(seconds(9.0), recipe={"sampling": {"steps": 3}}),
    ]
    found = between(old, new)
    assert (found.regressions, found.measures, found.missing, found.added) == ((), 0, 3, 5)
    assert str(found).endswith("rows only before: 3, only after: 5")


def test_the_recipe_may_have_other_defaults(between):
    old = [row(seconds(1.0), recipe={"denoiser": {"width": 1}})]
    new = [row(seconds(2.0), recipe={"denoiser": {"width": 1, "new_field": 0}})]
    assert len(between(old, new).regressions) == 1


def test_rows_that_the_key_alone_tells_apart_are_compared_by_it(between):
    """As with weights that were trained anew: the same was asked for."""
    old = [row(seconds(value), versions={"run": str(value)}) for value in (1.0, 9.0)]
    assert between(old, old[::-1]).regressions == ()
    assert between(old, old).rows == 2
    assert between(old, old[:1]).missing == 1


def test_flags_tell_rows_apart(between):
    old = [row(seconds(1.0)), row(seconds(9.0), recipe={"adapt": True})]
    new = [row(seconds(9.0), recipe={"adapt": True, "new": 0}), row(seconds(1.0), recipe={"new": 0})]
    found = between(old, new)
    assert (found.rows, found.regressions, found.improvements) == (2, (), ())


def test_another_unit_is_another_figure(between):
    found = between([row(seconds(1.0))], [row(Measure("total", 1000.0, "ms", "less"))])
    assert found.measures == 0


def test_other_machines_and_versions_are_noted(between):
    found = between([row(seconds(1.0))], [row(seconds(1.0), machine={"cores": 8}, versions={"torch": "3"})])
    assert found.notes == (
        "the machine differs between the two files",
        "the versions differ between the two files",
    )
    found = between(
        [row(seconds(1.0), versions={"torch": "2"})], [row(seconds(1.0), versions={"torch": "3"})]
    )
    assert found.notes == ("the versions differ between the two files",)
    assert (
        between([row(seconds(1.0))], [row(seconds(1.0), machine={"cores": 2, "cpu seconds": 3.0})]).notes
        == ()
    )


def test_limits_below_zero_and_files_that_are_none_are_refused(between, tmp_path):
    with pytest.raises(ConfigError, match="relative"):
        between([], [], relative=-1)
    with pytest.raises(ConfigError, match="decode"):
        between([], [], absolute={"decode": float("nan")})
    with pytest.raises(ResultsError):
        compare(tmp_path / "old.db", tmp_path / "nothing.db")
