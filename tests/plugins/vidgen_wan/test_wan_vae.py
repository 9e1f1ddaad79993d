"""Wan's autoencoder against diffusers', from the same random weights."""

from __future__ import annotations

import itertools

import pytest
import torch

import vidgen
from vidgen.errors import CheckpointError, ConfigError

diffusers = pytest.importorskip("diffusers")

SIZES = {
    "tiny": {"base_dim": 3, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1},
    "levels": {"base_dim": 4, "dim_mult": [1, 2, 4, 4], "num_res_blocks": 2},
    "lopsided": {"base_dim": 4, "decoder_base_dim": 6, "dim_mult": [1, 2, 2, 2], "num_res_blocks": 1},
    "other strides": {
        "base_dim": 4,
        "dim_mult": [1, 2, 2],
        "num_res_blocks": 1,
        "temperal_downsample": [True, False],
        "scale_factor_temporal": 2,
        "scale_factor_spatial": 4,
    },
}


def reference(**sizes):
    torch.manual_seed(0)
    return diffusers.AutoencoderKLWan(
        **{"z_dim": 16, "temperal_downsample": [False, True, True], **sizes}
    ).eval()


@pytest.fixture(params=["tiny", "levels", "lopsided"])
def pair(request, tmp_path):
    theirs = reference(**SIZES[request.param])
    theirs.save_pretrained(tmp_path)
    return theirs, vidgen.load_published("autoencoder", "wan-vae", tmp_path)


