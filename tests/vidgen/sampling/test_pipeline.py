"""The loop that joins four parts, with tiny random ones."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

import vidgen
from tests.vidgen.testing.toys import ToyWords, ToyWordsConfig
from vidgen.config import config
from vidgen.errors import (
    CheckpointError,
    ConfigError,
    ContractError,
    RecipeError,
    SizeError,
    UnknownNameError,
)
from vidgen.sampling.guidance import ClassifierFree, Guider

PARTS = {
    "autoencoder": "sora-vae/tiny",
    "denoiser": "sora-dit/tiny",
    "text_encoder": "words/tiny",
    "scheduler": "euler",
}
SMALL = {"frames": 5, "height": 32, "width": 32, "steps": 2}
pytestmark = pytest.mark.filterwarnings("ignore:Random weights")


@pytest.fixture(scope="module")
def pipe():
    torch.manual_seed(0)
    pipe = vidgen.compose(**PARTS)
    with torch.no_grad():  # an untrained sora-dit predicts zero: stir it, so that prompts and seeds matter
        for parameter in pipe.denoiser.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return pipe


def test_a_prompt_becomes_a_video_of_the_size_asked_for(pipe):
    video = pipe("a red circle", seed=0, **SMALL)
    assert video.numpy().shape == (5, 32, 32, 3)
    assert video.numpy().dtype == np.uint8
    assert video.fps == 16
    assert video.metadata["seed"] == 0


def test_a_list_gives_a_list(pipe):
    assert len(pipe(["one", "two"], seed=1, **SMALL)) == 2
    with pytest.raises(ConfigError, match="prompt"):
        pipe([], **SMALL)
    with pytest.raises(ConfigError, match="prompt"):
        pipe(3, **SMALL)


def test_the_seed_gives_the_same_video_whatever_the_batch(pipe):
    latents = []
    pipe(["a", "b", "c"], seed=7, on_step=lambda i, x: latents.append(x.clone()), **SMALL)
    alone = []
    pipe("b", seed=8, on_step=lambda i, x: alone.append(x.clone()), **SMALL)
    assert torch.allclose(latents[-1][1], alone[-1][0], atol=1e-4)
    assert not torch.allclose(latents[-1][0], latents[-1][1], atol=1e-2)


def test_guidance_one_costs_one_branch_and_is_plain(pipe):
    class Counting(Guider):
        def __init__(self):
            self.seen = []

        def branches(self, step, t):
            self.seen.append((step, t))
            return ("text", "none")

        def combine(self, predictions, step, t):
            return predictions["text"]

    counting = Counting()
    one = pipe("x", seed=0, guidance=1.0, **SMALL)
    same = pipe("x", seed=0, guidance=counting, **SMALL)
    assert [step for step, _ in counting.seen] == [0, 1]
    assert np.abs(one.numpy().astype(int) - same.numpy().astype(int)).max() <= 1
    assert ClassifierFree(1.0).branches(0, 1.0) == ("text",)


def test_guidance_extrapolates():
    text, none = torch.tensor([2.0]), torch.tensor([1.0])
    assert ClassifierFree(3.0).combine({"text": text, "none": none}, 0, 1.0).item() == 4.0


def test_sizes_that_cannot_be_made_are_refused_with_the_nearest(pipe):
    with pytest.raises(SizeError, match="5x32x32"):
        pipe("x", **{**SMALL, "frames": 4})
    with pytest.raises(SizeError, match="5x40x32"):
        pipe("x", **{**SMALL, "height": 36})
    video = pipe("x", fit="pad", **{**SMALL, "frames": 4, "height": 36})
    assert video.numpy().shape == (4, 36, 32, 3)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"frames": -1}, {"fps": 0}, {"height": 2.5}])
def test_arguments_out_of_range_are_refused(pipe, wrong):
    with pytest.raises(ConfigError):
        pipe("x", **{**SMALL, **wrong})


def test_unknown_keywords_are_not_dropped(pipe):
    with pytest.raises(TypeError):
        pipe("x", stepz=3)


def test_random_weights_are_said(pipe):
    with pytest.warns(UserWarning, match="Random weights: autoencoder, denoiser, text_encoder"):
        video = pipe("x", seed=0, **SMALL)
    assert "denoiser" in video.metadata["random weights"]
    assert pipe.status == "must be trained"


def test_replace_swaps_by_name_and_keeps_the_rest(pipe):
    other = pipe.replace(scheduler="heun")
    assert other.denoiser is not None
    assert other.autoencoder is pipe.autoencoder
    assert other.recipe.scheduler.spec.name == "heun"
    assert other("x", seed=0, **SMALL).numpy().shape == (5, 32, 32, 3)
    with pytest.raises(UnknownNameError, match="heun"):
        pipe.replace(scheduler="huen")
    with pytest.raises(ConfigError):
        pipe.replace(schedular="heun")


@pytest.mark.parametrize(
    ("first", "wanted", "autoencoder", "size"),
    [
        ("wf-vae/tiny", (17, 64, 64), "videogpt-vqvae/tiny", (16, 64, 64)),  # no first frame alone
        ("videogpt-vqvae/tiny", (12, 68, 60), "sora-vae/tiny", (9, 64, 56)),
        ("wf-vae/tiny", (5, 64, 64), "kl-vae/tiny", (5, 64, 64)),
    ],
)
def test_replace_keeps_no_size_that_the_new_parts_cannot_make(first, wanted, autoencoder, size):
    sampling = {**dict(zip(("frames", "height", "width"), wanted, strict=True)), "steps": 1, "fps": 8.0}
    pipe = vidgen.compose(**{**PARTS, "autoencoder": first}, sampling=sampling)
    other = pipe.replace(autoencoder=autoencoder)
    assert other.sampling == pipe.sampling.replace(
        **dict(zip(("frames", "height", "width"), size, strict=True))
    )
    assert other.autoencoder.latent.fits(other.sampling.size)
    assert pipe.sampling.size == wanted
    said = pipe.replace(autoencoder=autoencoder, sampling=pipe.sampling)  # what is said is kept
    assert said.sampling.size == wanted


def test_an_untrained_denoiser_follows_its_neighbours():
    pipe = vidgen.compose(**{**PARTS, "text_encoder": "bytes/tiny"})
    assert pipe.denoiser.config.text_width == pipe.text_encoder.text.width
    assert pipe.denoiser.config.latent_channels == pipe.autoencoder.latent.channels


@config
class SilentConfig(ToyWordsConfig):
    def contract(self):
        return vidgen.TextEncoderContract(text=vidgen.TextSpec(space=self.space or None, max_tokens=8))


class Silent(ToyWords):
    """Cannot say its width before it is loaded, and what it speaks only when told."""

    def __init__(self, config: SilentConfig):
        super().__init__(config)


@pytest.fixture
def silent(scratch_registry):
    vidgen.register("text_encoder", "silent")(Silent)
    return {**PARTS, "text_encoder": "silent"}


def test_a_width_that_only_loading_tells_is_followed_checked_and_bridged(silent):
    pipe = vidgen.compose(**silent)
    assert pipe.denoiser.config.text_width == pipe.text_encoder.text.width == 24
    assert vidgen.compose(**{**silent, "text_encoder": pipe.text_encoder})("x", **SMALL).frames == 5
    fixed = vidgen.find("denoiser", "sora-dit").preset("tiny").replace(text_width=40)
    assert vidgen.check({**silent, "denoiser": {"name": "sora-dit", "config": {"text_width": 40}}}) == []
    with pytest.raises(ContractError, match=r"'silent' and denoiser 'sora-dit' .*text width: 24 against 40"):
        vidgen.compose(**{**silent, "denoiser": fixed})
    assert vidgen.compose(**{**silent, "denoiser": fixed}, adapt=True)("x", **SMALL).frames == 5


def test_a_text_space_that_only_loading_tells_is_checked_then(silent):
    knows = vidgen.find("denoiser", "sora-dit").preset("tiny").replace(text_space="te")
    part = vidgen.create("text_encoder", "silent")
    for origin, says in (("random", "random weights"), ("somewhere", "unknown")):
        part.origin = origin
        with pytest.raises(ContractError, match=f"text space: '{says}' against 'te'"):
            vidgen.compose(**{**silent, "denoiser": knows, "text_encoder": part})
    part.config = part.config.replace(space="te")
    assert vidgen.compose(**{**silent, "denoiser": knows, "text_encoder": part}).text_encoder is part


def test_parts_without_a_configuration_are_refused():
    with pytest.raises(RecipeError, match=r"autoencoder must be .* a part that has one, not Linear"):
        vidgen.compose(**{**PARTS, "autoencoder": torch.nn.Linear(2, 2)})


def test_the_default_size_is_one_that_the_parts_can_make():
    clip = {"name": "videogpt-vqvae", "preset": "tiny"}
    pipe = vidgen.compose(**{**PARTS, "autoencoder": clip})
    assert pipe.sampling.size == (16, 64, 64)
    said = vidgen.compose(**{**PARTS, "autoencoder": clip}, sampling={"frames": 17, "steps": 2})
    assert said.sampling.size == (17, 64, 64)
    with pytest.raises(SizeError, match="16x64x64"):
        said("x")
    assert vidgen.compose(**PARTS).sampling == vidgen.recipe.Sampling()


def test_misfits_are_refused_before_anything_is_built(monkeypatch):
    fixed = vidgen.find("denoiser", "sora-dit").preset("tiny").replace(latent_channels=5)
    monkeypatch.setattr("vidgen.sampling.pipeline.assemble", lambda *a: pytest.fail("something was built"))
    with pytest.raises(ContractError, match=r"sora-vae.*sora-dit.*latent channels.*16.*5"):
        vidgen.compose(**{**PARTS, "denoiser": fixed})


def test_adapt_bridges_channels_and_widths_and_is_kept(tmp_path):
    fixed = vidgen.find("denoiser", "sora-dit").preset("tiny").replace(latent_channels=5, text_width=24)
    pipe = vidgen.compose(**{**PARTS, "denoiser": fixed}, adapt=True)
    with torch.no_grad():
        for parameter in pipe.denoiser.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    video = pipe("x", seed=0, **SMALL).numpy()
    assert video.shape == (5, 32, 32, 3)
    again = vidgen.load(pipe.save(tmp_path / "adapted"))
    assert np.array_equal(again("x", seed=0, **SMALL).numpy(), video)


def test_trained_parts_know_their_spaces():
    trained = (
        vidgen.find("denoiser", "sora-dit")
        .preset("tiny")
        .replace(latent_channels=16, latent_space="somewhere")
    )
    with pytest.raises(ContractError, match="latent space"):
        vidgen.compose(**{**PARTS, "denoiser": trained})
    assert vidgen.compose(**{**PARTS, "denoiser": trained}, foreign=True).status == "must be trained"


def test_save_and_load_give_the_same_video(pipe, tmp_path):
    folder = pipe.save(tmp_path / "saved")
    again = vidgen.load(folder)
    first, second = (p("a blue square", seed=3, **SMALL).numpy() for p in (pipe, again))
    assert np.array_equal(first, second)
    pipe.save(folder)  # in place of the old one
    assert {p.name for p in tmp_path.iterdir()} == {"saved"}


def test_save_does_not_overwrite_what_is_not_ours(pipe, tmp_path):
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="not written by vidgen"):
        pipe.save(tmp_path)
    assert (tmp_path / "diary.txt").read_text() == "mine"


def test_load_refuses_what_is_no_pipeline(tmp_path):
    with pytest.raises(CheckpointError, match=r"recipe\.toml"):
        vidgen.load(tmp_path)
    with pytest.raises(UnknownNameError):
        vidgen.load("no-such-model")


def test_reconstruct_takes_any_size(pipe):
    video = vidgen.Video.from_numpy(
        np.random.default_rng(0).integers(0, 255, (7, 30, 41, 3), dtype=np.uint8), fps=8
    )
    made = pipe.reconstruct(video)
    assert made.numpy().shape == video.numpy().shape
    assert made.fps == 8
    with pytest.raises(SizeError):
        pipe.reconstruct(video, fit="refuse")


def test_to_auto_says_what_it_chose(pipe):
    moved = vidgen.compose(**PARTS).to("auto", "auto")
    assert moved.dtype in (torch.float32, torch.bfloat16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert moved("x", seed=0, **SMALL).numpy().shape == (5, 32, 32, 3)
