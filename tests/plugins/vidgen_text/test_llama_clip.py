"""Llama's and CLIP's encoders against transformers itself, and two encoders as one."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest
import torch

import vidgen
from vidgen.errors import CheckpointError, ConfigError

transformers = pytest.importorskip("transformers")

PROMPTS = ["a large red circle moving left", "", "caf\u00e9 {0} \u4e00\u53ea\u732b"]
TEMPLATE = "say: {}!"


def llama() -> torch.nn.Module:
    torch.manual_seed(0)
    return transformers.LlamaModel(
        transformers.LlamaConfig(
            vocab_size=384,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            rope_theta=5000.0,
            rms_norm_eps=1e-5,
        )
    ).eval()


def clip() -> torch.nn.Module:
    torch.manual_seed(0)
    return transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=384,
            hidden_size=24,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=40,
            eos_token_id=1,
            pad_token_id=0,
        )
    ).eval()


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return a folder of each, as published ones look."""
    pair = tmp_path / "llama", tmp_path / "clip"
    for folder, model in zip(pair, (llama(), clip()), strict=True):
        model.save_pretrained(folder)
        transformers.ByT5Tokenizer().save_pretrained(folder)
    return pair


def config_of(name: str, folder: Path, **fields: object) -> vidgen.Config:
    """Return the configuration that reads a folder."""
    import json

    data = json.loads((folder / "config.json").read_text())
    kind = vidgen.find("text_encoder", name).config
    return kind.from_transformers(data, source=str(folder), pretrained=True, **fields)


@pytest.mark.parametrize("skip", [0, 2])
def test_llama_equals_transformers(folders: tuple[Path, Path], skip: int) -> None:
    settings = config_of("llama", folders[0], skip=skip, template=TEMPLATE, template_tokens=5, max_tokens=64)
    part = vidgen.create("text_encoder", "llama", config=settings)
    batch = transformers.ByT5Tokenizer()(
        [TEMPLATE.replace("{}", prompt) for prompt in PROMPTS],
        return_tensors="pt",
        padding="max_length",
        max_length=69,
    )
    with torch.no_grad():
        out = part.encode(PROMPTS)
        expected = llama()(**batch, output_hidden_states=True).hidden_states[-(skip + 1)][:, 5:]
    real = batch["attention_mask"][:, 5:].bool()
    length = int(real.sum(1).max())
    assert out.text_mask.equal(real[:, :length])
    torch.testing.assert_close(out.tokens[out.text_mask], expected[real], atol=1e-6, rtol=0)
    assert part.text.width == 32
    assert len(part.stack.layers) == 4 - skip
    assert part.origin == str(folders[0])
    assert part.text.space


def test_llama_cuts_aloud_and_refuses_a_template_that_leaves_nothing() -> None:
    part = vidgen.create("text_encoder", "llama/tiny", max_tokens=8, template="<{}>", template_tokens=1)
    with pytest.warns(UserWarning, match="has 14 tokens; the encoder reads the first 8"):
        assert part.encode(["twelve chars"]).tokens.shape[1] == 8
    part = vidgen.create("text_encoder", "llama/tiny", template_tokens=20)
    with pytest.raises(ConfigError, match="template_tokens=20 leaves nothing"):
        part.encode(["red"])


def test_clip_equals_transformers(folders: tuple[Path, Path]) -> None:
    part = vidgen.create("text_encoder", "clip", config=config_of("clip", folders[1]))
    symbols = transformers.ByT5Tokenizer()(
        PROMPTS, return_tensors="pt", padding="max_length", max_length=40
    ).input_ids
    with torch.no_grad():
        out, expected = part.encode(PROMPTS), clip()(symbols)
    torch.testing.assert_close(out.tokens, expected.last_hidden_state, atol=1e-6, rtol=0)
    torch.testing.assert_close(out.pooled, expected.pooler_output, atol=1e-6, rtol=0)
    assert out.text_mask.all()
    assert (part.text.width, part.text.pooled_width, part.text.max_tokens) == (24, 24, 40)
    assert not torch.allclose(out.pooled[0], out.pooled[1])


