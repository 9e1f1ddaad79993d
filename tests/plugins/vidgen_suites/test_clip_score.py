"""The CLIP score of a small open_clip model, against transformers' CLIP with the same weights."""

from __future__ import annotations

import json

import numpy as np
import open_clip
import pytest
import torch
import transformers
from safetensors.torch import save_file

from vidgen.errors import CheckpointError, ConfigError
from vidgen_suites.clip import ClipScore
from vidgen_suites.config import GenerationConfig

NAME = "vidgen-test"
SIZES = {"width": 32, "heads": 2, "layers": 2}
"""Of the text tower; the other's are the same, but open_clip counts its heads by their width."""


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory):
    """A small model in open_clip's table."""
    path = tmp_path_factory.mktemp("models") / f"{NAME}.json"
    vision = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 16, "vocab_size": 49408, **SIZES}
    path.write_text(json.dumps({"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}))
    open_clip.add_model_config(path)


@pytest.fixture
def model():
    torch.manual_seed(7)
    return open_clip.create_model(NAME).eval()


def video(frames: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (frames, 32, 48, 3), np.uint8)


def in_transformers(tensors: dict[str, torch.Tensor]) -> transformers.CLIPModel:
    """Return transformers' CLIP with the weights of open_clip's."""
    tower = {
        "hidden_size": 32,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_act": "gelu",
    }
    text = {**tower, "vocab_size": 49408, "max_position_embeddings": 16, "eos_token_id": 49407}
    vision = {**tower, "image_size": 32, "patch_size": 8}
    settings = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    left = dict(tensors)
    found = {"logit_scale": left.pop("logit_scale")}
    for ours, theirs in (("text_projection", "text_projection"), ("visual.proj", "visual_projection")):
        found[f"{theirs}.weight"] = left.pop(ours).T
    names = {
        "positional_embedding": "text_model.embeddings.position_embedding.weight",
        "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
        "visual.class_embedding": "vision_model.embeddings.class_embedding",
        "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
        "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    }
    for ours, theirs in names.items():
        found[theirs] = left.pop(ours)
    words = {"ln_final": "text_model.final_layer_norm", "visual.ln_pre": "vision_model.pre_layrnorm",
             "visual.ln_post": "vision_model.post_layernorm", "visual.transformer.resblocks":
             "vision_model.encoder.layers", "transformer.resblocks": "text_model.encoder.layers",
             "ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.": "self_attn.", "c_fc": "fc1",
             "c_proj": "fc2"}  # fmt: skip
    for name, value in left.items():
        for ours, theirs in words.items():
            name = name.replace(ours, theirs) if theirs not in name else name
        if "in_proj_" in name:
            for letter, third in zip("qkv", value.chunk(3), strict=True):
                found[name.replace("in_proj_", f"{letter}_proj.")] = third
        else:
            found[name] = value
    model = transformers.CLIPModel(settings).eval()
    missing, unexpected = model.load_state_dict(found, strict=False)
    assert not unexpected
    assert all("position_ids" in name for name in missing)
    return model


def known(tensors: dict[str, torch.Tensor], prompt: str) -> float:
    prepare = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    pixels = prepare(list(video()), return_tensors="pt")["pixel_values"]
    symbols = open_clip.get_tokenizer(NAME)([prompt])
    with torch.inference_mode():
        out = in_transformers(tensors)(input_ids=symbols, pixel_values=pixels)
    seen, asked = (torch.nn.functional.normalize(one, dim=-1) for one in (out.image_embeds, out.text_embeds))
    return 100 * (seen @ asked.T).mean().item()


@pytest.mark.parametrize("form", ["file", "folder", "pickle"])
def test_it_is_the_cosine_that_transformers_finds(model, tmp_path, form):
    # Random towers hardly tell inputs apart; larger weights do.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    if form == "pickle":
        torch.save({"state_dict": tensors}, tmp_path / "clip.pt")
    else:
        save_file(tensors, tmp_path / "open_clip_model.safetensors")
    place = {
        "file": tmp_path / "open_clip_model.safetensors",
        "folder": tmp_path,
        "pickle": tmp_path / "clip.pt",
    }
    own = ClipScore(NAME, str(place[form]))
    assert own.label == f"{NAME}, {place[form].name}"
    scores = [own(video(), prompt) for prompt in ("a red circle", "two blue crosses")]
    assert scores == pytest.approx(
        [known(tensors, prompt) for prompt in ("a red circle", "two blue crosses")], abs=1e-3
    )
    assert abs(scores[0] - scores[1]) > 0.05


def test_without_weights_it_says_so_and_is_always_the_same():
    torch.manual_seed(1)
    one = ClipScore(NAME)
    torch.manual_seed(2)
    two = ClipScore(NAME)
    assert one.label == f"{NAME}, random weights"
    assert one(video(), "a circle") == two(video(), "a circle")
    assert -100 <= one(video(), "a circle") <= 100


def test_slips_are_said_with_what_is_near():
    with pytest.raises(ConfigError, match="Did you mean 'ViT-B-32"):
        ClipScore("ViT-B32")
    with pytest.raises(ConfigError, match="Did you mean 'laion2b_s34b_b79k'"):
        ClipScore("ViT-B-32", "laion2b_s34b_b79")
    with pytest.raises(ConfigError, match="table"):
        GenerationConfig(clip="hf-hub:laion/some")
    with pytest.raises(ConfigError, match="name a model"):
        GenerationConfig(clip_weights="openai")


def test_weights_that_cannot_be_had_are_one_line(tmp_path, monkeypatch):
    save_file({"visual.proj": torch.zeros(2, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="cannot be had") as caught:
        ClipScore(NAME, str(tmp_path / "other.safetensors"))
    assert "\n" not in str(caught.value)
    monkeypatch.setattr("vidgen.hub.hub_reachable", lambda: False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="fetch them once online") as caught:
        ClipScore("ViT-B-32", "laion2b_s34b_b79k")
    assert "\n" not in str(caught.value)


def test_the_suite_keeps_the_score_of_every_prompt(measured):
    work = measured(GenerationConfig(samples=2, videos=0, clip=NAME))
    one = work.measures[f"clip score ({NAME}, random weights)"]
    rows = json.loads(work.artefacts["prompts.json"].data)
    assert [row["clip score"] for row in rows] == list(one.samples)
    assert one.value == pytest.approx(sum(one.samples) / 2)
    assert [row["consistency"] for row in rows] == list(work.measures["consistency"].samples)
