"""Prompt refiners within a call: chosen by name, table, configuration or object, and kept by a recipe."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vidgen
from vidgen.errors import ConfigError, PluginError, UnknownNameError
from vidgen.recipe import Recipe, Sampling
from vidgen.sampling.refine import PromptRefiner, as_refiner

PARTS = {
    "autoencoder": "sora-vae/tiny",
    "denoiser": "sora-dit/tiny",
    "text_encoder": "words/tiny",
    "scheduler": "euler",
}
SMALL = {"frames": 5, "height": 32, "width": 32, "seed": 0, "steps": 2, "show_progress": False}
LOOSE = "a big scarlet ball drifts leftwards over night sky blue"
PLAIN = "a large red circle moving left on a navy background"
pytestmark = pytest.mark.filterwarnings("ignore:Random weights")


@pytest.fixture(scope="module")
def pipe():
    torch.manual_seed(0)
    pipe = vidgen.compose(**PARTS)
    with torch.no_grad():
        for parameter in pipe.denoiser.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return pipe


@pytest.fixture
def read(pipe, monkeypatch):
    """Every list of prompts that the text encoder is given."""
    seen: list[list[str]] = []
    encode = pipe.text_encoder.encode
    monkeypatch.setattr(
        pipe.text_encoder, "encode", lambda prompts: (seen.append(list(prompts)), encode(prompts))[1]
    )
    return seen


class Shout(PromptRefiner):
    def refine(self, prompts):
        return [prompt.upper() for prompt in prompts]


def test_the_model_reads_the_refined_prompt_and_the_metadata_hold_both(pipe, read):
    video = pipe(LOOSE, negative="blur", refiner="kinetic", **SMALL)
    assert read == [[PLAIN], ["blur"]]
    assert (video.metadata["prompt"], video.metadata["refined"]) == (LOOSE, PLAIN)
    again = pipe(PLAIN, negative="blur", **SMALL)
    assert np.array_equal(video.numpy(), again.numpy())
    assert "refined" not in again.metadata


@pytest.mark.parametrize(
    "refiner", [{"name": "kinetic"}, "kinetic", vidgen.find("prompt_refiner", "kinetic").preset()]
)
def test_ways_to_choose(pipe, read, refiner):
    pipe([LOOSE, "blue square growing"], guidance=1, refiner=refiner, **SMALL)
    assert read == [[PLAIN, "a large blue square growing on a black background"]]


def test_an_object_and_a_strangers(pipe, read, scratch_registry):
    pipe("x", guidance=1, refiner=Shout(), **SMALL)
    vidgen.register("prompt_refiner", "shout")(type("Loud", (Shout,), {"__init__": lambda self: None}))
    pipe("y", guidance=1, refiner="shout", **SMALL)
    assert read == [["X"], ["Y"]]


def test_a_recipe_keeps_its_refiner_and_a_call_may_do_without(pipe, tmp_path):
    asked = {"name": "kinetic", "background": "navy"}
    size = {"frames": 5, "height": 32, "width": 32}
    other = vidgen.compose(**PARTS, sampling={"refiner": asked, **size})
    loaded = vidgen.load(other.save(tmp_path / "saved"))
    assert loaded.sampling == other.sampling
    made = loaded("green square", steps=2, seed=0, show_progress=False)
    assert made.metadata["refined"] == "a large green square standing still on a navy background"
    for off in ("none", {"name": "none"}):
        plain = loaded("green square", refiner=off, steps=2, seed=0, show_progress=False)
        assert "refined" not in plain.metadata
    assert Recipe.from_dict(PARTS).sampling.to_dict().keys().isdisjoint({"refiner"})


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ("kinetics", UnknownNameError, "Did you mean 'kinetic'"),
        ({"name": "kinetic", "sise": "small"}, ConfigError, "Did you mean 'size'"),
        ({"name": "none", "a": 1}, ConfigError, "'none' takes no fields: leave a out"),
        (3, ConfigError, "refiner is a name"),
        (str.upper, ConfigError, "refiner is a name"),
    ],
)
def test_what_is_no_refiner_is_refused(wrong, error, says):
    with pytest.raises(error, match=says):
        as_refiner(wrong)


def test_sampling_refuses_what_is_no_refiner():
    with pytest.raises(UnknownNameError, match="no prompt_refiner 'kinetics'"):
        Sampling(refiner="kinetics")
    with pytest.raises(ConfigError, match="chosen by a name"):
        Sampling(refiner=Shout())


@pytest.mark.parametrize("wrong", [[], ["a", "b"], "a", [3], None])
def test_a_refiner_must_give_a_prompt_for_each(pipe, wrong):
    class Wrong(Shout):
        def refine(self, prompts):
            return wrong

    with pytest.raises(PluginError, match="must return 1 strings"):
        pipe("x", refiner=Wrong(), **SMALL)
