"""open_clip's text towers, against open_clip itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import vidgen
from vidgen.errors import CheckpointError, ConfigError

open_clip = pytest.importorskip("open_clip")

PROMPTS = [
    "a large red circle moving left",
    "",
    "caf\u00e9 \u4e00\u53ea\u732b \u2603",
    "stop <end_of_text> here",
]
# The plain towers, all-to-all attention, another activation, and CoCa's class token.
MODELS = ("ViT-B-32", "MobileCLIP-S1", "ViT-B-32-quickgelu", "coca_ViT-B-32")
SMALL = {"width": 32, "layers": 3, "heads": 2, "embed_dim": 24}


def whole_model(name: str) -> torch.nn.Module:
    """Return open_clip's own model with a small text tower and the smallest vision tower."""
    torch.manual_seed(0)
    table = open_clip.get_model_config(name)
    table["text_cfg"].update({k: v for k, v in SMALL.items() if k != "embed_dim"})
    vision = {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 16, "layers": 1}
    quick = table.get("quick_gelu", False)
    cls = open_clip.CustomTextCLIP if table.get("custom_text") else open_clip.CLIP
    return cls(24, vision, table["text_cfg"], quick_gelu=quick).eval()


@pytest.mark.parametrize("name", MODELS)
def test_pooled_equals_encode_text(name: str) -> None:
    whole = whole_model(name)
    part = vidgen.create("text_encoder", "open-clip", model=name, **SMALL)
    source = whole.text if hasattr(whole, "text") else whole
    own = part.tower.state_dict()
    part.tower.load_state_dict({key: source.state_dict()[key] for key in own}, strict=True)
    symbols = open_clip.get_tokenizer(name)(PROMPTS)
    with torch.no_grad():
        out = part.encode(PROMPTS)
        expected = whole.encode_text(symbols)
    expected = expected[0] if isinstance(expected, tuple) else expected
    torch.testing.assert_close(out.pooled, expected, atol=1e-5, rtol=0)
    assert expected.std() > 0.01


@pytest.mark.parametrize("layer", ["last", "penultimate"])
def test_tokens_are_a_blocks_output_after_the_final_norm(layer: str) -> None:
    part = vidgen.create("text_encoder", "open-clip/tiny", layers=3, layer=layer)
    heard = {}
    for index, block in enumerate(part.tower.transformer.resblocks):
        block.register_forward_hook(lambda _m, _i, out, index=index: heard.__setitem__(index, out))
    with torch.no_grad():
        tokens = part.encode(PROMPTS).tokens
        expected = part.tower.ln_final(heard[2 if layer == "last" else 1])
    torch.testing.assert_close(tokens, expected, atol=1e-6, rtol=0)


def test_tokens_of_the_last_layer_hold_the_pooled_vector() -> None:
    part = vidgen.create("text_encoder", "open-clip/tiny")
    with torch.no_grad():
        out = part.encode(PROMPTS)
        end = part.tokenizer(PROMPTS).argmax(1)
        picked = out.tokens[torch.arange(len(PROMPTS)), end] @ part.tower.text_projection
    torch.testing.assert_close(picked, out.pooled, atol=1e-5, rtol=0)


def test_declared_equals_measured_and_all_is_attended() -> None:
    for changes in ({}, {"context_length": 16, "embed_dim": 8}):
        part = vidgen.create("text_encoder", "open-clip/tiny", **changes)
        out, text = part.encode(["one", "a longer prompt"]), part.text
        assert text.padding == "attended"
        assert out.text_mask.all()
        assert out.tokens.shape == (2, text.max_tokens, text.width)
        assert out.pooled.shape == (2, text.pooled_width)


def test_single_equals_batch() -> None:
    part = vidgen.create("text_encoder", "open-clip/tiny")
    with torch.no_grad():
        batch = part.encode(PROMPTS)
        for row, prompt in enumerate(PROMPTS):
            single = part.encode([prompt])
            torch.testing.assert_close(batch.tokens[row], single.tokens[0], atol=1e-5, rtol=0)
            torch.testing.assert_close(batch.pooled[row], single.pooled[0], atol=1e-5, rtol=0)


def test_too_long_prompts_are_cut_with_a_warning() -> None:
    part = vidgen.create("text_encoder", "open-clip/tiny", context_length=8)
    with pytest.warns(UserWarning, match="has 9 tokens; the encoder reads the first 8"):
        part.encode(["one two three four five six seven"])


def test_no_vision_tower_and_the_state_round_trips() -> None:
    part = vidgen.create("text_encoder", "open-clip/tiny")
    assert all(name.startswith("tower.") and "visual" not in name for name in part.state_dict())
    other = vidgen.create("text_encoder", "open-clip/tiny")
    assert not torch.allclose(part.encode(PROMPTS).pooled, other.encode(PROMPTS).pooled)
    other.load_state_dict(part.state_dict(), strict=True)
    torch.testing.assert_close(part.encode(PROMPTS).pooled, other.encode(PROMPTS).pooled)


