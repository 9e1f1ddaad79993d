"""Latte against diffusers' LatteTransformer3DModel, and what diffusers cannot be asked."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import vidgen
from vidgen.errors import CheckpointError, ConfigError, SizeError
from vidgen.interfaces import Condition, TextEmbedding
from vidgen.size import Size

TINY: dict[str, Any] = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "in_channels": 4,
    "out_channels": 8,
    "num_layers": 2,
    "cross_attention_dim": 24,
    "attention_bias": True,
    "sample_size": 8,
    "patch_size": 2,
    "activation_fn": "gelu-approximate",
    "num_embeds_ada_norm": 1000,
    "norm_type": "ada_norm_single",
    "norm_elementwise_affine": False,
    "norm_eps": 1e-6,
    "caption_channels": 10,
    "video_length": 4,
}
SETTINGS: dict[str, tuple[dict[str, Any], Size]] = {
    "as trained": ({}, Size(4, 8, 8)),
    "odd frames": ({"video_length": 5}, Size(5, 8, 8)),
    "sixteen frames": ({"video_length": 16, "num_layers": 1}, Size(16, 4, 4)),
    "image": ({}, Size(1, 8, 8)),
    "image, another size": ({}, Size(1, 12, 6)),
    "wide": ({}, Size(4, 6, 10)),
    "high": ({}, Size(4, 14, 4)),
    "one row": ({}, Size(4, 2, 10)),
    "larger side": ({"sample_size": 16}, Size(4, 8, 8)),
    "side 128, stretched by 2": ({"sample_size": 128}, Size(4, 6, 10)),
    "odd side": ({"sample_size": 9}, Size(4, 8, 8)),
    "patch 1": ({"patch_size": 1}, Size(4, 5, 7)),
    "patch 4": ({"patch_size": 4, "sample_size": 16}, Size(4, 8, 16)),
    "no learned variance": ({"out_channels": 4}, Size(4, 8, 6)),
    "no output channels named": ({"out_channels": None}, Size(4, 8, 6)),
    "other heads, deeper": (
        {"num_attention_heads": 3, "attention_head_dim": 16, "cross_attention_dim": 48, "num_layers": 4},
        Size(4, 8, 8),
    ),
    "three channels": ({"in_channels": 3, "out_channels": 6}, Size(4, 8, 8)),
}
INDEX = torch.tensor([3, 871])


def diffusers() -> Any:
    return pytest.importorskip(
        "diffusers", reason="diffusers, the reference of Latte, is not installed (pip install diffusers)"
    )


@torch.no_grad()
def reference(**changes: Any) -> Any:
    """Return diffusers' model with no weight left as it is initialised."""
    model = diffusers().LatteTransformer3DModel(**{**TINY, **changes}).eval()
    draw = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        fan = parameter[0].numel() if parameter.ndim > 1 else 4
        parameter.copy_(1.5 * fan**-0.5 * torch.randn(parameter.shape, generator=draw))
    return model


def ask(size: Size, channels: int = 4, seed: int = 1) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {
        "hidden_states": torch.randn(2, channels, *size, generator=draw),
        "timestep": INDEX,
        "encoder_hidden_states": torch.randn(2, 7, 10, generator=draw),
    }


def differ(made: Tensor, expected: Tensor) -> float:
    assert made.shape == expected.shape
    assert float(expected.std()) > 0.1, "the comparison would mean little"
    return float((made - expected).abs().max())


@pytest.mark.parametrize("name", SETTINGS)
def test_as_diffusers(name: str, tmp_path: Path, record_property: Any) -> None:
    changes, size = SETTINGS[name]
    model = reference(**changes)
    model.save_pretrained(tmp_path)
    part = vidgen.load_published("denoiser", "latte", tmp_path)
    inputs = ask(size, model.config.in_channels)
    with torch.inference_mode():
        expected = model(**inputs).sample
        made = part.published_forward(**inputs)["sample"]
        text = TextEmbedding(inputs["encoder_hidden_states"], torch.ones(2, 7, dtype=torch.bool), None)
        prepared = part.prepare(text, Condition(), size)
        ours = part(inputs["hidden_states"], (INDEX + 1).double() / 1000, prepared)
    worst = differ(made, expected)
    record_property("largest_difference", worst)
    assert worst < 1e-4
    both = [ours.value] if ours.log_variance is None else [ours.value, ours.log_variance]
    assert (ours.log_variance is not None) == (expected.shape[1] == 2 * model.config.in_channels)
    assert differ(torch.cat(both, dim=1), expected) < 1e-4


