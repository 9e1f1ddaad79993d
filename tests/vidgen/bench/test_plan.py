from __future__ import annotations

import json
import subprocess
import sys

import pytest

from vidgen.bench.plan import Plan, RunConfig, expected_seconds, read_span
from vidgen.bench.suite import SuiteConfig
from vidgen.config import config
from vidgen.errors import ConfigError, UnknownNameError
from vidgen.recipe import Recipe, Slot
from vidgen.spec import ComponentSpec

TINY = {
    "autoencoder": ("sora-vae/tiny", "kl-vae/tiny"),
    "denoiser": ("sora-dit/tiny",),
    "text_encoder": ("words/tiny",),
    "scheduler": ("euler", "heun"),
}


def test_rows_are_combinations_times_suites_times_seeds():
    jobs = Plan(**TINY, suites=("speed", "memory"), seeds=(0, 1)).jobs()
    assert len(jobs) == len({job.key for job in jobs}) == 4 * 2 * 2
    assert {job.status for job in jobs} == {"ok"}
    assert {tuple(job.parts.values()) for job in jobs} == {
        (a, "sora-dit/tiny", "words/tiny", s) for a in TINY["autoencoder"] for s in TINY["scheduler"]
    }


def test_rows_that_share_a_training_stand_apart_and_those_that_are_timed_together():
    jobs = Plan(**TINY, suites=("speed", "learning")).jobs()
    order = [(job.suite, job.parts["autoencoder"], job.parts["scheduler"]) for job in jobs]
    one, two = TINY["autoencoder"]
    assert order[:4] == [("speed", a, s) for a in (one, two) for s in ("euler", "heun")]
    assert order[4:] == [("learning", a, s) for s in ("euler", "heun") for a in (one, two)]


def test_a_key_tells_every_setting_apart():
    base = {**TINY, "autoencoder": ("sora-vae/tiny",), "scheduler": ("euler",)}
    others = [
        {"denoiser": ("sora-dit/small",)},
        {"seeds": (1,)},
        {"suites": ("memory",)},
        {"suite": {"speed": {"repeats": 6}}},
        {"sampling": {"frames": 9}},
        {"device": "auto"},
        {"dtype": "bfloat16"},
        {"foreign": True},
    ]
    keys = [Plan(**{**base, **other}).jobs()[0].key for other in ({}, *others)]
    assert len(set(keys)) == len(keys)
    assert Plan(**base, run=RunConfig(jobs=2, time="1h")).jobs()[0].key == keys[0]


def test_what_is_refused_has_its_reason():
    jobs = Plan(autoencoder=("sora-vae/tiny",), denoiser=("sora-dit@kinetic",)).jobs()
    assert [job.status for job in jobs] == ["incompatible"]
    assert "latent space" in jobs[0].reason


def test_a_size_beyond_the_denoiser_is_refused():
    parts = {"autoencoder": ("wan-vae/tiny",), "denoiser": ("wan/tiny",), "text_encoder": ("t5/tiny",)}
    assert {job.status for job in Plan(**parts, sampling={"frames": 61}).jobs()} == {"ok"}
    jobs = Plan(**parts, sampling={"frames": 8001}).jobs()
    assert {job.status for job in jobs} == {"incompatible"}
    assert "makes at most" in jobs[0].reason


def test_excluded_combinations_are_left_out():
    jobs = Plan(**TINY, exclude=({"autoencoder": "kl*", "scheduler": "heun"},)).jobs()
    assert len(jobs) == 3
    assert not [
        job for job in jobs if job.parts["autoencoder"] == "kl-vae/tiny" and job.parts["scheduler"] == "heun"
    ]


def test_parts_that_are_not_named_are_the_default_models():
    (job,) = Plan().jobs()
    assert job.parts["denoiser"] == "sora-dit@kinetic"
    assert job.status == "ok"


