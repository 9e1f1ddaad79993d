"""Given frames while a denoiser learns: which are drawn, that they are clean, and that nothing is learned on them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given as prop
from hypothesis import strategies as st

import vidgen
from vidgen.errors import ConfigError, ContractError
from vidgen.interfaces import Prediction
from vidgen.train import TrainRecipe
from vidgen.train.config import GivenConfig, TrainConfig
from vidgen.train.given import draw_given
from vidgen.train.objectives import DenoiserObjective
from vidgen.train.trainer import train

KINDS = ("none", "image", "ends", "past", "future", "random")


def only(kind: str) -> GivenConfig:
    return GivenConfig(**{**dict.fromkeys(KINDS, 0.0), kind: 1.0})


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@prop(kind=st.sampled_from(KINDS), frames=st.integers(1, 12), seed=st.integers(0, 999))
def test_each_kind_gives_what_it_says_and_never_all(kind, frames, seed):
    mask = draw_given(only(kind), 16, frames, seeded(seed))
    assert mask.shape == (16, frames)
    assert not mask.all(dim=1).any()
    counts = mask.sum(dim=1)
    if frames == 1 or kind == "none" or (kind == "ends" and frames == 2):
        assert not mask.any()
    elif kind == "image":
        assert mask[:, 0].all()
        assert (counts == 1).all()
    elif kind == "ends":
        assert mask[:, 0].all()
        assert mask[:, -1].all()
        assert ((mask[:, 1:] != mask[:, :-1]).sum(dim=1) == 2).all()  # given, not given, given
    elif kind == "past":
        assert all(row[:n].all() for row, n in zip(mask, counts, strict=True))
        assert (counts >= 1).all()
    elif kind == "future":
        assert all(row[len(row) - n :].all() for row, n in zip(mask, counts, strict=True))
        assert (counts >= 1).all()


def test_every_length_and_every_kind_comes():
    past = draw_given(only("past"), 400, 5, seeded()).sum(dim=1)
    assert set(past.tolist()) == {1, 2, 3, 4}
    mixed = draw_given(GivenConfig(none=1, image=1, ends=1), 400, 5, seeded()).sum(dim=1)
    assert set(mixed.tolist()) == {0, 1, 2, 3, 4}
    anywhere = draw_given(only("random"), 400, 5, seeded())
    assert anywhere.any(dim=0).all()
    assert 0.2 < float(anywhere.float().mean()) < 0.6


class Watched:
    """Wraps a denoiser's forward and keeps what it saw."""

    def __init__(self, denoiser):
        self.forward, self.seen = denoiser.forward, {}

    def __call__(self, x, time, prepared):
        self.seen = {"x": x, "time": time}
        value = self.forward(x, time, prepared).value
        return Prediction(
            value + 100 * (time == 0).float()[:, None, :, None, None] if time.ndim == 2 else value
        )


def objective(name: str, settings: TrainConfig) -> DenoiserObjective:
    denoiser = vidgen.create("denoiser", name, latent_channels=16, text_width=64)
    return DenoiserObjective(denoiser, vidgen.create("text_encoder", "words/tiny"), settings)


def test_given_frames_are_clean_at_time_zero_and_not_learned():
    part = objective("sora-dit/tiny", TrainConfig(given=only("past")))
    watched = Watched(part.denoiser)
    part.denoiser.forward = watched
    latents = torch.randn(4, 16, 5, 4, 4, generator=seeded(1))
    loss = part(latents, ["a", "b", "c", "d"], seeded())["denoising"]
    time, x = watched.seen["time"], watched.seen["x"]
    clean = time == 0
    assert time.shape == (4, 5)
    assert clean[:, 0].all()
    assert not clean[:, -1].any()
    assert torch.equal(x.movedim(2, 1)[clean], latents.movedim(2, 1)[clean])
    assert not torch.isclose(x.movedim(2, 1)[~clean], latents.movedim(2, 1)[~clean]).all()
    assert loss.item() < 50  # an error of 100 on each given frame does not count


def test_without_given_frames_nothing_changes():
    latents = torch.randn(2, 16, 3, 4, 4, generator=seeded(1))
    torch.manual_seed(0)
    part = objective("sora-dit/tiny", TrainConfig())
    watched = Watched(part.denoiser)
    part.denoiser.forward = watched
    part(latents, ["a", "b"], seeded())
    assert watched.seen["time"].shape == (2,)


def recipe(tmp_path, denoiser, given):
    path = tmp_path / "recipe.toml"
    path.write_text(
        f"""
autoencoder = {{ name = "wf-vae", preset = "tiny" }}
denoiser = {{ name = "{denoiser}", preset = "tiny" }}
text_encoder = {{ name = "words", preset = "tiny" }}
scheduler = {{ name = "euler" }}
[train]
steps = 1
given = {given}
[[data]]
name = "kinetic"
size = "5x32x32"
batch = 2
"""
    )
    return path


@pytest.mark.parametrize("denoiser", ["sora-dit", "opensora-plan"])
def test_a_recipe_trains_with_given_frames(tmp_path, denoiser):
    table = "{ none = 0.5, image = 0.5 }"
    if denoiser == "opensora-plan":
        with pytest.raises(ContractError, match=r"opensora-plan.*takes no given frames"):
            TrainRecipe.load(recipe(tmp_path, denoiser, table))
        path = recipe(tmp_path, denoiser, table)
        path.write_text(
            path.read_text().replace(
                'preset = "tiny" }\ntext', 'preset = "tiny", config = { inpaint = true } }\ntext'
            )
        )
    else:
        path = recipe(tmp_path, denoiser, table)
    folder = train(path, tmp_path / "run")
    assert vidgen.load(folder).denoiser.origin


@pytest.mark.parametrize("table", ["{ image = -1 }", "{ none = 0 }", "{ first = 1 }"])
def test_bad_mixtures_are_refused(tmp_path, table):
    with pytest.raises(ConfigError, match=r"(?i)given"):
        TrainRecipe.load(recipe(tmp_path, "sora-dit", table))
