"""Training: exact resume, cached latents, what is exported."""

from __future__ import annotations

import json
import os
import signal

import pytest
import torch

import vidgen
from vidgen.errors import CheckpointError, ConfigError, RecipeError
from vidgen.train.config import TrainRecipe
from vidgen.train.objectives import edge_loss
from vidgen.train.optimizers import Averaged, rate_factor
from vidgen.train.trainer import Trainer, train

AUTOENCODER = """
[autoencoder]
name = "sora-vae"
preset = "tiny"
[train]
train = ["autoencoder"]
steps = 4
precision = "fp32"
warmup = 1
log_every = 1
[[data]]
name = "kinetic"
size = "5x32x32"
batch = 2
"""
DENOISER = """
autoencoder = "sora-vae/tiny"
denoiser = "sora-dit/tiny"
text_encoder = "words/tiny"
scheduler = "euler"
[sampling]
frames = 5
height = 32
width = 32
steps = 2
[train]
train = ["denoiser", "text_encoder"]
steps = 4
precision = "fp32"
optimizer = "muon"
warmup = 1
log_every = 1
[[data]]
name = "kinetic"
size = "5x32x32"
batch = 2
[[data]]
name = "kinetic"
size = "1x32x32"
batch = 4
"""


@pytest.fixture
def write(tmp_path):
    def write(text, **changes):
        for old, new in changes.items():
            text = text.replace(old, new)
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return path

    return write


def weights(trainer):
    return {name: tensor.detach().clone() for name, tensor in trainer.state.named}


@pytest.mark.parametrize("text", [AUTOENCODER, DENOISER], ids=["autoencoder", "denoiser"])
def test_resume_is_exact(text, write, tmp_path):
    path = write(text)
    whole = Trainer(TrainRecipe.load(path), tmp_path / "whole")
    whole.run()
    half = Trainer(TrainRecipe.load(path), tmp_path / "half")
    half.settings = half.settings.replace(steps=2)
    # The schedule belongs to the whole run, so only the loop stops early.
    import vidgen.train.trainer as module

    original = module.rate_factor
    module.rate_factor = lambda step, settings: original(step, whole.settings)
    try:
        half.run()
    finally:
        module.rate_factor = original
    again = Trainer(TrainRecipe.load(path), tmp_path / "half")
    assert again.state.step == 2
    again.run()
    left, right = weights(whole), weights(again)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
    assert all(torch.equal(whole.state.average.values[n], again.state.average.values[n]) for n in left)


def test_training_lowers_the_loss(write, tmp_path):
    path = write(AUTOENCODER)
    train(path, tmp_path / "run", steps=30, log_every=10, learning_rate=2e-3)
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["reconstruction"] < lines[0]["reconstruction"]


def test_a_trained_autoencoder_names_its_space_and_is_normalised(write, tmp_path):
    folder = train(write(AUTOENCODER), tmp_path / "run")
    part = vidgen.create("autoencoder", "sora-vae", weights=folder)
    assert part.latent.space.startswith("sora-vae-")
    assert part.origin == str(folder)
    world = vidgen.create("data_set", "kinetic")
    size = vidgen.Size(5, 32, 32)
    videos = torch.cat(
        [vidgen.Video.from_numpy(world.sample(i, size).video, fps=16).tensor() for i in range(32)]
    )
    latents = part.encode(videos)
    assert 0.5 < latents.std() < 2


@pytest.mark.parametrize("name", ["sora-vae", "wf-vae"])
def test_an_export_is_normalised_by_the_latents_of_its_own_weights(name, write, tmp_path):
    path = write(AUTOENCODER.replace("sora-vae", name))
    part = vidgen.create("autoencoder", name, weights=train(path, tmp_path / "run"))
    again = Trainer(TrainRecipe.load(path), tmp_path / "other")
    found = vidgen.latent_statistics(part, again._some_videos(32))
    mean, std = part.normalisation()
    assert found.videos == 64
    assert torch.allclose(found.mean, mean.double(), atol=1e-5)
    assert torch.allclose(found.std, std.double(), rtol=1e-4)


def test_a_trained_pipeline_is_native_and_knows_its_neighbours(write, tmp_path):
    autoencoder = train(write(AUTOENCODER), tmp_path / "vae")
    text = DENOISER.replace(
        '"sora-vae/tiny"', json.dumps({"name": "sora-vae", "weights": str(autoencoder)}).replace(":", " =")
    )
    text = text.replace('{"name"', "{name").replace('"weights"', "weights")
    text = text.replace("batch = 2", "batch = 2\ncache = 8")
    folder = train(write(text), tmp_path / "dit")
    pipe = vidgen.load(folder)
    assert pipe.status == "native"
    assert len(list((tmp_path / "dit" / "latents").glob("kinetic-5x32x32-*/index.json"))) == 1
    with pytest.raises(vidgen.errors.ContractError, match="text space"):
        pipe.replace(text_encoder="words/tiny")
    assert pipe("a red circle", seed=0).numpy().shape == (5, 32, 32, 3)
    assert pipe.replace(scheduler="heun").status == "native"