@pytest.mark.parametrize("frames", [1, 4])
def test_padded_text_as_diffusers(frames: int, tmp_path: Path) -> None:
    """diffusers takes a mask only as it is repeated over the frames."""
    model = reference()
    model.save_pretrained(tmp_path)
    part = vidgen.load_published("denoiser", "latte", tmp_path)
    inputs, keep = ask(Size(frames, 8, 6)), torch.ones(2, 7, dtype=torch.bool)
    keep[0, 5:] = keep[1, 2:] = False
    with torch.inference_mode():
        expected = model(**inputs, encoder_attention_mask=keep.repeat_interleave(frames, dim=0)).sample
        plain = part.published_forward(**inputs)["sample"]
        assert (
            differ(part.published_forward(**inputs, encoder_attention_mask=keep)["sample"], expected) < 1e-4
        )
        inputs["encoder_hidden_states"] = inputs["encoder_hidden_states"].masked_fill(~keep[..., None], 50.0)
        assert (
            differ(part.published_forward(**inputs, encoder_attention_mask=keep.long())["sample"], expected)
            < 1e-4
        )
    assert differ(plain, expected) > 1e-2


@pytest.mark.parametrize("frames", [2, 3, 7])
def test_other_lengths_keep_the_distance_of_frames(frames: int, tmp_path: Path) -> None:
    """diffusers refuses lengths it was not built for; built for them, with the same weights, it agrees."""
    model = reference()
    model.save_pretrained(tmp_path)
    part = vidgen.load_published("denoiser", "latte", tmp_path)
    inputs = ask(Size(frames, 8, 6))
    with torch.inference_mode():
        with pytest.raises(RuntimeError):
            model(**inputs)
        assert (
            differ(
                part.published_forward(**inputs)["sample"], reference(video_length=frames)(**inputs).sample
            )
            < 1e-4
        )


def test_stretched_time_as_diffusers_with_a_stretched_table(tmp_path: Path) -> None:
    model = reference(video_length=7)
    model.save_pretrained(tmp_path)
    part = vidgen.load_published("denoiser", "latte", tmp_path, interpolation=(3.0, 1.0))
    inputs = ask(Size(7, 8, 6))
    with torch.inference_mode():
        plain = model(**inputs).sample
        table = diffusers().models.embeddings.get_1d_sincos_pos_embed_from_grid(24, torch.arange(7) / 3)
        model.temp_pos_embed.copy_(table)
        made = part.published_forward(**inputs)["sample"]
        assert differ(made, model(**inputs).sample) < 1e-4
    assert differ(made, plain) > 1e-2


def test_sizes_that_the_patch_does_not_divide_are_made_whole() -> None:
    part = vidgen.create("denoiser", "latte/tiny", latent_channels=4, text_width=10)
    torch.nn.init.normal_(part.proj_out.weight)
    inputs = ask(Size(3, 8, 6))
    cut = {**inputs, "hidden_states": inputs["hidden_states"][..., :7, :5]}
    with torch.inference_mode():
        made = part.published_forward(**cut)["sample"]
        assert made.shape == (2, 8, 3, 7, 5)
        whole = torch.nn.functional.pad(cut["hidden_states"], (0, 1, 0, 1, 0, 0), mode="replicate")
        assert torch.equal(
            made, part.published_forward(**{**inputs, "hidden_states": whole})["sample"][..., :7, :5]
        )


def test_names_and_shapes_at_full_size() -> None:
    published = {
        **TINY,
        "num_attention_heads": 16,
        "attention_head_dim": 72,
        "num_layers": 28,
        "cross_attention_dim": 1152,
        "sample_size": 64,
        "caption_channels": 4096,
        "video_length": 16,
    }
    with torch.device("meta"):
        theirs = diffusers().LatteTransformer3DModel(**published)
        ours = vidgen.create("denoiser", "latte/xl-122")
    assert {name: tuple(value.shape) for name, value in ours.state_dict().items()} == {
        name: tuple(value.shape) for name, value in theirs.state_dict().items()
    }
    assert [name for name, _ in ours.named_buffers()] == []
    preset = vidgen.find("denoiser", "latte").preset("xl-122")
    assert preset == type(preset).from_published(published, [])


def config(**changes: Any) -> Any:
    return vidgen.find("denoiser", "latte").config.from_published({**TINY, **changes}, [])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm_type": "ada_norm_zero"}, "'norm_type' is implemented for 'ada_norm_single'"),
        ({"activation_fn": "geglu"}, "'activation_fn'"),
        ({"attention_bias": False}, "'attention_bias'"),
        ({"norm_elementwise_affine": True}, "'norm_elementwise_affine'"),
        ({"norm_eps": 1e-5}, "'norm_eps'"),
        ({"use_rope": True}, "'use_rope'"),
        ({"compress_kv_factor": 2}, "'compress_kv_factor'"),
        ({"num_layer": 3}, "Did you mean 'num_layers'"),
        ({"out_channels": 5}, "out_channels must be"),
        ({"cross_attention_dim": 10}, "cross_attention_dim must be"),
        ({"sample_size": [64, 40]}, "sample_size must be a square"),
    ],
)
def test_what_is_not_implemented_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config(**changes)