@torch.inference_mode()
@pytest.mark.parametrize("frames", [1, 5, 17])
def test_it_equals_the_reference(pair, frames):
    """In float32 against the reference in float64: what two roundings differ by is not measured twice."""
    theirs, ours = pair[0].double(), pair[1]
    generator = torch.Generator().manual_seed(frames)
    video = torch.rand(2, 3, frames, 24, 32, generator=generator) * 2 - 1
    latents = torch.randn(2, 16, (frames + 3) // 4, 3, 4, generator=generator)
    expected = theirs.encode(video.double()).latent_dist.mode()
    torch.testing.assert_close(ours.raw_latents(video).double(), expected, atol=1e-5, rtol=0)
    expected = theirs.decode(latents.double()).sample
    torch.testing.assert_close(ours.pixels(latents).double(), expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_it_normalises_as_the_pipeline_does(pair):
    theirs, ours = pair[0].double(), pair[1].double()
    video = torch.rand(1, 3, 5, 16, 16, dtype=torch.float64) * 2 - 1
    mean, std = (
        torch.tensor(getattr(theirs.config, name), dtype=torch.float64).view(1, -1, 1, 1, 1)
        for name in ("latents_mean", "latents_std")
    )
    expected = (theirs.encode(video).latent_dist.mode() - mean) / std
    torch.testing.assert_close(ours.encode(video), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        ours.decode(expected), theirs.decode(expected * std + mean).sample, atol=1e-5, rtol=0
    )


@torch.inference_mode()
@pytest.mark.parametrize("frames", [1, 5, 9, 13, 33, 93])
def test_streams_are_exact_at_every_length(frames):
    ours = vidgen.create("autoencoder", "wan-vae/tiny")
    video = torch.rand(1, 3, frames, 16, 16) * 2 - 1
    latents = ours.encode(video)
    for size in (1, 3, 8):
        streamed = torch.cat(list(ours.encode_stream(video.split(size, dim=2))), dim=2)
        torch.testing.assert_close(streamed, latents, atol=1e-5, rtol=0)
        back = torch.cat(list(ours.decode_stream(latents.split(size, dim=2))), dim=2)
        torch.testing.assert_close(back, ours.decode(latents), atol=1e-5, rtol=0)


def test_training_computes_what_inference_does():
    ours = vidgen.create("autoencoder", "wan-vae/tiny")
    video = torch.rand(1, 3, 9, 16, 16) * 2 - 1
    with torch.no_grad():
        pieces = ours.raw_latents(video)
    whole = ours.raw_latents(video)
    torch.testing.assert_close(whole, pieces, atol=1e-5, rtol=0)
    whole.square().mean().backward()
    assert all(p.grad is not None for p in ours.encoder.parameters())


def original_names(config) -> dict[str, str]:
    """Return the original repository's names of all tensors, each with ours, spelled out from its own structure."""
    names = {}

    def block(theirs, ours, *, shortcut):
        for a, b in (("residual.0", "norm1"), ("residual.3", "norm2")):
            names[f"{theirs}.{a}.gamma"] = f"{ours}.{b}.gamma"
        pairs = [("residual.2", "conv1"), ("residual.6", "conv2")] + [
            ("shortcut", "conv_shortcut")
        ] * shortcut
        for (a, b), leaf in itertools.product(pairs, ("weight", "bias")):
            names[f"{theirs}.{a}.{leaf}"] = f"{ours}.{b}.{leaf}"

    def leaves(theirs, ours):
        for leaf in ("weight", "bias"):
            names[f"{theirs}.{leaf}"] = f"{ours}.{leaf}"

    widths = [config.width * m for m in (1, *config.multiples)]
    number = 0
    for level in range(len(config.multiples)):
        for depth in range(config.depth):
            changes = depth == 0 and widths[level] != widths[level + 1]
            block(f"encoder.downsamples.{number}", f"encoder.down_blocks.{number}", shortcut=changes)
            number += 1
        if level < len(config.time_levels):
            leaves(f"encoder.downsamples.{number}.resample.1", f"encoder.down_blocks.{number}.resample.1")
            if config.time_levels[level]:
                leaves(f"encoder.downsamples.{number}.time_conv", f"encoder.down_blocks.{number}.time_conv")
            number += 1
    down = [config.width * m for m in (config.multiples[-1], *reversed(config.multiples))]
    number = 0
    for level, time in enumerate([*reversed(config.time_levels), None]):
        inputs = down[level] if level == 0 else down[level] // 2
        for depth in range(config.depth + 1):
            changes = depth == 0 and inputs != down[level + 1]
            block(
                f"decoder.upsamples.{number}", f"decoder.up_blocks.{level}.resnets.{depth}", shortcut=changes
            )
            number += 1
        if time is not None:
            leaves(
                f"decoder.upsamples.{number}.resample.1", f"decoder.up_blocks.{level}.upsamplers.0.resample.1"
            )
            if time:
                leaves(
                    f"decoder.upsamples.{number}.time_conv",
                    f"decoder.up_blocks.{level}.upsamplers.0.time_conv",
                )
            number += 1
    for side in ("encoder", "decoder"):
        leaves(f"{side}.conv1", f"{side}.conv_in")
        names[f"{side}.head.0.gamma"] = f"{side}.norm_out.gamma"
        leaves(f"{side}.head.2", f"{side}.conv_out")
        for index, ours in ((0, "resnets.0"), (2, "resnets.1")):
            block(f"{side}.middle.{index}", f"{side}.mid_block.{ours}", shortcut=False)
        names[f"{side}.middle.1.norm.gamma"] = f"{side}.mid_block.attentions.0.norm.gamma"
        for leaf in ("to_qkv", "proj"):
            leaves(f"{side}.middle.1.{leaf}", f"{side}.mid_block.attentions.0.{leaf}")
    leaves("conv1", "quant_conv")
    leaves("conv2", "post_quant_conv")
    return names


def test_the_original_names_are_read():
    from vidgen_wan.names import autoencoder_names

    for preset in ("2.1", "tiny"):
        config = vidgen.find("autoencoder", "wan-vae").presets[preset]
        with torch.device("meta"):
            part = vidgen.create("autoencoder", f"wan-vae/{preset}")
        table = original_names(config)
        assert autoencoder_names(table.keys(), config) == table
        assert set(table.values()) == set(part.state_dict())


def test_the_original_checkpoint_loads_from_its_one_pickle(tmp_path):
    """`Wan2.1_VAE.pth` stands alone: without a config.json it is Wan 2.1's, by width too."""
    config = vidgen.find("autoencoder", "wan-vae").presets["2.1"]
    part = vidgen.create("autoencoder", "wan-vae/2.1", width=8)
    back = {ours: theirs for theirs, ours in original_names(config.replace(width=8)).items()}
    torch.save({back[name]: tensor for name, tensor in part.state_dict().items()}, tmp_path / "vae.pth")
    again = vidgen.load_published("autoencoder", "wan-vae", tmp_path, width=8)
    assert all(
        torch.equal(a, b)
        for a, b in zip(part.state_dict().values(), again.state_dict().values(), strict=True)
    )
    with pytest.raises(CheckpointError, match="other shapes"):
        vidgen.load_published("autoencoder", "wan-vae", tmp_path)


def test_wan_2_2s_residual_autoencoder_is_refused(tmp_path):
    reference(base_dim=4, dim_mult=[1, 2, 2, 2], num_res_blocks=1, is_residual=True).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="is_residual"):
        vidgen.load_published("autoencoder", "wan-vae", tmp_path)


def test_full_size():
    with torch.device("meta"):
        part = vidgen.create("autoencoder", "wan-vae/2.1")
    assert round(sum(p.numel() for p in part.parameters()) / 1e6, 1) == 126.9
