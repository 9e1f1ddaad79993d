from __future__ import annotations

import dataclasses

import pytest

from vidgen.contract import (
    AutoencoderContract,
    Contracts,
    DenoiserContract,
    LatentSpec,
    SchedulerContract,
    TextEncoderContract,
    TextSpec,
    find_problems,
    must_train,
)
from vidgen.errors import ConfigError
from vidgen.process import ProcessSpec

TRAINED = Contracts(
    autoencoder=AutoencoderContract(
        latent=LatentSpec(space="ae", channels=16, time_stride=4, space_stride=8)
    ),
    denoiser=DenoiserContract(
        latent_space="ae", latent_channels=16, text=TextSpec(space="te", width=64, padding="masked")
    ),
    text_encoder=TextEncoderContract(text=TextSpec(space="te", width=64, pooled_width=0)),
    scheduler=SchedulerContract(order=1),
    names={"autoencoder": "vae", "denoiser": "dit", "text_encoder": "txt", "scheduler": "euler"},
)


def changed(part: str, **fields):
    return dataclasses.replace(TRAINED, **{part: dataclasses.replace(getattr(TRAINED, part), **fields)})


def latent(**fields):
    return changed("autoencoder", latent=dataclasses.replace(TRAINED.autoencoder.latent, **fields))


def text(**fields):
    return changed("text_encoder", text=dataclasses.replace(TRAINED.text_encoder.text, **fields))


def reads(**fields):
    return changed("denoiser", text=dataclasses.replace(TRAINED.denoiser.text, **fields))


def test_parts_trained_together_fit_and_are_native():
    assert find_problems(TRAINED) == []
    assert not must_train(TRAINED)


@pytest.mark.parametrize(
    ("contracts", "field", "values", "parts"),
    [
        (latent(channels=4), "latent channels", (4, 16), ("vae", "dit")),
        (changed("denoiser", time_stride=1), "time stride", (4, 1), ("vae", "dit")),
        (latent(space="other"), "latent space", ("other", "ae"), ("vae", "dit")),
        (latent(space=""), "latent space", ("random weights", "ae"), ("vae", "dit")),
        (text(width=32), "text width", (32, 64), ("txt", "dit")),
        (text(space="other"), "text space", ("other", "te"), ("txt", "dit")),
        (text(padding="zeros"), "text padding", ("zeros", "masked"), ("txt", "dit")),
        (reads(pooled_width=8), "pooled text width", (0, 8), ("txt", "dit")),
        (changed("denoiser", prediction="epsilon"), "first time of the grid", None, ("dit", "euler")),
    ],
)
def test_a_misfit_names_both_sides_the_field_both_values_and_a_remedy(contracts, field, values, parts):
    (problem,) = find_problems(contracts)
    assert problem.field == field
    assert values is None or problem.values == values
    line = str(problem)
    assert "\n" not in line
    assert all(f"'{name}'" in line for name in parts)
    assert all(repr(value) in line for value in problem.values)
    assert problem.remedy in line
    assert problem.remedy


def test_a_text_space_that_only_loading_tells_is_not_held_against_anyone():
    assert find_problems(text(space=None)) == []


def test_untrained_parts_follow_their_neighbours():
    untrained = dataclasses.replace(TRAINED, denoiser=DenoiserContract())
    assert find_problems(untrained) == []
    assert must_train(untrained)


def test_random_weights_must_be_trained():
    assert must_train(TRAINED, random=["denoiser"])


@pytest.mark.parametrize(
    "contracts",
    [latent(space="x"), changed("denoiser", time_stride=2), text(space="x"), text(padding="zeros")],
)
def test_foreign_spaces_meet_knowingly(contracts):
    assert find_problems(contracts)
    assert find_problems(contracts, foreign=True) == []


@pytest.mark.parametrize("contracts", [latent(channels=4, space="ae"), text(width=32)])
def test_widths_are_adapted_on_request(contracts):
    assert find_problems(contracts, foreign=True)
    assert find_problems(contracts, adapt=True) == []


def test_epsilon_fits_a_process_that_keeps_signal_or_a_grid_below_one():
    epsilon = changed("denoiser", prediction="epsilon", process=ProcessSpec(family="vp-linear"))
    assert find_problems(epsilon) == []
    zero = ProcessSpec(family="vp-linear", zero_terminal_snr=True)
    assert len(find_problems(changed("denoiser", prediction="epsilon", process=zero))) == 1
    below = dataclasses.replace(
        changed("denoiser", prediction="epsilon", process=zero),
        scheduler=SchedulerContract(order=1, start=0.99),
    )
    assert find_problems(below) == []


def test_every_problem_is_told_at_once():
    both = dataclasses.replace(latent(channels=4, space="x"), text_encoder=text(width=32).text_encoder)
    assert [p.field for p in find_problems(both)] == ["latent channels", "text width", "latent space"]


def test_unknown_abilities_are_refused():
    with pytest.raises(ConfigError, match="fly"):
        DenoiserContract(abilities=frozenset({"fly"}))
