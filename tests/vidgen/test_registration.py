"""`vidgen.register`: parts from a notebook."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import vidgen
from vidgen.errors import ConfigError, DuplicateComponentError, PluginError
from vidgen.sampling.guidance import Guider

REST = {"autoencoder": "sora-vae/tiny", "text_encoder": "words/tiny", "scheduler": "euler"}
pytestmark = pytest.mark.usefixtures("scratch_registry")


def make_denoiser():
    @vidgen.register("denoiser", "my-net")
    class MyNet(vidgen.Denoiser):
        """One convolution."""

        def __init__(self, latent_channels: int = 16, width: int = 8) -> None:
            super().__init__()
            self.enter = nn.Conv3d(latent_channels, width, 1)
            self.leave = nn.Conv3d(width, latent_channels, 1)

        def prepare(self, text, condition, size):
            return None

        def forward(self, x, time, prepared):
            return vidgen.Prediction(self.leave(self.enter(x)))

    return MyNet


def test_a_backbone_from_a_notebook_makes_a_video():
    make_denoiser()
    assert "my-net" in vidgen.list_components("denoiser")
    assert vidgen.find("denoiser", "my-net").summary == "One convolution."
    pipe = vidgen.compose(**REST, denoiser="my-net")
    with pytest.warns(UserWarning, match="Random weights"):
        video = pipe("x", frames=5, height=32, width=32, steps=2, seed=0)
    assert video.numpy().shape == (5, 32, 32, 3)
    assert vidgen.create("denoiser", "my-net", width=5).enter.out_channels == 5


def test_its_contract_is_checked_too():
    make_denoiser()
    problems = vidgen.check({**REST, "denoiser": {"name": "my-net", "config": {"latent_channels": 4}}})
    assert [problem.field for problem in problems] == ["latent channels"]
    assert problems[0].values == (16, 4)


def test_a_saved_pipeline_with_it_loads_again(tmp_path):
    make_denoiser()
    pipe = vidgen.compose(**REST, denoiser="my-net")
    again = vidgen.load(pipe.save(tmp_path / "pipe"))
    assert torch.equal(again.denoiser.enter.weight, pipe.denoiser.enter.weight)


def test_names_are_not_taken_twice_unless_asked():
    make_denoiser()
    with pytest.raises(DuplicateComponentError, match="my-net"):
        make_denoiser()
    with pytest.raises(DuplicateComponentError, match="sora-dit"):
        vidgen.register("denoiser", "sora-dit")(make_class())
    vidgen.register("denoiser", "my-net", replace=True)(make_class())
    assert vidgen.create("denoiser", "my-net").mark == 3


def make_class():
    class Other(vidgen.Denoiser):
        def __init__(self, mark: int = 3) -> None:
            super().__init__()
            self.mark = mark

        def prepare(self, text, condition, size):
            return None

        def forward(self, x, time, prepared):
            return vidgen.Prediction(x)

    return Other


def test_parameters_want_annotations():
    with pytest.raises(PluginError, match="annotate 'width'"):

        @vidgen.register("denoiser", "bare")
        class Bare(vidgen.Denoiser):
            def __init__(self, width=3) -> None: ...


def test_a_class_without_init_has_an_empty_config():
    @vidgen.register("guider", "plain")
    class Plain(Guider):
        def branches(self, step, t):
            return ("text",)

        def combine(self, predictions, step, t):
            return predictions["text"]

    made = vidgen.create("guider", "plain")
    assert isinstance(made, Plain)
    assert made.config.to_dict() == {}


def test_wrong_values_are_refused():
    make_denoiser()
    with pytest.raises(ConfigError, match="Did you mean 'width'"):
        vidgen.create("denoiser", "my-net", widht=3)
    with pytest.raises(ConfigError, match="must be int"):
        vidgen.create("denoiser", "my-net", width="wide")


def test_a_static_contract_declares_the_part():
    @vidgen.register("scheduler", "one-step")
    class OneStep(vidgen.Scheduler):
        def __init__(self, start: float = 1.0) -> None:
            self.start = start

        @staticmethod
        def contract(config):
            return vidgen.SchedulerContract(order=1, start=config.start)

        def grid(self, process, steps, *, tokens=None, start=None):
            return vidgen.TimeGrid.of(process, torch.tensor([self.start, 0.0], dtype=torch.float64))

        def solve(self, denoise, x, grid, *, generators=None, on_step=None):
            return denoise(x, float(grid.t[0]))

    assert vidgen.find("scheduler", "one-step").preset("tiny").contract().start == 1.0
    pipe = vidgen.compose(**{**REST, "scheduler": "one-step"}, denoiser="sora-dit/tiny")
    with pytest.warns(UserWarning, match="Random weights"):
        assert len(pipe("x", frames=5, height=32, width=32, seed=0)) == 5
