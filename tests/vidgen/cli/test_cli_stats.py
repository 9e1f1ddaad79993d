"""``vidgen stats``: what it prints is what the library measures, and what it writes is normalised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib

import numpy as np
import pytest
import torch

import vidgen as library
from vidgen.train.config import TrainRecipe
from vidgen.video import Video

SHORT = ("--size", "5x16x16", "--samples", "6", "--batch", "4", "--device", "cpu")
SIZE = library.Size(5, 16, 16)


def kinetic(indices):
    world = library.create("data_set", "kinetic")
    return torch.cat([Video.from_numpy(world.sample(i, SIZE).video, fps=16).tensor() for i in indices])


@pytest.fixture
def media(tmp_path):
    folder = tmp_path / "media"
    folder.mkdir()
    chance = np.random.default_rng(0)
    for name in ("a.png", "b.jpg"):
        Video.from_numpy(chance.integers(0, 255, (1, 20, 24, 3), dtype=np.uint8), fps=1).save(folder / name)
    return folder


def test_it_prints_what_the_library_measures(vidgen):
    result = vidgen("stats", "kl-vae/tiny", "kinetic", *SHORT, "--seed", "3", "--json")
    assert result.exit_code == 0, result.output
    page = json.loads(result.stdout)
    torch.manual_seed(3)
    part = library.create("autoencoder", "kl-vae/tiny")
    found = library.latent_statistics(part, [kinetic(range(18, 24))])
    assert page["mean"] == pytest.approx(found.mean.tolist(), rel=1e-4, abs=1e-6)
    assert page["std"] == pytest.approx(found.std.tolist(), rel=1e-4)
    assert page["latent_scale"] == pytest.approx((1 / found.std).tolist(), rel=1e-4)
    assert page["overall"]["factor"] == pytest.approx(found.factor, rel=1e-4)
    assert (page["videos"], page["values"], page["size"]) == (6, 6 * 5 * 2 * 2, "5x16x16")
    assert "RANDOM WEIGHTS" in result.stderr


def test_the_lines_for_a_recipe_normalise(vidgen, tmp_path):
    result = vidgen("stats", "wf-vae/tiny", "kinetic", *SHORT)
    assert result.exit_code == 0, result.output
    assert "6 videos 5x16x16 of kinetic, 48 values a channel" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("RANDOM WEIGHTS")
    *_, shift, scale, _ = result.stdout.splitlines()
    lines = tomllib.loads(f"{shift}\n{scale}")
    assert lines.keys() == {"latent_shift", "latent_scale"}
    path = tmp_path / "recipe.toml"
    path.write_text(
        f"[autoencoder]\nname = 'wf-vae'\npreset = 'tiny'\n[autoencoder.config]\n{shift}\n{scale}\n"
        "[train]\ntrain = ['autoencoder']\n[[data]]\nname = 'kinetic'\nsize = '5x16x16'\n"
    )
    settings = TrainRecipe.load(path).slots["autoencoder"].config
    torch.manual_seed(0)  # the default seed makes the same random weights again
    part = library.create("autoencoder", "wf-vae", config=settings)
    with torch.no_grad():
        latents = part.encode(kinetic(range(6))).transpose(0, 1).flatten(1)
    assert latents.mean(dim=1).abs().max() < 1e-3
    assert (latents.std(dim=1, correction=0) - 1).abs().max() < 1e-3


@pytest.mark.parametrize("name", ["sora-vae/tiny", "kl-vae/tiny"])
def test_what_it_writes_is_normalised_and_loads(vidgen, tmp_path, name):
    folder = tmp_path / "deep" / "part"
    result = vidgen("stats", name, "kinetic", *SHORT, "-o", folder)
    assert result.exit_code == 0, result.output
    assert f"wrote {folder}" in result.stdout
    assert ("latent_scale" in result.stdout) == (name == "kl-vae/tiny")
    bare = name.partition("/")[0]
    part = library.create("autoencoder", bare, weights=folder)
    with torch.no_grad():
        latents = part.encode(kinetic(range(6))).transpose(0, 1).flatten(1)
    assert latents.mean(dim=1).abs().max() < 1e-3
    assert (latents.std(dim=1, correction=0) - 1).abs().max() < 1e-3
    assert [path.name for path in folder.parent.iterdir()] == ["part"]
    again = vidgen("stats", f"{bare}@{folder}", "kinetic", *SHORT, "-o", folder)  # over itself
    assert again.exit_code == 0, again.output
    assert "RANDOM" not in again.stdout


def test_another_normalisation_is_another_space(vidgen, tmp_path):
    shipped = library.create("autoencoder", "sora-vae@kinetic")
    result = vidgen("stats", "sora-vae@kinetic", "kinetic", *SHORT, "-o", tmp_path / "part")
    assert result.exit_code == 0, result.output
    part = library.create("autoencoder", "sora-vae", weights=tmp_path / "part")
    assert part.latent.space.startswith("sora-vae-")
    assert part.latent.space != shipped.latent.space
    assert part.latent.space in result.stdout


def test_a_folder_of_images_is_measured_image_by_image(vidgen, refused, media):
    words = ("kl-vae/tiny", media, "--samples", "2", "--device", "cpu")
    result = vidgen("stats", *words)
    assert result.exit_code == 0, result.output
    assert "2 videos 1x256x256" in result.stdout
    assert "no clip has 3 frames" in refused("stats", *words, "--size", "3x16x16")


def test_the_usual_size_fits_every_rule(vidgen):
    result = vidgen("stats", "videogpt-vqvae/tiny", "kinetic", "--samples", "1", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "1 videos 16x256x256" in result.stdout
    assert "warning: Latent channels" in result.stderr  # random codes: all vectors choose the same one
    assert "single video" in result.stdout


def test_bad_input_is_refused_before_the_work(refused, media, tmp_path, monkeypatch):
    import vidgen.train.statistics as module

    monkeypatch.setattr(module, "latent_statistics", lambda *_: pytest.fail("the work began"))
    words = ("stats", "kl-vae/tiny", "kinetic")
    assert "Did you mean 'kl-vae'" in refused("stats", "kl-vea", "kinetic")
    assert "Did you mean 'kinetic'" in refused("stats", "kl-vae/tiny", "kinetci")
    assert "is a file, not a folder" in refused("stats", "kl-vae/tiny", media / "a.png", *SHORT)
    assert "such as 17x64x64" in refused(*words, "--size", "big")
    assert "takes no 5x17x16" in refused(*words, "--size", "5x17x16")
    assert "--device nowhere" in refused(*words, "--size", "5x16x16", "--device", "nowhere")
    assert "--samples" in refused(*words, "--samples", "0")
    assert "not written by vidgen" in refused(*words, *SHORT, "-o", media)
    (tmp_path / "pipe").mkdir()
    (tmp_path / "pipe" / "recipe.toml").write_text("")
    assert "holds a pipeline" in refused(*words, *SHORT, "-o", tmp_path / "pipe")
    assert (tmp_path / "pipe" / "recipe.toml").exists()


def test_it_never_takes_the_place_of_another_part(vidgen, refused, tmp_path):
    assert vidgen("stats", "sora-vae/tiny", "kinetic", *SHORT, "-o", tmp_path / "part").exit_code == 0
    line = refused("stats", "kl-vae/tiny", "kinetic", *SHORT, "-o", tmp_path / "part")
    assert "holds autoencoder 'sora-vae', not autoencoder 'kl-vae'" in line


def test_parts_without_normalisation_say_what_to_implement(refused, scratch_registry):
    @library.register("autoencoder", "plain")
    class Plain(library.VideoAutoencoder):
        def __init__(self, channels: int = 3) -> None:
            super().__init__()

        @staticmethod
        def contract(config):
            latent = library.LatentSpec(
                space="", channels=config.channels, time_stride=1, space_stride=1, frame_rule="any"
            )
            return library.AutoencoderContract(latent=latent)

        def encode(self, video):
            return video

        def decode(self, latents, *, generator=None):
            return latents

        def forward_train(self, video):
            return video, {}

    line = refused("stats", "plain", "kinetic", *SHORT)
    assert "needs normalisation() and set_normalisation(mean, std)" in line


def test_as_a_process_of_its_own(tmp_path):
    def run(*words):
        command = [sys.executable, "-c", "from vidgen.cli import main; main()", "stats", *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            command, capture_output=True, text=True, timeout=240, cwd=tmp_path, env=environment
        )

    done = run("sora-vae/tiny", "kinetic", *SHORT, "--json", "-o", "part")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"] == "part"
    assert (tmp_path / "part" / "model.safetensors").exists()
    done = run("sora-vae/tiny", "kinetic", "--size", "4x16x16")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith("error: ")
