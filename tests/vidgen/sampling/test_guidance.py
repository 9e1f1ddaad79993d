"""Guidance within a run: which branches are evaluated, what each is told, and how a guider is chosen."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import vidgen
from vidgen.errors import ConfigError, PluginError, UnknownNameError
from vidgen.recipe import Recipe, Sampling
from vidgen.sampling.guidance import ClassifierFree, Guider, as_guider

PARTS = {
    "autoencoder": "sora-vae/tiny",
    "denoiser": "sora-dit/tiny",
    "text_encoder": "words/tiny",
    "scheduler": "euler",
}
SMALL = {"frames": 5, "height": 32, "width": 32, "seed": 0, "show_progress": False}
pytestmark = pytest.mark.filterwarnings("ignore:Random weights")


def stirred(**changes):
    torch.manual_seed(0)
    pipe = vidgen.compose(**{**PARTS, **changes})
    with torch.no_grad():
        for parameter in pipe.denoiser.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return pipe


@pytest.fixture(scope="module")
def pipe():
    return stirred()


@pytest.fixture
def rows(pipe, monkeypatch):
    """The number of samples that the denoiser sees at each call."""
    seen: list[int] = []
    forward = pipe.denoiser.forward
    monkeypatch.setattr(
        pipe.denoiser,
        "forward",
        lambda x, time, prepared: (seen.append(len(x)), forward(x, time, prepared))[1],
    )
    return seen


def frames_of(video):
    return video.numpy().astype(int)


def test_an_interval_skips_evaluations(pipe, rows):
    asked = {"name": "cfg-interval", "scale": 4.0, "low": 0.3, "high": 0.7}
    video = pipe("x", guidance=asked, steps=5, **SMALL)  # evaluated at t = 1, 0.8, 0.6, 0.4, 0.2
    assert rows == [1, 1, 2, 2, 1]
    assert video.metadata["evaluations"] == 7


def test_a_negative_prompt_that_nothing_reads_is_said(pipe, recwarn):
    with pytest.warns(UserWarning, match="negative prompt was never read"):
        pipe("x", negative="blur", guidance=1, steps=2, **SMALL)
    with pytest.warns(UserWarning, match="negative prompt was never read"):
        pipe(
            "x", negative="blur", guidance={"name": "cfg-interval", "low": 0.1, "high": 0.4}, steps=2, **SMALL
        )
    recwarn.clear()
    pipe("x", negative="blur", guidance=2, steps=2, **SMALL)
    pipe("x", guidance=1, steps=2, **SMALL)
    assert not [one for one in recwarn if "negative" in str(one.message)]


def test_zero_steps_cost_nothing_and_leave_the_noise(pipe, rows):
    seen = []
    options = {"steps": 4, "on_step": lambda i, x: seen.append(x.clone()), **SMALL}
    video = pipe("x", guidance={"name": "cfg-zero", "zero_steps": 2}, **options)
    assert rows == [2, 2]
    assert video.metadata["evaluations"] == 4
    assert torch.allclose(seen[0], seen[1], atol=1e-6)
    assert not torch.allclose(seen[1], seen[2], atol=1e-2)


def test_a_number_a_name_a_table_a_config_and_an_object_say_the_same(pipe):
    config = vidgen.find("guider", "cfg").preset().replace(scale=5.0)
    ways = [
        5,
        5.0,
        {"name": "cfg", "scale": 5},
        config,
        ClassifierFree(5),
        vidgen.create("guider", "cfg", scale=5.0),
    ]
    made = [frames_of(pipe("x", guidance=way, steps=2, **SMALL)) for way in ways]
    assert all(np.abs(one - made[0]).max() <= 1 for one in made)
    assert np.abs(frames_of(pipe("x", guidance="cfg", steps=2, **SMALL)) - made[0]).max() > 1
    assert as_guider("cfg-rescaled/tiny").inner.config.rescale == 0.7


def test_a_strangers_guider_works_by_name(pipe, rows, scratch_registry):
    @vidgen.register("guider", "towards-the-middle")
    class Middle(Guider):
        """Takes a part of each."""

        def __init__(self, part: float = 0.5):
            self.part = part

        def branches(self, step, t):
            return ("text", "none", "text-alone")

        def combine(self, predictions, step, t):
            assert set(predictions) == {"text", "none", "text-alone"}
            return torch.lerp(predictions["none"], predictions["text"], self.part)

    made = pipe("x", guidance={"name": "towards-the-middle", "part": 1.0}, steps=2, **SMALL)
    assert rows == [2, 2]  # nothing is given, so "text-alone" tells what "text" tells
    assert np.abs(frames_of(made) - frames_of(pipe("x", guidance=1.0, steps=2, **SMALL))).max() <= 1
    recipe = Recipe.from_dict({**PARTS, "sampling": {"guidance": "towards-the-middle"}})
    assert recipe.sampling.guidance == {"name": "towards-the-middle", "part": 0.5}


def test_what_is_given_is_told_to_some_branches_only(pipe, rows):
    seen = {}

    class Watching(ClassifierFree):
        def branches(self, step, t):
            return ("text", "none", "nothing")

        def combine(self, predictions, step, t):
            seen.update(predictions)
            return super().combine(predictions, step, t)

    picture = np.full((32, 32, 3), 200, np.uint8)
    assert "per_frame_time" in pipe.denoiser.config.contract().abilities
    pipe("x", guidance=Watching(3.0), image=picture, steps=2, **SMALL)
    assert rows == [3, 3]
    assert not torch.allclose(seen["none"], seen["nothing"], atol=1e-3)
    # The negative prompt being the prompt, both branches with what is given say the same.
    pipe("x", guidance=Watching(3.0), image=picture, negative="x", steps=2, **SMALL)
    assert torch.allclose(seen["none"], seen["text"], atol=1e-5)
    assert not torch.allclose(seen["none"], seen["nothing"], atol=1e-3)


def test_without_anything_given_image_and_text_is_plain(pipe, rows):
    both = frames_of(
        pipe("x", guidance={"name": "cfg-image-text", "scale": 3, "given_scale": 2}, steps=2, **SMALL)
    )
    assert rows == [2, 2]
    assert np.abs(both - frames_of(pipe("x", guidance=3, steps=2, **SMALL))).max() <= 1


def test_a_larger_given_scale_changes_a_video_from_an_image(pipe):
    picture = np.full((32, 32, 3), 200, np.uint8)
    options = {"image": picture, "steps": 2, **SMALL}
    one, other, plain = (
        frames_of(pipe("x", guidance=guidance, **options))
        for guidance in (
            {"name": "cfg-image-text", "scale": 3, "given_scale": 1},
            {"name": "cfg-image-text", "scale": 3, "given_scale": 4},
            3,
        )
    )
    assert np.abs(one - plain).max() <= 1
    assert np.abs(one - other).max() > 1


class Telling(vidgen.Denoiser):
    """Answers with the sum of the given latents that it is told, to see what each branch hears."""

    def __init__(self, config):
        super().__init__(config)
        self.told = []

    def prepare(self, text, condition, size):
        self.told.append(condition.given)
        return len(text.tokens)

    def forward(self, x, time, prepared):
        assert time.ndim == 1
        return vidgen.Prediction(0 * x)


def test_given_channels_are_zero_where_nothing_is_given(pipe):
    config = pipe.denoiser.config

    class Given(type(config)):
        __slots__ = ()

        def contract(self):
            return dataclasses.replace(super().contract(), abilities=frozenset({"given"}))

    told = Telling(Given(**{field.name: getattr(config, field.name) for field in dataclasses.fields(config)}))
    other = object.__new__(vidgen.Pipeline)
    other.__dict__.update(pipe.__dict__ | {"denoiser": told})
    told.register_parameter("place", torch.nn.Parameter(torch.zeros(1)))
    picture = np.full((32, 32, 3), 200, np.uint8)
    other("x", guidance="cfg-image-text", image=picture, steps=1, **SMALL)
    (given,) = told.told
    text, none, nothing = given.unbind()
    assert text.abs().sum() > 0
    assert torch.equal(text, none)
    assert nothing.abs().sum() == 0


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ("cfg-intervall", UnknownNameError, "Did you mean 'cfg-interval'"),
        ("cfg/small", UnknownNameError, "no preset 'small'"),
        ("cfg@kinetic", ConfigError, "has no weights"),
        ({"scale": 3}, ConfigError, "chosen by a name"),
        ({"name": "cfg", "sacle": 3}, ConfigError, "Did you mean 'scale'"),
        ({"name": 3}, ConfigError, "chosen by a name"),
        (float("nan"), ConfigError, "guidance is a number"),
        (True, ConfigError, "guidance is a number"),
        ([3], ConfigError, "guidance is a number"),
    ],
)
def test_what_is_no_guidance_is_refused(pipe, wrong, error, says):
    with pytest.raises(error, match=says):
        pipe("x", guidance=wrong, steps=2, **SMALL)


def test_what_is_registered_but_no_guider_is_refused(pipe, scratch_registry):
    @vidgen.register("guider", "no-guider")
    class NoGuider:
        """Is none."""

        def __init__(self):
            pass

    with pytest.raises(PluginError, match="which is no Guider"):
        pipe("x", guidance="no-guider", steps=2, **SMALL)


def test_an_unknown_branch_is_refused(pipe):
    class Wrong(ClassifierFree):
        def branches(self, step, t):
            return ("text", "nothin")

    with pytest.raises(PluginError, match=r"Wrong asks for a branch 'nothin'\. Did you mean 'nothing'"):
        pipe("x", guidance=Wrong(2.0), steps=2, **SMALL)


@pytest.mark.parametrize("names", [None, "text", (None,), 3])
def test_branches_that_are_no_names_are_refused(pipe, names):
    class Wrong(ClassifierFree):
        def branches(self, step, t):
            return names

    with pytest.raises(PluginError, match=r"Wrong\.branches must return a tuple of names, not"):
        pipe("x", guidance=Wrong(2.0), steps=2, **SMALL)


@pytest.mark.parametrize("method", ["combine", "adjust_clean"])
@pytest.mark.parametrize(
    ("made", "says"), [(None, "None"), (torch.zeros(1, 1, 1, 4, 4), r"\[1, 1, 1, 4, 4\]")]
)
def test_what_is_no_prediction_is_refused(pipe, method, made, says):
    wrong = type("Wrong", (ClassifierFree,), {method: lambda self, *told: made})
    with pytest.raises(PluginError, match=rf"Wrong\.{method} must return a tensor \[1, 16, .*, not {says}\."):
        pipe("x", guidance=wrong(2.0), steps=2, **SMALL)


def test_a_denoiser_that_does_not_fit_the_guider_is_refused():
    other = stirred(denoiser={"name": "sora-dit", "preset": "tiny", "config": {"prediction": "v"}})
    with pytest.raises(ConfigError, match="zero_steps=1 is for denoisers that predict 'flow', not 'v'"):
        other("x", guidance="cfg-zero", steps=2, **SMALL)


def test_a_recipe_keeps_its_guider(pipe, tmp_path):
    asked = {"name": "cfg-interval", "scale": 5, "low": 0.1, "high": 0.9}
    other = vidgen.compose(**PARTS, sampling={"guidance": asked, "frames": 5, "height": 32, "width": 32})
    loaded = vidgen.load(other.save(tmp_path / "saved"))
    assert loaded.sampling == other.sampling
    assert loaded.sampling.guidance["scale"] == 5.0
    made = loaded("x", seed=0, steps=5, show_progress=False)
    assert made.metadata["evaluations"] == 9  # t = 1 lies outside
    assert loaded("x", seed=0, steps=5, guidance=1, show_progress=False).metadata["evaluations"] == 5


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"guidance": float("inf")}, "guidance must be finite"),
        ({"guidance": {"name": "cfg", "rescale": 2}}, "rescale must lie"),
        ({"guidance": None}, "chosen by a name"),
        ({"guidance": True}, "chosen by a name"),
        ({"guidance": ClassifierFree(2.0)}, "chosen by a name"),
    ],
)
def test_sampling_refuses_what_is_no_guidance(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Sampling.from_dict(wrong)
