"""Autoencoders of diffusers: what they declare is what they do, and they do what diffusers does."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import vidgen
from vidgen.errors import ConfigError, MissingDependencyError, SizeError
from vidgen.size import Size
from vidgen.testing import check_component
from vidgen.testing.check import distance
from vidgen.testing.probe import video

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (pip install diffusers)")

SPEC = vidgen.find("autoencoder", "diffusers")
TINY = [name for name in SPEC.presets if name.startswith("tiny")]
CHECKS = [
    "latents-as-declared",
    "decoding-restores-the-size",
    "frame-rule-as-declared",
    "normalisation-is-an-affine",
    "causal-as-declared",
    "batch-does-not-matter",
    "trains",
    "copies-are-apart",
    "answers-are-repeatable",
    "saves-and-loads-equal",
]
NORMS = "Its group norms look over several frames, as published, so later ones count."
INHERENT = {
    ("tiny-hunyuan-video", "causal-as-declared"): NORMS,
    ("tiny-cogvideox", "causal-as-declared"): NORMS,
}


@pytest.mark.parametrize("name", [name for name in TINY if name != "tiny"])
def test_keeps_its_word(name: str) -> None:
    """The preset `tiny` is put to every check by tests/plugins/test_conformance.py."""
    for row in check_component("autoencoder", f"diffusers/{name}", checks=CHECKS):
        if (name, row.check) in INHERENT:
            assert row.status == "fail", f"{row.check} passes; take it out of the table"
        else:
            assert row.status in ("pass", "skip"), f"{row.check}: {row.message}"


def stirred(name: str, seed: int = 0) -> Any:
    """Return a part with no weight left as it is initialised, and with statistics where its buffers hold them."""
    torch.manual_seed(seed)
    part = vidgen.create("autoencoder", f"diffusers/{name}")
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=draw))
        for buffer_name, buffer in part.named_buffers():
            if buffer_name in ("latents_mean", "latents_std"):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=draw))
    return part


def theirs(part: Any) -> Any:
    """Return diffusers' own model with the same weights."""
    options = {name: value or None for name, value in part.config.options.items()}
    model = getattr(diffusers, part.config.model)(**options).eval()
    model.load_state_dict(part.state_dict())
    return model


