"""``vidgen bench``: what its options make of a plan, and what it refuses."""

from __future__ import annotations

import json

import pytest

from vidgen.bench.store import Store

PLAN = """
autoencoder = "sora-vae/tiny"
denoiser = ["sora-dit/tiny"]
text_encoder = "words/tiny"
scheduler = ["euler", "heun"]
suites = "speed"
[sampling]
frames = 5
[suite.speed]
repeats = 3
[run]
timeout = "9s"
"""


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


def foreseen(vidgen, *words):
    result = vidgen("bench", *words, "--dry-run", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_options_change_and_complete_a_plan(vidgen, plan):
    plain = foreseen(vidgen, plan)
    assert [(row["scheduler"], row["seed"]) for row in plain["rows"]] == [("euler", 0), ("heun", 0)]
    more = foreseen(vidgen, plan, "--scheduler", "euler,unipc", "--scheduler", "heun", "--seeds", "1,2", "--exclude",
                    "scheduler=heun,denoiser=sora*")  # fmt: skip
    assert [(row["scheduler"], row["seed"]) for row in more["rows"]] == [
        ("euler", 1), ("euler", 2), ("unipc", 1), ("unipc", 2)]  # fmt: skip
    other = foreseen(vidgen, plan, "--set", "speed.repeats=4")
    wider = foreseen(vidgen, plan, "--set", "sampling.frames=9")
    same = foreseen(
        vidgen, plan, "--set", "speed.repeats=3", "--time", "1h", "--jobs", "2", "--timeout", "2m"
    )
    keys = [{row["key"] for row in one["rows"]} for one in (plain, other, wider, same)]
    assert keys[0] == keys[3]
    assert not keys[0] & keys[1]
    assert not keys[0] & keys[2]


def test_a_dry_run_is_readable(vidgen, plan):
    result = vidgen(
        "bench",
        plan,
        "--autoencoder",
        "sora-vae/tiny,kl-vae/tiny",
        "--denoiser",
        "sora-dit@kinetic",
        "--dry-run",
    )
    assert result.exit_code == 0
    assert "4 combinations: 4 refused" in result.stdout
    assert "latent space" in result.stdout
    assert not list(plan.parent.glob("*.db"))


def test_refused_rows_are_written_without_measuring(vidgen, plan):
    result = vidgen("bench", plan, "--denoiser", "sora-dit@kinetic", "--out", "r.db")
    assert result.exit_code == 0, result.output
    assert "2 incompatible" in result.stdout
    with Store("r.db") as store:
        assert {row.status for row in store.rows()} == {"incompatible"}
        assert store.plans()[0]["scheduler"] == ["euler", "heun"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--suite", "sped"), "Did you mean 'speed'"),
        (("--scheduler", "eulr"), "Did you mean 'euler'"),
        (("--set", "repeats=3"), "SUITE.FIELD=VALUE"),
        (("--set", "sped.repeats=3"), "Did you mean 'speed'"),
        (("--exclude", "scheduler"), "KIND=PATTERN"),
        (("--exclude", "solver=heun"), "knows no part"),
        (("--seeds", "one"), "whole numbers"),
        (("--time", "soon"), "span of time"),
        (("--retry", "failed"), "There is no status"),
        (("--device", "gpu"), "device is auto"),
        (("--memory", "inf"), "run.memory"),
        (("--compare", "old.db", "new.db"), "stands alone"),
        (("--suite", "generation", "--set", "generation.metric=kinetik"), "Did you mean 'kinetic'"),
    ],
)
def test_mistakes_are_said_in_one_line(refused, plan, words, said):
    assert said in refused("bench", plan, *words, "--dry-run")


def test_a_file_of_something_else_is_refused(refused, plan):
    assert "no file of results" in refused("bench", plan, "--out", plan)


def test_compare_finds_what_became_worse(tmp_path, refused):
    from typer.testing import CliRunner

    from vidgen.bench.store import Measure, Row, Store
    from vidgen.cli.app import app

    parts = {"autoencoder": "a", "denoiser": "d", "text_encoder": "t", "scheduler": "s"}
    for name, seconds in (("old.db", 1.0), ("new.db", 1.3)):
        with Store(tmp_path / name) as store:
            measures = (Measure("decode", seconds, "s", "less"),)
            store.add([Row(key=name, suite="speed", parts=parts, status="ok", measures=measures)])
    old, new = str(tmp_path / "old.db"), str(tmp_path / "new.db")
    done = CliRunner().invoke(app, ["bench", "--compare", old, new])
    assert done.exit_code == 1
    assert "decode" in done.output
    assert CliRunner().invoke(app, ["bench", "--compare", new, old]).exit_code == 0
    assert "There are no results" in refused("bench", "--compare", old, str(tmp_path / "absent.db"))
    with Store(tmp_path / "other.db") as store:
        store.add([Row(key="o", suite="memory", parts=parts, status="ok")])
    assert "no row in common" in refused("bench", "--compare", old, str(tmp_path / "other.db"))


def test_a_page_on_no_device_is_refused(refused):
    assert "device is auto" in refused("ui", "--device", "gpu")
    assert "dtype is auto" in refused("ui", "--dtype", "int8")


def test_what_is_foreseen_counts_rows_that_are_tried_again(vidgen, plan):
    vidgen("bench", plan, "--denoiser", "sora-dit@kinetic", "--out", "r.db")
    for words, there in (((), 2), (("--retry", "incompatible"), 0)):
        said = foreseen(vidgen, plan, "--denoiser", "sora-dit@kinetic", "--out", "r.db", *words)
        assert [one["there"] for one in said["suites"]] == [there]
