"""Wan's transformer against diffusers', from the same random weights; its experts."""

from __future__ import annotations

import pytest
import torch

import vidgen
from vidgen.errors import ConfigError, ContractError
from vidgen.interfaces import Condition, TextEmbedding
from vidgen.size import Size
from vidgen.testing import check_component

diffusers = pytest.importorskip("diffusers")

TINY = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "num_layers": 2,
    "ffn_dim": 32,
    "text_dim": 32,
    "freq_dim": 256,
    "rope_max_seq_len": 32,
}
WIDE = {
    **TINY,
    "num_attention_heads": 12,
    "attention_head_dim": 128,
    "ffn_dim": 8960,
    "text_dim": 4096,
    "rope_max_seq_len": 1024,
}
IMAGE = {"in_channels": 36, "image_dim": 20, "added_kv_proj_dim": 24}
KINDS = {
    "text": TINY,
    "given frames": {**TINY, "in_channels": 36},
    "image": {**TINY, **IMAGE},
    "two images": {**TINY, **IMAGE, "pos_embed_seq_len": 514},
    "no norm before the text": {**TINY, "cross_attn_norm": False},
    "patches in time": {**TINY, "patch_size": [2, 2, 2]},
    "width of 1.3B": WIDE,
}


def pair(folder, **config):
    torch.manual_seed(1)
    theirs = diffusers.WanTransformer3DModel(**config).eval()
    theirs.save_pretrained(folder)
    return theirs, vidgen.load_published("denoiser", "wan", folder)