@pytest.mark.parametrize(
    ("fields", "kind", "words"),
    [
        ({"suites": ("sped",)}, UnknownNameError, "Did you mean 'speed'"),
        ({"denoiser": ("sora-dut",)}, UnknownNameError, "Did you mean 'sora-dit'"),
        ({"denoiser": ("nothing*",)}, UnknownNameError, "matches"),
        ({"suite": {"sped": {}}}, ConfigError, "does not name"),
        ({"suite": {"speed": {"repets": 1}}}, ConfigError, "Did you mean 'repeats'"),
        ({"suites": ()}, ConfigError, "names no suite"),
        ({"suites": ("speed", "speed/tiny")}, ConfigError, "twice"),
        ({"exclude": ({"solver": "x"},)}, ConfigError, "knows no part"),
        ({"run": {"time": "2 hours"}}, ConfigError, "2h"),
        ({"run": {"memory": float("inf")}}, ConfigError, "run.memory"),
        ({"run": {"memory": 1e12}}, ConfigError, "run.memory"),
        ({"seeds": (2**63,)}, ConfigError, "64 bits"),
        ({"device": "gpu"}, ConfigError, "device is auto, cpu"),
        ({"dtype": "fload32"}, ConfigError, "Did you mean 'float32'"),
        ({"exclude": ({"scheduler": "*"},)}, ConfigError, "leaves no combination"),
        ({"suite": {"speed": {"name": "memory"}}}, ConfigError, "named already"),
    ],
)
def test_what_is_wrong_is_said(fields, kind, words):
    with pytest.raises(kind, match=words):
        Plan(**{**TINY, **fields}).jobs()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("1h30m", 5400), ("0.5h", 1800), (7, 7)]
)
def test_spans_of_time(text, seconds):
    assert read_span(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "2x", "1h30", "-3s", "1..5m", "\u00b2", "\u00b2h"])
def test_bad_spans_of_time(text):
    with pytest.raises(ConfigError, match="span of time"):
        read_span(text)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps", "xpu:0"])
def test_devices_that_there_may_be_are_taken(device):
    assert {job.settings["device"] for job in Plan(**TINY, device=device).jobs()} == {device}


@pytest.mark.parametrize("name", ["plan.json", "plan.toml"])
def test_a_plan_that_nests_too_deep_is_refused(tmp_path, name):
    (tmp_path / name).write_text(("" if name.endswith("json") else "a = ") + "[" * 100_000)
    with pytest.raises(ConfigError, match="too deep"):
        Plan.load(tmp_path / name)


def test_a_suites_field_may_not_have_the_name_of_a_plans(monkeypatch):
    @config
    class Placed(SuiteConfig):
        device: str = "mine"

    spec = ComponentSpec(kind="suite", name="placed", target="x:X", config=Placed, summary="Placed.")
    monkeypatch.setattr("vidgen.bench.plan.read_choice", lambda *_: (spec, Placed()))
    with pytest.raises(ConfigError, match="'placed' has a field 'device'"):
        Plan(**TINY).jobs()


def test_what_is_expected_follows_what_was_measured():
    jobs = Plan(**TINY, suites=("speed", "solvers")).jobs()
    guessed = sum(job.guess for job in jobs)
    assert expected_seconds(jobs, {}) == guessed
    assert expected_seconds(jobs, {"speed": [1.0, 2.0, 9.0], "solvers": [4.0]}) == 4 * 2 + 4 * 4
    assert expected_seconds(jobs, {"speed": [2.0], "solvers": [4.0]}, slots=2) == 4 * 2 + 4 * 4 / 2


def test_five_thousand_combinations_are_checked_without_torch():
    code = """
import sys, time
begun = time.process_time()
from vidgen.bench.plan import Plan
every = {kind: ("*/tiny*",) for kind in ("autoencoder", "denoiser", "text_encoder")}
jobs = Plan(**every, scheduler=("*",)).jobs()
print(len(jobs), time.process_time() - begun, "torch" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    rows, seconds, torch = said.split()
    assert int(rows) >= 5000
    assert torch == "False"
    assert float(seconds) / int(rows) * 5000 < 2


def test_a_rows_recipe_is_what_the_plan_judged():
    parts = {
        **TINY,
        "autoencoder": ("kl-vae/tiny",),
        "denoiser": ("latte/tiny", "videocrafter2/tiny", "sora-dit/tiny"),
    }
    for job in Plan(**parts).jobs():
        data = json.loads(json.dumps(job.recipe))
        assert Recipe.from_dict(data).problems() == []
        for kind, address in job.parts.items():
            assert Recipe.from_dict(data).slot(kind).config == Slot.read(kind, address).config