def test_a_field_left_out_is_what_diffusers_takes_for_it() -> None:
    fields = {name: value for name, value in TINY.items() if name != "norm_eps"}
    with pytest.raises(ConfigError, match="'norm_eps' is implemented for 1e-06, not 1e-05"):
        vidgen.find("denoiser", "latte").config.from_published(fields, [])


def test_a_folder_without_sizes_is_refused(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ConfigError, match=r"config\.json"):
        vidgen.load_published("denoiser", "latte", tmp_path)


@pytest.mark.parametrize(("frames", "pace"), [(5, 1.0), (17, 1.0), (33, 2.0), (56, 3.0), (129, 8.0)])
def test_open_sora_plan_stretches_time(frames: int, pace: float) -> None:
    plan = config(sample_size=[64, 64], video_length=frames, attention_mode="xformers", use_rope=False)
    assert plan.interpolation == (pace, 1.0)
    assert plan.image_position
    assert config(video_length=frames).interpolation == (1.0, 1.0)


def test_open_sora_plan_differs_in_positions_alone(tmp_path: Path) -> None:
    """Its folder loads, the empty caption's tokens left out; an image gets the first frame's position."""
    part = vidgen.create("denoiser", "latte/tiny", latent_channels=4, text_width=10)
    tensors = {name: torch.randn(value.shape) / 8 for name, value in part.state_dict().items()}
    sizes = {
        "num_attention_heads": 4,
        "attention_head_dim": 16,
        "cross_attention_dim": 64,
        "sample_size": [8, 8],
        "patch_size_t": 1,
    }
    (tmp_path / "config.json").write_text(json.dumps({**TINY, **sizes, "use_rope": False}))
    save_file(
        {**tensors, "caption_projection.y_embedding": torch.zeros(3, 10)}, tmp_path / "model.safetensors"
    )
    plan = vidgen.load_published("denoiser", "latte", tmp_path)
    part.load_state_dict(tensors)
    with torch.inference_mode():
        for frames, same in ((1, False), (3, True)):
            inputs = ask(Size(frames, 8, 8))
            made, plain = (each.published_forward(**inputs)["sample"] for each in (plan, part))
            assert torch.equal(made, plain) == same
    save_file({**tensors, "caption_projection.extra": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"caption_projection\.extra"):
        vidgen.load_published("denoiser", "latte", tmp_path)


def test_the_loss_of_the_prediction_leaves_the_learned_variance_alone() -> None:
    part = vidgen.create("denoiser", "latte/tiny", latent_channels=4)
    text = TextEmbedding(torch.randn(2, 5, 64), torch.ones(2, 5, dtype=torch.bool), None)
    made = part(
        torch.randn(2, 4, 3, 4, 4), torch.tensor([0.2, 0.9]), part.prepare(text, Condition(), Size(3, 4, 4))
    )
    assert made.log_variance is not None
    assert made.log_variance.shape == made.value.shape == (2, 4, 3, 4, 4)
    (made.value - 1).square().mean().backward()
    rows = part.proj_out.weight.grad.view(2, 2, 8, -1)
    assert rows[:, :, :4].abs().sum() > 0
    assert rows[:, :, 4:].abs().sum() == 0


def test_sampling_drops_the_learned_variance() -> None:
    pipe = vidgen.compose(
        autoencoder="sora-vae/tiny", denoiser="latte/tiny", text_encoder="bytes/tiny", scheduler="dpmpp-2m"
    )
    torch.nn.init.normal_(pipe.denoiser.proj_out.weight, std=0.1)
    channels = pipe.denoiser.pos_embed.proj.in_channels
    rows = pipe.denoiser.proj_out.weight.detach().view(2, 2, 2 * channels, -1)

    def sample() -> vidgen.Video:
        return pipe("a red circle", frames=5, height=32, width=32, steps=2, seed=0, guidance=3.0)

    plain = sample()
    rows[:, :, channels:] *= 100
    assert sample() == plain
    rows[:, :, :channels] *= 100
    assert sample() != plain


def test_latents_of_another_size_than_prepared_are_refused() -> None:
    part = vidgen.create("denoiser", "latte/tiny", latent_channels=4)
    text = TextEmbedding(torch.randn(1, 5, 64), torch.ones(1, 5, dtype=torch.bool), None)
    with pytest.raises(SizeError, match=r"3x4x4.*2x4x4"):
        part(torch.randn(1, 4, 3, 4, 4), torch.tensor([0.5]), part.prepare(text, Condition(), Size(2, 4, 4)))