def test_fine_tuning_starts_from_a_pipeline(write, tmp_path):
    path = write(DENOISER)
    folder = train(path, tmp_path / "first")
    trainer = Trainer(TrainRecipe.load(path), tmp_path / "second", init=str(folder))
    saved = vidgen.load(folder).denoiser.state_dict()
    assert all(
        torch.equal(saved[name], value) for name, value in trainer.parts["denoiser"].state_dict().items()
    )


def test_frozen_parameters_stay_and_the_space_can_be_kept(write, tmp_path):
    folder = train(write(AUTOENCODER), tmp_path / "first")
    again = train(
        write(AUTOENCODER),
        tmp_path / "second",
        init=str(folder),
        freeze=("encoder*",),
        keep_space=True,
        seed=3,
    )
    first, second = (vidgen.create("autoencoder", "sora-vae", weights=f) for f in (folder, again))
    assert first.latent.space == second.latent.space
    video = torch.rand(1, 3, 5, 32, 32) * 2 - 1
    assert torch.equal(first.encode(video), second.encode(video))
    assert not torch.equal(first.decode(first.encode(video)), second.decode(second.encode(video)))


def test_a_checkpoint_of_other_parts_is_refused(write, tmp_path):
    train(write(AUTOENCODER), tmp_path / "run")
    other = write(AUTOENCODER.replace('preset = "tiny"', "config = { decoder_width = 24 }"))
    with pytest.raises(CheckpointError, match="other parts"):
        Trainer(TrainRecipe.load(other), tmp_path / "run")


def test_a_damaged_checkpoint_is_refused(write, tmp_path):
    path = write(AUTOENCODER)
    train(path, tmp_path / "run")
    (tmp_path / "run" / "checkpoint" / "weights.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="cannot be resumed"):
        Trainer(TrainRecipe.load(path), tmp_path / "run")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_keeps_a_checkpoint_of_whole_steps(number, write, tmp_path, monkeypatch):
    trainer = Trainer(TrainRecipe.load(write(AUTOENCODER)), tmp_path / "run")
    original = trainer._losses

    def interrupted(model, batch, part):
        if trainer.state.step == 2:
            os.kill(os.getpid(), number)
        return original(model, batch, part)

    monkeypatch.setattr(trainer, "_losses", interrupted)
    with pytest.raises(KeyboardInterrupt):
        trainer.run()
    assert json.loads((tmp_path / "run" / "checkpoint" / "config.json").read_text())["step"] == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('train = ["autoencoder"]', 'train = ["autoencoder", "denoiser"]', "trained alone"),
        ('train = ["autoencoder"]', 'train = ["denoiser"]', "lacks denoiser"),
        ("steps = 4", "stepz = 4", "Did you mean 'steps'"),
        ("steps = 4", 'steps = "four"', "must be int"),
        ('size = "5x32x32"', 'size = "5by32"', "frames x height x width"),
        ('name = "kinetic"', 'name = "kinetik"', "Did you mean 'kinetic'"),
        ("[[data]]", "[[dada]]", "Did you mean 'data'"),
    ],
)
def test_wrong_recipes_say_what_to_do(old, new, message, write):
    with pytest.raises(vidgen.errors.VidgenError, match=message):
        TrainRecipe.load(write(AUTOENCODER.replace(old, new)))


def test_samples_of_a_training_have_a_size_that_the_parts_can_make(write):
    text = DENOISER.replace("sora-vae/tiny", "videogpt-vqvae/tiny").replace(
        "[sampling]\nframes = 5\n", "[sampling]\n"
    )
    text = text.replace("5x32x32", "4x32x32").replace("1x32x32", "8x32x32")
    assert TrainRecipe.load(write(text)).sampling.size == (16, 32, 32)


def test_errors_are_typed(write):
    with pytest.raises(RecipeError, match="training recipe"):
        TrainRecipe.load(write("[autoencoder]\nname = 'sora-vae'\n"))
    with pytest.raises(ConfigError):
        TrainRecipe.load(write(AUTOENCODER.replace("steps = 4", "steps = 0")))


def test_edge_loss_is_zero_only_for_equal_edges():
    video = torch.rand(1, 3, 2, 16, 16)
    assert edge_loss(video, video) == 0
    assert edge_loss(video, video + 0.3) < 1e-6
    assert edge_loss(video, video.flip(-1)) > 0.1


def test_rates_warm_up_and_fall():
    from vidgen.train.config import TrainConfig

    settings = TrainConfig(steps=100, warmup=10, schedule="trapezoid", decay=0.5)
    factors = [rate_factor(step, settings) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert max(factors) == 1.0
    assert factors[30] == 1.0
    assert factors[75] == pytest.approx(0.5)
    assert factors[99] < 0.05


def test_averages_follow_the_weights():
    weight = torch.zeros(3)
    average = Averaged([("w", weight)], 0.9)
    for step in range(200):
        average.update([("w", torch.ones(3))], step)
    assert torch.allclose(average.values["w"], torch.ones(3), atol=1e-3)
