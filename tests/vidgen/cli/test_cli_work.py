from __future__ import annotations

import os
import re
import signal

import numpy as np
import pytest

from vidgen.cli.train import read_changes
from vidgen.errors import RecipeError
from vidgen.video import Video

SHORT = ("--size", "5x16x16", "--steps", "2", "--scheduler", "euler", "--device", "cpu", "--dtype", "float32")


@pytest.fixture
def clip(tmp_path):
    rows = np.linspace(0, 255, 30 * 40 * 3 * 7).reshape(7, 30, 40, 3)
    return Video.from_numpy(rows.astype(np.uint8), fps=12).save(tmp_path / "clip.mp4")


def test_generate_writes_every_output_of_every_prompt(vidgen, tiny, tmp_path):
    outputs = ("-o", tmp_path / "a.mp4", "--output", tmp_path / "a.gif")
    result = vidgen("generate", "a red circle", "a blue cross", *tiny, *SHORT, "--seed", "3", *outputs)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-1.gif", "a-1.mp4", "a.gif", "a.mp4"]
    first = result.stdout.splitlines()[0]
    assert first.startswith(f"wrote {tmp_path / 'a.mp4'} (5x16x16, seed 3)")
    assert "RANDOM WEIGHTS in autoencoder, denoiser, text_encoder" in first
    assert "seed 4" in result.stdout
    assert "warning: Random weights" in result.stderr
    assert "UserWarning" not in result.stderr
    assert Video.open(tmp_path / "a.mp4").size == (5, 16, 16)


def test_the_printed_seed_makes_the_same_video(vidgen, tiny, tmp_path):
    import torch

    from vidgen.sampling.pipeline import compose

    torch.manual_seed(0)
    parts = dict(zip(("autoencoder", "denoiser", "text_encoder"), tiny[1::2], strict=True))
    model = compose(**parts, scheduler="euler").save(tmp_path / "model")
    words = ("generate", "a red circle", "--model", model, *SHORT)
    seed = re.search(r"seed (\d+)", vidgen(*words, "-o", tmp_path / "a.npy").stdout)[1]
    result = vidgen(*words, "-o", tmp_path / "b.npy", "--seed", seed)
    assert "RANDOM" not in result.stdout
    first, second = np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy")
    assert np.abs(first.astype(int) - second).max() <= 1
    assert first.std() > 0


def test_generate_refuses_bad_input(refused, tiny, tmp_path):
    words = ("generate", "x", *tiny, "--scheduler", "euler", "-o", tmp_path / "a.mp4")
    assert "take 5x16x16 or 1x16x16" in refused(*words, "--size", "4x16x16")
    assert "such as 17x64x64" in refused(*words, "--size", "big")
    assert "not both" in refused(*words, "--size", "5x16x16", "--frames", "5")
    assert "--dtype takes" in refused(*words, "--dtype", "int8")
    assert "--device nowhere" in refused(*words, "--device", "nowhere")
    assert "fps must be positive" in refused(*words, "--fps", "0")
    assert "Missing argument" in refused("generate")
    assert "--frames" in refused("generate", "x", "--framez", "3")
    assert "valid integer" in refused("generate", "x", "--frames", "many")
    assert "unknown suffix" in refused("generate", "x", "-o", "a.xyz")
    assert "Did you mean 'sora-dit'" in refused(
        "generate", "x", *tiny[:2], "--denoiser", "sora-dti", *tiny[4:], *SHORT
    )
    assert "no folder, tag or Hub id" in refused("generate", "x", "--model", "nowhere")
    assert not any(tmp_path.iterdir())


def test_an_output_that_cannot_be_written_is_one_line(refused, tiny, tmp_path):
    (tmp_path / "file").write_text("")
    line = refused("generate", "x", *tiny, *SHORT, "-o", tmp_path / "file" / "a.mp4")
    assert "cannot be written" in line


@pytest.mark.parametrize("piece", [("--side-by-side",), ()])
def test_reconstruct_writes_and_measures(vidgen, clip, tmp_path, piece):
    target = tmp_path / "copy.mp4"
    words = ("reconstruct", clip, "-o", target, "--autoencoder", "sora-vae/tiny", "--device", "cpu", *piece)
    result = vidgen(*words)
    assert result.exit_code == 0, result.output
    made = Video.open(target)
    assert made.size == (7, 30, 80 if piece else 40)
    assert made.fps == 12
    assert re.search(r"PSNR -?\d+\.\d\d dB, SSIM -?\d\.\d{4} over 7 frames", result.stdout)
    assert "latents 16x3x4x5: one number for 26.2 of the video's" in result.stdout
    assert "RANDOM WEIGHTS" in result.stdout


