"""Images and videos trained together: one recipe, a table of single frames beside a table of clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vidgen
from vidgen.errors import SizeError
from vidgen.train.config import TrainRecipe
from vidgen.train.trainer import Trainer
from vidgen.video import Video

IMAGE, CLIP = vidgen.Size(1, 32, 32), vidgen.Size(5, 32, 32)
AUTOENCODERS = vidgen.list_components("autoencoder")


def latent_of(name):
    return vidgen.find("autoencoder", name).preset("tiny").contract().latent


BOTH = [name for name in AUTOENCODERS if latent_of(name).fits(IMAGE)]
CLIPS_ONLY = [name for name in AUTOENCODERS if name not in BOTH]


@pytest.fixture
def recipe(tmp_path):
    """Write a recipe whose two tables read one folder with a PNG, a JPEG and an MP4."""
    folder = tmp_path / "media"
    folder.mkdir()
    chance = np.random.default_rng(0)
    for name, frames in (("a.png", 1), ("b.jpg", 1), ("c.mp4", 12)):
        pixels = chance.integers(0, 255, (frames, 40, 48, 3), dtype=np.uint8)
        Video.from_numpy(pixels, fps=8).save(folder / name)

    def write(train, sizes=(IMAGE, CLIP), **parts):
        slots = "".join(f'{kind} = "{name}"\n' for kind, name in parts.items())
        tables = "".join(
            f'[[data]]\nname = "folder"\nsize = "{size}"\nbatch = {batch}\nconfig = {{ path = "{folder}" }}\n'
            for size, batch in zip(sizes, (3, 1), strict=True)
        )
        settings = f'[train]\ntrain = ["{train}"]\nsteps = 4\nprecision = "fp32"\nwarmup = 1\nlog_every = 1\n'
        path = tmp_path / "recipe.toml"
        path.write_text(slots + settings + tables)
        return path

    return write


def trained(recipe, folder, monkeypatch):
    """Train a recipe; return the folder of the result and the shapes of the batches that it learned from."""
    seen = []
    losses = Trainer._losses

    def noting(self, model, batch, part):
        found = losses(self, model, batch, part)
        assert all(loss.isfinite() for loss in found.values())
        seen.append(tuple(batch[0].video.shape))
        return found

    monkeypatch.setattr(Trainer, "_losses", noting)
    trainer = Trainer(TrainRecipe.load(recipe), folder)
    before = {name: tensor.detach().clone() for name, tensor in trainer.state.named}
    result = trainer.run()
    assert any(not torch.equal(before[name], tensor) for name, tensor in trainer.state.named)
    return result, seen


def test_there_are_autoencoders_of_both_kinds():
    assert {"kl-vae", "wf-vae"} <= set(BOTH)
    assert CLIPS_ONLY


@pytest.mark.parametrize("name", BOTH)
def test_an_autoencoder_learns_from_both(name, recipe, tmp_path, monkeypatch):
    path = recipe("autoencoder", autoencoder=f"{name}/tiny")
    result, seen = trained(path, tmp_path / "run", monkeypatch)
    assert set(seen) == {(3, 3, *IMAGE), (1, 3, *CLIP)}
    part = vidgen.create("autoencoder", name, weights=result)
    for size in (IMAGE, CLIP):
        assert part.decode(part.encode(torch.zeros(1, 3, *size))).shape == (1, 3, *size)


@pytest.mark.parametrize("name", vidgen.list_components("denoiser"))
@pytest.mark.parametrize("autoencoder", ["kl-vae", "wf-vae"])
def test_a_denoiser_learns_from_both(name, autoencoder, recipe, tmp_path, monkeypatch):
    parts = {"autoencoder": f"{autoencoder}/tiny", "denoiser": f"{name}/tiny", "text_encoder": "words/tiny"}
    path = recipe("denoiser", **parts, scheduler="euler")
    result, seen = trained(path, tmp_path / "run", monkeypatch)
    assert set(seen) == {(3, 3, *IMAGE), (1, 3, *CLIP)}
    pipe = vidgen.load(result)
    for size in (IMAGE, CLIP):
        frames, height, width = size
        made = pipe("", frames=frames, height=height, width=width, steps=1, guidance=1, seed=0)
        assert made.size == size


@pytest.mark.parametrize("name", CLIPS_ONLY)
@pytest.mark.parametrize("train", ["autoencoder", "denoiser"])
def test_images_are_refused_at_load_by_autoencoders_that_take_none(name, train, recipe):
    clip = latent_of(name).pixel_size(vidgen.Size(1, 4, 4))
    image = clip._replace(frames=1)
    others = {"denoiser": "sora-dit/tiny", "text_encoder": "words/tiny", "scheduler": "euler"}
    parts = {"autoencoder": f"{name}/tiny"} | (others if train == "denoiser" else {})
    TrainRecipe.load(recipe(train, sizes=(clip, clip), **parts))
    with pytest.raises(SizeError) as refused:
        TrainRecipe.load(recipe(train, sizes=(clip, image), **parts))
    assert str(refused.value) == (
        f"data[1] (folder {image}): the autoencoder {name!r} takes no single images; take {clip}."
    )


def test_sizes_beyond_the_denoiser_are_refused_at_load(recipe, scratch_registry):
    @vidgen.register("denoiser", "short-sighted")
    class ShortSighted(vidgen.Denoiser):
        """At most one latent frame."""

        def __init__(self, width: int = 8) -> None:
            super().__init__()

        @staticmethod
        def contract(config):
            return config.base_contract(max_latent=vidgen.Size(1, 8, 8))

        def prepare(self, text, condition, size): ...

        def forward(self, x, time, prepared): ...

    parts = {"autoencoder": "wf-vae/tiny", "denoiser": "short-sighted", "text_encoder": "words/tiny"}
    path = recipe("denoiser", **parts, scheduler="euler")
    with pytest.raises(
        SizeError, match=r"data\[1\] \(folder 5x32x32\): the denoiser 'short-sighted' makes at most 1x64x64"
    ):
        TrainRecipe.load(path)