def test_published_weights_are_read_in_torchs_default_type(folders: tuple[Path, Path]) -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        part = vidgen.create("text_encoder", "clip", config=config_of("clip", folders[1]))
    finally:
        torch.set_default_dtype(before)
    assert {p.dtype for p in part.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("name", "fields", "complaint"),
    [
        ("llama", {"hidden": 64}, "has hidden=48"),
        ("llama", {"rope_theta": 1e4}, "rope_theta=5000.0"),
        ("clip", {"activation": "gelu"}, "activation='quick_gelu'"),
        ("clip", {"end_mark": 2}, "end_mark=1"),
    ],
)
def test_weights_of_other_sizes_are_refused(
    folders: tuple[Path, Path], name: str, fields: dict[str, object], complaint: str
) -> None:
    settings = config_of(name, folders[name == "clip"], **fields)
    with pytest.raises(CheckpointError, match=complaint):
        vidgen.create("text_encoder", name, config=settings)


@pytest.mark.parametrize(
    ("field", "value"),
    [("rope_parameters", {"rope_type": "llama3"}), ("hidden_act", "gelu"), ("head_dim", 16), ("novel", 1)],
)
def test_what_is_not_implemented_is_refused(folders: tuple[Path, Path], field: str, value: object) -> None:
    data = transformers.PretrainedConfig.get_config_dict(folders[0])[0]
    with pytest.raises(ConfigError):
        vidgen.find("text_encoder", "llama").config.from_transformers({**data, field: value})


def test_joint_has_the_tokens_of_one_and_the_pooled_vector_of_the_other(folders: tuple[Path, Path]) -> None:
    one, two = config_of("llama", folders[0]), config_of("clip", folders[1])
    part = vidgen.create("text_encoder", "joint", tokens=one, pooled=two)
    alone = [vidgen.create("text_encoder", n, config=c) for n, c in (("llama", one), ("clip", two))]
    with torch.no_grad():
        out, tokens, pooled = part.encode(PROMPTS), alone[0].encode(PROMPTS), alone[1].encode(PROMPTS)
    assert out.tokens.equal(tokens.tokens)
    assert out.text_mask.equal(tokens.text_mask)
    assert out.pooled.equal(pooled.pooled)
    assert part.text.space == f"{alone[0].text.space} + {alone[1].text.space}"
    assert (part.text.width, part.text.pooled_width) == (32, 24)
    assert part.origin != "random"


def test_joint_of_random_parts_is_random_and_of_a_shipped_one_takes_its_weights(tmp_path: Path) -> None:
    part = vidgen.create("text_encoder", "joint/tiny")
    assert part.origin == "random"
    assert part.text.space == ""
    words = {"name": "words", "weights": "kinetic"}
    part = vidgen.create("text_encoder", "joint", tokens=words, pooled="clip/tiny")
    shipped = vidgen.create("text_encoder", "words@kinetic")
    with torch.no_grad():
        assert part.encode(["a red circle"]).tokens.equal(shipped.encode(["a red circle"]).tokens)


def test_joint_saves_and_loads_in_a_pipeline(folders: tuple[Path, Path], tmp_path: Path) -> None:
    pipe = vidgen.compose(
        autoencoder="sora-vae/tiny",
        denoiser="sora-dit/tiny",
        text_encoder={
            "name": "joint",
            "config": {"tokens": config_of("llama", folders[0]), "pooled": config_of("clip", folders[1])},
        },
        scheduler="euler",
    )
    pipe.save(tmp_path / "saved")
    for folder in folders:
        shutil.rmtree(folder)
    again = vidgen.load((tmp_path / "saved").rename(tmp_path / "moved"))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        one, two = pipe.text_encoder.encode(PROMPTS), again.text_encoder.encode(PROMPTS)
    assert one.tokens.equal(two.tokens)
    assert one.pooled.equal(two.pooled)
    assert again.text_encoder.text == pipe.text_encoder.text


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"tokens": 3}, "JointConfig.tokens is a name"),
        ({"pooled": "words/tiny"}, "gives no pooled vector"),
        ({"tokens": {"name": "words", "colour": 1}}, "has no key 'colour'"),
        ({"tokens": "wrods"}, "no text_encoder 'wrods'"),
    ],
)
def test_joint_names_what_is_wrong(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(vidgen.errors.VidgenError, match=complaint):
        vidgen.find("text_encoder", "joint").preset("tiny").replace(**fields).contract()