def test_a_file_of_weights_is_loaded_and_gives_the_space(tmp_path: Path) -> None:
    name = "ViT-S-32-alt"
    torch.manual_seed(0)
    whole = open_clip.create_model(name).eval()
    path = tmp_path / "whole.pt"
    torch.save(whole.state_dict(), path)
    part = vidgen.create("text_encoder", "open-clip", model=name, pretrained=str(path))
    symbols = open_clip.get_tokenizer(name)(PROMPTS)
    with torch.no_grad():
        torch.testing.assert_close(part.encode(PROMPTS).pooled, whole.encode_text(symbols), atol=1e-5, rtol=0)
    assert part.text.space
    assert part.origin == str(path)
    assert part.config.pretrained == ""  # a saved part does not look for the file again
    path.write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="file for this model"):
        vidgen.create("text_encoder", "open-clip", model=name, pretrained=str(path))


def test_towers_of_the_hub_are_read_from_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = {sign: i for i, sign in enumerate([*marks, *map(chr, range(33, 127)), "\u0120"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    names = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(
        tmp_path / "roberta-base"
    )
    transformers.RobertaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=90,
    ).save_pretrained(tmp_path / "roberta-base")
    monkeypatch.chdir(tmp_path)
    part = vidgen.create("text_encoder", "open-clip", model="roberta-ViT-B-32")
    with torch.no_grad():
        out = part.encode(["a red circle", ""])
        part.tower.output_tokens = False
        expected = part.tower(part.tokenizer(["a red circle", ""]))
        part.tower.output_tokens = True
    torch.testing.assert_close(out.pooled, expected)
    assert out.tokens.shape == (2, 77, 32)
    assert part.config.contract().text.width is None  # what only loading tells
    assert (part.text.width, part.text.pooled_width) == (32, 512)
    with pytest.warns(UserWarning, match="reads the first 77"):
        part.encode(["red " * 30])


@pytest.mark.parametrize(
    ("fields", "error", "complaint"),
    [
        ({"model": "ViT-B-33"}, ConfigError, "ViT-B-32"),
        ({"pretrained": "laion2b_s34b_b79"}, ConfigError, "laion2b_s34b_b79k"),
        ({"pretrained": "openai", "width": 64}, ConfigError, "leave width out"),
        ({"width": 30, "heads": 4}, ConfigError, "divide"),
        ({"layers": 1, "layer": "penultimate"}, ConfigError, "penultimate"),
        ({"model": "roberta-ViT-B-32", "layer": "penultimate"}, ConfigError, "offers only 'last'"),
        ({"model": "roberta-ViT-B-32", "tokenizer": "no/folder/here"}, CheckpointError, "tokenizer=FOLDER"),
    ],
)
def test_wrong_settings_say_what_to_do(fields: dict[str, object], error: type, complaint: str) -> None:
    with pytest.raises(error, match=complaint) as caught:
        vidgen.create("text_encoder", "open-clip", **fields)
    assert "\n" not in str(caught.value)


def test_every_model_of_the_table_declares_itself_without_torch() -> None:
    code = """
import sys
from vidgen_text.config import OpenClipConfig
from vidgen_text.open_clip_table import model_names
texts = {name: OpenClipConfig(model=name).contract().text for name in model_names()}
assert len(texts) > 100, len(texts)
huge = texts["ViT-H-14"]
assert (huge.width, huge.pooled_width, huge.max_tokens) == (1024, 1024, 77)
assert texts["ViT-L-14"].width == 768 and texts["ViT-B-16-SigLIP"].max_tokens == 64
assert texts["mt5-base-ViT-B-32"].width is None and texts["mt5-base-ViT-B-32"].pooled_width == 512
assert not {"torch", "open_clip", "transformers"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_torchvision_that_does_not_fit_torch_is_explained(tmp_path: Path) -> None:
    (tmp_path / "torchvision").mkdir()
    failing = "raise RuntimeError('operator torchvision::nms does not exist')"
    (tmp_path / "torchvision" / "__init__.py").write_text(failing)
    for package, version in (("torch", "2.14.1+cpu"), ("torchvision", "0.29.1")):
        (tmp_path / f"{package}-{version}.dist-info").mkdir()
        meta = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        (tmp_path / f"{package}-{version}.dist-info" / "METADATA").write_text(meta)
    code = """
import vidgen
try:
    vidgen.create("text_encoder", "open-clip/tiny")
except vidgen.errors.MissingDependencyError as problem:
    print(problem)
"""
    path = os.pathsep.join([str(tmp_path), *sys.path])
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert "builds for different devices" in run.stdout, run.stderr[-2000:]
    assert "torchvision==0.29.1 --index-url https://download.pytorch.org/whl/cpu" in run.stdout