@torch.inference_mode()
@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_the_reference(kind, tmp_path):
    config = KINDS[kind]
    theirs, ours = pair(tmp_path, **config)
    generator = torch.Generator().manual_seed(2)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    inputs = {
        "hidden_states": draw(2, config.get("in_channels", 16), 2 if "patch_size" in config else 3, 8, 10),
        "timestep": torch.tensor([999.0, 357.3]),
        "encoder_hidden_states": draw(2, 512, config["text_dim"]),
    }
    if "image_dim" in config:
        if "pos_embed_seq_len" in config:  # two images one after another, of one video
            inputs = {name: value[:1] for name, value in inputs.items()}
        inputs["encoder_hidden_states_image"] = draw(2, 257, config["image_dim"])
    expected = theirs(**inputs).sample
    torch.testing.assert_close(ours.published_forward(**inputs)["sample"], expected, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_a_time_a_token_as_in_the_5b_model(tmp_path):
    theirs, ours = pair(tmp_path, **TINY)
    ours = type(ours)(ours.config.replace(frame_times=True)).eval()
    ours.load_state_dict(theirs.state_dict())
    x, text = torch.randn(1, 16, 3, 4, 4), torch.randn(1, 512, 32)
    time = torch.tensor([[0.0, 0.5, 0.9]])
    told = (time * 1000).repeat_interleave(4, dim=1)
    prepared = ours.prepare(
        TextEmbedding(text, torch.ones(1, 512, dtype=torch.bool)), Condition(), Size(3, 4, 4)
    )
    torch.testing.assert_close(ours(x, time, prepared).value, theirs(x, told, text).sample, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_sides_that_the_patch_does_not_divide():
    part = vidgen.create("denoiser", "wan/tiny")
    text = TextEmbedding(torch.randn(1, 4, 64), torch.ones(1, 4, dtype=torch.bool))
    x = torch.randn(1, 16, 2, 5, 7)
    made = part(x, torch.tensor([0.5]), part.prepare(text, Condition(), Size(2, 5, 7))).value
    padded = torch.nn.functional.pad(x, (0, 1, 0, 1, 0, 0), mode="replicate")
    whole = part(padded, torch.tensor([0.5]), part.prepare(text, Condition(), Size(2, 6, 8))).value
    torch.testing.assert_close(made, whole[..., :5, :7])


def original_names(depth: int, *, image: bool) -> dict[str, str]:
    """Return the original repository's names, each with ours, spelled out from its own structure."""
    both = ("weight", "bias")
    names = {"head.modulation": "scale_shift_table"}
    outside = {
        "patch_embedding": "patch_embedding",
        "text_embedding.0": "condition_embedder.text_embedder.linear_1",
        "text_embedding.2": "condition_embedder.text_embedder.linear_2",
        "time_embedding.0": "condition_embedder.time_embedder.linear_1",
        "time_embedding.2": "condition_embedder.time_embedder.linear_2",
        "time_projection.1": "condition_embedder.time_proj",
        "head.head": "proj_out",
    }
    if image:
        outside |= {
            "img_emb.proj.0": "condition_embedder.image_embedder.norm1",
            "img_emb.proj.1": "condition_embedder.image_embedder.ff.net.0.proj",
            "img_emb.proj.3": "condition_embedder.image_embedder.ff.net.2",
            "img_emb.proj.4": "condition_embedder.image_embedder.norm2",
        }
    names |= {f"{a}.{leaf}": f"{b}.{leaf}" for a, b in outside.items() for leaf in both}
    for number in range(depth):
        b = f"blocks.{number}"
        names[f"{b}.modulation"] = f"{b}.scale_shift_table"
        inside = {"norm3": "norm2", "ffn.0": "ffn.net.0.proj", "ffn.2": "ffn.net.2"}
        for theirs, ours in (("self_attn", "attn1"), ("cross_attn", "attn2")):
            inside |= {f"{theirs}.{a}": f"{ours}.to_{a}" for a in "qkv"} | {f"{theirs}.o": f"{ours}.to_out.0"}
            for norm in ("norm_q", "norm_k"):
                names[f"{b}.{theirs}.{norm}.weight"] = f"{b}.{ours}.{norm}.weight"
        if image:
            inside |= {f"cross_attn.{a}_img": f"attn2.add_{a}_proj" for a in "kv"}
            names[f"{b}.cross_attn.norm_k_img.weight"] = f"{b}.attn2.norm_added_k.weight"
        names |= {f"{b}.{a}.{leaf}": f"{b}.{o}.{leaf}" for a, o in inside.items() for leaf in both}
    return names


@pytest.mark.parametrize("image", [False, True])
def test_the_original_names_are_read(image):
    from vidgen_wan.names import denoiser_names

    changes = {"given": "frames", "image_width": 20} if image else {}
    part = vidgen.create("denoiser", "wan/tiny", **changes)
    table = original_names(2, image=image)
    made = denoiser_names(table.keys())
    assert {name: made.get(name, name) for name in table} == table
    assert set(table.values()) == set(part.state_dict())


def test_the_original_folder_loads(tmp_path):
    """Its config.json has other fields; the weights may have the prefix that ComfyUI's files have."""
    from safetensors.torch import save_file

    part = vidgen.create("denoiser", "wan/tiny", latent_channels=16, text_width=32, frequencies=256)
    back = {ours: theirs for theirs, ours in original_names(2, image=False).items()}
    tensors = {f"model.diffusion_model.{back[n]}": t.contiguous() for n, t in part.state_dict().items()}
    save_file(tensors, tmp_path / "diffusion_pytorch_model.safetensors")
    fields = '{"_class_name": "WanModel", "model_type": "t2v", "dim": 24, "num_heads": 2, "num_layers": 2, '
    fields += '"ffn_dim": 32, "freq_dim": 256, "in_dim": 16, "out_dim": 16, "text_dim": 32, "text_len": 512}'
    (tmp_path / "config.json").write_text(fields)
    again = vidgen.load_published("denoiser", "wan", tmp_path)
    assert again.config.text_padding == "zeros"
    for name, tensor in part.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


@pytest.mark.parametrize(
    ("preset", "billions"), [("t2v-1.3b", 1.419), ("t2v-14b", 14.288), ("i2v-14b", 16.395)]
)
def test_full_sizes(preset, billions):
    with torch.device("meta"):
        part = vidgen.create("denoiser", f"wan/{preset}")
    theirs = part.config.to_published()
    theirs.pop("_class_name")
    with torch.device("meta"):
        reference = diffusers.WanTransformer3DModel(**theirs)
    shapes = {name: tuple(tensor.shape) for name, tensor in reference.state_dict().items()}
    assert {name: tuple(tensor.shape) for name, tensor in part.state_dict().items()} == shapes
    assert round(sum(p.numel() for p in part.parameters()) / 1e9, 3) == billions


def test_what_is_not_implemented_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="input channels"):
        pair(tmp_path / "a", **{**TINY, "in_channels": 20})
    part = vidgen.create("denoiser", "wan/tiny", image_width=20)
    text = TextEmbedding(torch.randn(1, 4, 64), torch.ones(1, 4, dtype=torch.bool))
    with pytest.raises(ContractError, match="reads an image"):
        part.prepare(text, Condition(), Size(1, 4, 4))


@pytest.mark.parametrize("preset", ["tiny-image", "tiny-frame-times"])
def test_it_keeps_its_word_with_more_abilities(preset):
    check_component("denoiser", f"wan/{preset}")


def test_an_image_is_wanted_of_the_text_encoder_before_weights_load():
    recipe = {"autoencoder": "wan-vae/tiny", "denoiser": "wan/tiny-image", "scheduler": "euler"}
    (problem,) = vidgen.check({**recipe, "text_encoder": "t5/tiny"})
    assert "reads images too" in str(problem)
    assert vidgen.check({**recipe, "text_encoder": "text-and-image/tiny"}) == []
    config = (
        vidgen.find("autoencoder", "wan-vae").presets["tiny"].replace(multiples=(1, 1), time_levels=(True,))
    )
    (problem,) = vidgen.check({**recipe, "autoencoder": config, "text_encoder": "text-and-image/tiny"})
    assert "time stride" in str(problem)


# Experts


@torch.inference_mode()
def test_each_time_has_its_expert():
    part = vidgen.create("denoiser", "experts/tiny", boundary=0.6)
    text = TextEmbedding(torch.randn(2, 4, 64), torch.ones(2, 4, dtype=torch.bool))
    x, size = torch.randn(2, 16, 1, 4, 4), Size(1, 4, 4)
    alone = {name: getattr(part, name) for name in ("high", "low")}
    expected = {
        name: lambda time, one=one: one(x, time, one.prepare(text, Condition(), size)).value
        for name, one in alone.items()
    }
    for times, names in (
        ((0.7, 0.6), ("high", "high")),
        ((0.2, 0.59), ("low", "low")),
        ((0.9, 0.1), ("high", "low")),
    ):
        time = torch.tensor(times)
        made = part(x, time, part.prepare(text, Condition(), size)).value
        for i, name in enumerate(names):
            torch.testing.assert_close(made[i], expected[name](time)[i])


def test_experts_of_different_contracts_are_refused():
    config = {"high": "wan/tiny", "low": {"name": "wan", "preset": "tiny", "config": {"patch": [1, 1, 1]}}}
    with pytest.raises(ConfigError, match="must declare the same"):
        vidgen.find("denoiser", "experts").config.from_dict(config).contract()


def test_experts_follow_their_neighbours_and_are_saved_whole(tmp_path):
    pipe = vidgen.compose(
        autoencoder="sora-vae/tiny", denoiser="experts/tiny", text_encoder="bytes/tiny", scheduler="euler"
    )
    channels = pipe.autoencoder.latent.channels
    assert pipe.denoiser.high.config.latent_channels == pipe.denoiser.low.config.latent_channels == channels
    pipe.save(tmp_path / "a")
    again = vidgen.load(tmp_path / "a")
    for (name, one), other in zip(
        pipe.denoiser.state_dict().items(), again.denoiser.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name