def by_hand(model: Any, clip: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return latents as the pipelines of diffusers scale them, and the video that they decode those to."""
    known, name = model.config, type(model).__name__
    if name in ("AutoencoderKL", "AutoencoderKLTemporalDecoder", "AutoencoderDC"):
        frames = clip[0].transpose(0, 1)
        code = model.encode(frames)
        latents = (code.latent if name == "AutoencoderDC" else code.latent_dist.mode()) * known.scaling_factor
        extra = {"num_frames": len(frames)} if name == "AutoencoderKLTemporalDecoder" else {}
        made = model.decode(1 / known.scaling_factor * latents, **extra).sample
        return latents.transpose(0, 1)[None], made.transpose(0, 1)[None]
    if name == "AutoencoderKLAllegro":
        model.enable_tiling()
        latents = model.encode(clip).latent_dist.mode() * known.scaling_factor
        return latents, model.decode(1 / known.scaling_factor * latents).sample.permute(0, 2, 1, 3, 4)
    mode, shape = model.encode(clip).latent_dist.mode(), (1, -1, 1, 1, 1)
    if name in ("AutoencoderKLWan", "AutoencoderKLQwenImage"):
        mean, std = (
            torch.tensor(known.latents_mean).view(shape),
            1.0 / torch.tensor(known.latents_std).view(shape),
        )
        latents = (mode - mean) * std
        return latents, model.decode(latents / std + mean).sample
    if name == "AutoencoderKLMochi":
        mean, std = torch.tensor(known.latents_mean).view(shape), torch.tensor(known.latents_std).view(shape)
        latents = (mode - mean) * known.scaling_factor / std
        return latents, model.decode(latents * std / known.scaling_factor + mean).sample
    if name in ("AutoencoderKLLTXVideo", "AutoencoderKLLTX2Video"):
        mean, std = model.latents_mean.view(shape), model.latents_std.view(shape)
        latents = (mode - mean) * known.scaling_factor / std
        raw, time = latents * std / known.scaling_factor + mean, None
        if known.timestep_conditioning:
            noise = torch.randn(raw.shape, generator=draw)
            raw, time = (1 - 0.025) * raw + 0.025 * noise, torch.tensor([0.05])
            torch.manual_seed(int(torch.randint(2**62, (), generator=draw)))
        return latents, model.decode(raw, time).sample
    factor = 1.0 if name == "AutoencoderKLCosmos" else known.scaling_factor
    latents = mode * factor
    return latents, model.decode(latents / factor).sample


@pytest.mark.parametrize("name", TINY)
@torch.no_grad()
def test_as_diffusers(name: str, record_property: Any) -> None:
    part = stirred(name)
    latent = part.latent
    size = Size(24, 256, 256) if name == "tiny-allegro" else latent.pixel_size(Size(3, 2, 3))
    if name == "tiny-allegro":  # its tiles must cover the clip, else diffusers leaves it empty
        part = vidgen.create(
            "autoencoder", f"diffusers/{name}", options={**part.config.options, "sample_size": 256}
        )
    clip = video(size)
    expected, frames = by_hand(theirs(part), clip, torch.Generator().manual_seed(3))
    latents = part.encode(clip)
    made = part.decode(latents, generator=torch.Generator().manual_seed(3))
    worst = max(distance(latents, expected), distance(made, frames))
    record_property("largest_difference", worst)
    assert float(expected.std()) > 1e-3
    assert worst < 1e-5


@torch.no_grad()
def test_cogvideox_decodes_even_numbers_of_latent_frames() -> None:
    """diffusers gives 8 frames for what 5 frames were encoded to; here 5 come back."""
    part = stirred("tiny-cogvideox")
    clip = video(Size(5, 16, 16))
    latents = part.encode(clip)
    assert latents.shape[2] == 2
    assert theirs(part).decode(latents).sample.shape[2] == 8
    assert part.decode(latents).shape == clip.shape


@torch.no_grad()
def test_allegro_codes_what_its_tiles_do_not_cover() -> None:
    part = stirred("tiny-allegro")
    clip = video(Size(8, 32, 32))
    model = theirs(part)
    model.enable_tiling()
    assert float(model.encode(clip).latent_dist.mode().std(dim=(2, 3, 4)).max()) == 0  # one value all over
    assert part.encode(clip).std() > 1e-3
    options = {**part.config.options, "sample_size": 256}
    tiled = vidgen.create("autoencoder", "diffusers/tiny-allegro", options=options)
    larger = video(Size(40, 256, 256))
    assert tiled.encode(larger).shape == (1, 16, 10, 32, 32)


@pytest.mark.parametrize("name", TINY)
def test_loads_what_diffusers_writes(name: str, tmp_path: Path) -> None:
    part = stirred(name)
    model = theirs(part)
    model.save_pretrained(tmp_path)
    noise = {
        "decode_timestep": part.config.decode_timestep,
        "decode_noise_scale": part.config.decode_noise_scale,
    }
    read = vidgen.load_published("autoencoder", "diffusers", tmp_path, **noise)
    assert read.config.model == part.config.model
    assert {n: tuple(t.shape) for n, t in read.state_dict().items()} == {
        n: tuple(t.shape) for n, t in model.state_dict().items()
    }
    clip = video(part.latent.pixel_size(Size(2, 2, 2)))
    with torch.no_grad():
        assert torch.equal(read.encode(clip), part.encode(clip))
        assert distance(read.decode(read.encode(clip)), part.decode(part.encode(clip))) < 1e-5


@pytest.mark.parametrize("name", sorted({config.model for config in SPEC.presets.values()}))
def test_arguments_are_those_of_the_class(name: str) -> None:
    config = next(c for c in SPEC.presets.values() if c.model == name)
    statistics = {"latents_mean", "latents_std"}
    for field, found in inspect.signature(getattr(diffusers, name).__init__).parameters.items():
        if field == "self":
            continue
        ours = config.facts.defaults[field]
        if field in statistics and found.default is not None:
            assert isinstance(ours, str)
        else:
            assert ours == plain(found.default), field
    assert config.facts.defaults.keys() == inspect.signature(
        getattr(diffusers, name).__init__
    ).parameters.keys() - {"self"}


def plain(value: Any) -> Any:
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def test_every_class_has_a_published_and_a_tiny_preset() -> None:
    tiny = {SPEC.presets[name].model for name in TINY}
    published = {config.model for name, config in SPEC.presets.items() if name not in TINY}
    assert tiny == published
    assert len(tiny) == 14


def test_ten_tiny_ones_have_sixteen_channels() -> None:
    assert {SPEC.presets[name].contract().latent.channels for name in TINY} == {16}
    assert len({SPEC.presets[name].model for name in TINY}) >= 10


@pytest.mark.parametrize(
    ("preset", "millions"),
    [("wan-2.1", 126.9), ("hunyuan-video", 246.5), ("cogvideox-2b", 215.6), ("ltx-0.9.0", 419.2), ("mochi-1", 459.7),
     ("allegro", 175.0)],
)  # fmt: skip
def test_full_size_presets_have_the_published_size(preset: str, millions: float) -> None:
    with torch.device("meta"):
        part = vidgen.create("autoencoder", f"diffusers/{preset}")
    assert round(sum(p.numel() for p in part.parameters()) / 1e6, 1) == millions


@torch.no_grad()
def test_cosmos_normalises_each_frame_by_its_own_statistics() -> None:
    options = {**SPEC.presets["tiny-cosmos"].options}
    mean, std = torch.rand(16, 3), 0.5 + torch.rand(16, 3)
    plain_part = stirred("tiny-cosmos")
    part = vidgen.create(
        "autoencoder", "diffusers/tiny-cosmos",
        options={**options, "latents_mean": mean.flatten().tolist(), "latents_std": std.flatten().tolist()},
    )  # fmt: skip
    part.load_state_dict(plain_part.state_dict())
    clip = video(Size(17, 16, 16))
    shape = (1, 16, 3, 1, 1)
    expected = (plain_part.encode(clip) - mean.view(shape)) / std.view(shape)
    assert torch.allclose(part.encode(clip), expected, atol=1e-5)
    assert part.normalisation() is None
    with pytest.raises(SizeError, match="normalisation of 17 frames"):
        part.encode(video(Size(25, 16, 16)))


def test_ltx_draws_its_noise_from_the_generator() -> None:
    part = stirred("tiny-ltx-0.9.1")
    latents = torch.randn(1, 16, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    one, again, other = (part.decode(latents, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "under _class_name; it is missing"),
        ({"_class_name": "AutoencoderVidTok"}, "drops frames.*Supported: AutoencoderDC"),
        ({"_class_name": "AutoencoderKLWann"}, "Did you mean 'AutoencoderKLWan'"),
        ({"_class_name": "AutoencoderKLWan", "z_dims": 4}, "Did you mean 'z_dim'"),
        ({"_class_name": "AutoencoderKLMochi", "in_channels": 16}, "three colours"),
        (
            {"_class_name": "AutoencoderKLCogVideoX", "shift_factor": 1.0},
            "'shift_factor'|shift_factor is implemented",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SPEC.config.from_published(data, ())


def test_noise_is_for_decoders_that_take_it() -> None:
    with pytest.raises(ConfigError, match="timestep_conditioning"):
        SPEC.config(decode_timestep=0.1)


def test_without_diffusers_parts_are_listed_and_checked_and_making_one_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    assert SPEC.preset("tiny").contract().latent.channels == 16
    with pytest.raises(MissingDependencyError, match=r"pip install -U 'vidgen-components\[diffusers\]'"):
        vidgen.create("autoencoder", "diffusers/tiny")
    with pytest.raises(MissingDependencyError, match=r"vidgen-components\[diffusers\]"):
        vidgen.create("scheduler", "diffusers/tiny")
