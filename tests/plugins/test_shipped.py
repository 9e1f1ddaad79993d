"""Weights that ship: every tag holds parts that load, small ones, and autoencoders that know the kinetic world."""

from __future__ import annotations

import pytest
import torch

import vidgen
from vidgen.checkpoint import pretrained_folder
from vidgen.errors import CheckpointError
from vidgen.metrics import psnr
from vidgen.sampling.reconstruct import reconstruct
from vidgen.video import Video

TAGS = vidgen.list_components("pretrained")
SMALL = ("videogpt-vqvae", "wf-vae")
"""Tags that hold one autoencoder, of their own name."""


@pytest.mark.parametrize("tag", TAGS)
def test_it_holds_parts_with_a_card(tag):
    folder = pretrained_folder(tag)
    assert (folder / "README.md").is_file()
    parts = [folder] if (folder / "config.json").exists() else [p for p in folder.iterdir() if p.is_dir()]
    assert parts
    assert all((part / "model.safetensors").is_file() for part in parts)


@pytest.mark.parametrize("tag", SMALL)
def test_small_autoencoders_are_small_and_native_to_their_name(tag):
    part = vidgen.create("autoencoder", f"{tag}@{tag}")
    assert part.origin == tag
    assert part.latent.space.startswith(tag)
    assert sum(path.stat().st_size for path in pretrained_folder(tag).iterdir()) <= 8e6
    with pytest.raises(CheckpointError, match="no pipeline"):
        vidgen.load(tag)


@pytest.mark.parametrize("name", ["sora-vae@kinetic", *(f"{tag}@{tag}" for tag in SMALL)])
def test_autoencoders_bring_the_kinetic_world_back(name):
    part = vidgen.create("autoencoder", name)
    data = vidgen.create("data_set", "kinetic")
    clip = Video(data.sample(3, vidgen.Size(17, 64, 64)).video)
    copy = reconstruct(part, clip)
    grey = Video(
        clip.numpy()
        .mean(axis=(0, 1, 2), keepdims=True)
        .repeat(17, 0)
        .repeat(64, 1)
        .repeat(64, 2)
        .astype("uint8")
    )
    assert float(psnr(copy, clip)) > float(psnr(grey, clip)) + 5
    with torch.inference_mode():
        latents = part.encode(clip[:16].tensor() if part.latent.frame_rule == "multiple" else clip.tensor())
    assert 0.3 < float(latents.std()) < 3