def test_reconstruct_measures_the_clip_against_its_copy(vidgen, clip, tmp_path, monkeypatch):
    """A stream that gives back what it got, in other pieces, must measure as identical."""
    import torch

    from vidgen.sampling import reconstruct as module

    def identity(part, pieces, *, tile):
        assert tile is None
        whole = torch.cat(list(pieces), dim=2)
        yield whole[:, :, :3]
        yield whole[:, :, 3:]

    monkeypatch.setattr(module, "reconstruct_stream", identity)
    result = vidgen(
        "reconstruct", clip, "-o", tmp_path / "b.mp4", "--autoencoder", "sora-vae/tiny", "--frames", "6"
    )
    assert "PSNR 100.00 dB, SSIM 1.0000 over 6 frames" in result.stdout


def test_reconstruct_refuses_bad_input(refused, clip, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    words = ("--autoencoder", "sora-vae/tiny", "-o", tmp_path / "out.mp4")
    assert "text.mp4" in refused("reconstruct", tmp_path / "text.mp4", *words)
    assert "gone.mp4" in refused("reconstruct", tmp_path / "gone.mp4", *words)
    assert "Did you mean 'sora-vae'" in refused("reconstruct", clip, "--autoencoder", "sora-vea")
    assert "unknown suffix" in refused("reconstruct", clip, "-o", "out.xyz")
    assert not (tmp_path / "out.mp4").exists()


def test_train_makes_a_model_that_generates(vidgen, recipe):
    result = vidgen("train", recipe, "--set", "train.learning_rate=1e-4", "--set", "train.optimizer=adamw")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == "wrote runs/recipe/pipeline"
    assert "from step 0 to 2" in result.stderr
    again = vidgen("train", recipe, "--steps", "3")
    assert "from step 2 to 3" in again.stderr
    check = vidgen("check", "runs/recipe/pipeline")
    assert check.stdout.splitlines()[-1] == "status: native"
    made = vidgen("generate", "x", "--model", "runs/recipe/pipeline", "--steps", "1", "-o", "x.gif")
    assert made.exit_code == 0, made.output
    assert "RANDOM" not in made.stdout


def test_a_trained_model_refuses_a_foreign_autoencoder_unless_told(vidgen, refused, recipe):
    assert vidgen("train", recipe, "--steps", "1", "--out", "run").exit_code == 0
    words = (
        "generate",
        "x",
        "--model",
        "run/pipeline",
        "--autoencoder",
        "sora-vae/tiny",
        "--steps",
        "1",
        "-o",
        "x.gif",
    )
    line = refused(*words)
    assert "autoencoder 'sora-vae'" in line
    assert "denoiser 'sora-dit'" in line
    assert "latent space" in line
    assert vidgen(*words, "--foreign").exit_code == 0


def test_train_refuses_bad_input(refused, recipe):
    assert "Did you mean 'learning_rate'" in refused("train", recipe, "--set", "train.learning_rat=1")
    assert "must be int" in refused("train", recipe, "--set", "train.steps=many")
    assert "train.FIELD=VALUE" in refused("train", recipe, "--set", "steps 3")
    assert "no recipe" in refused("train", "gone.toml")
    assert "neither a folder nor a tag" in refused("train", recipe, "--init", "nowhere")


def test_ctrl_c_keeps_a_checkpoint_and_the_same_command_goes_on(vidgen, recipe, monkeypatch):
    from vidgen.train.trainer import Trainer

    losses = Trainer._losses

    def stops(self, *args):
        if self.state.step == 0:
            os.kill(os.getpid(), signal.SIGINT)
        return losses(self, *args)

    monkeypatch.setattr(Trainer, "_losses", stops)
    result = vidgen("train", recipe, "--out", "run")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1].startswith("stopped; a checkpoint of step 1 is in run;")
    monkeypatch.setattr(Trainer, "_losses", losses)
    result = vidgen("train", recipe, "--out", "run")
    assert "from step 1 to 2" in result.stderr
    assert result.exit_code == 0


def test_changes_are_read_as_toml_or_words():
    changes = ["train.steps=100", "train.train=['autoencoder']", "train.precision=bf16", "train.pca = true"]
    assert read_changes(changes) == {"steps": 100, "train": ["autoencoder"], "precision": "bf16", "pca": True}
    for wrong in ("steps=3", "train.steps", "data.size=1", "train.=3"):
        with pytest.raises(RecipeError, match=r"train\.FIELD=VALUE"):
            read_changes([wrong])
