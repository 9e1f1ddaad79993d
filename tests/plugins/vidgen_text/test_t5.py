"""The T5 family, against transformers itself."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import vidgen
from vidgen.errors import CheckpointError, ConfigError

transformers = pytest.importorskip("transformers")

PROMPTS = ["a large red circle moving left", "", "caf\u00e9 \u4e00\u53ea\u732b", "\ud800"]
FAMILIES = {
    "t5": (transformers.T5Config, transformers.T5EncoderModel),
    "mt5": (transformers.MT5Config, transformers.MT5EncoderModel),
    "umt5": (transformers.UMT5Config, transformers.UMT5EncoderModel),
}


def reference(family: str, **changes: object) -> torch.nn.Module:
    torch.manual_seed(0)
    config, model = FAMILIES[family]
    sizes = {"vocab_size": 384, "d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4}
    return model(config(**{**sizes, "feed_forward_proj": "gated-gelu", **changes})).eval()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of weights with a tokenizer, as published ones look."""
    reference("t5").save_pretrained(tmp_path)
    transformers.ByT5Tokenizer().save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("padding", ["masked", "zeros", "attended"])
def test_equals_transformers(family: str, gated: bool, padding: str) -> None:
    model = reference(family, feed_forward_proj="gated-gelu" if gated else "relu")
    part = vidgen.create(
        "text_encoder", "t5/tiny", family=family, gated=gated, padding=padding, max_tokens=48
    )
    part.stack.load_state_dict(model.encoder.state_dict(), strict=True)
    prompts = PROMPTS[:3]
    length = {"padding": True} if padding == "masked" else {"padding": "max_length", "max_length": 48}
    batch = transformers.ByT5Tokenizer()(prompts, return_tensors="pt", **length)
    mask = batch["attention_mask"]
    with torch.no_grad():
        out = part.encode(prompts)
        given = {} if padding == "attended" else {"attention_mask": mask}
        expected = model(input_ids=batch["input_ids"], **given).last_hidden_state
    if padding != "attended":
        expected = expected * mask[..., None]
    torch.testing.assert_close(out.tokens, expected, atol=1e-6, rtol=0)
    assert (
        out.text_mask.tolist()
        == (mask.bool() if padding == "masked" else torch.ones_like(mask).bool()).tolist()
    )


@pytest.mark.parametrize("padding", ["masked", "zeros", "attended"])
def test_single_equals_batch_and_declared_equals_measured(padding: str) -> None:
    part = vidgen.create("text_encoder", "t5/tiny", padding=padding)
    with torch.no_grad():
        batch = part.encode(PROMPTS)
        assert batch.pooled is None
        assert batch.tokens.shape[-1] == part.text.width
        assert part.text.padding == padding
        if padding != "masked":
            assert batch.tokens.shape[1] == part.text.max_tokens
        for row, prompt in enumerate(PROMPTS):
            single = part.encode([prompt])
            assert single.text_mask.all()
            length = single.tokens.shape[1]
            torch.testing.assert_close(batch.tokens[row, :length], single.tokens[0], atol=1e-5, rtol=0)


def test_padding_attended_to_in_here_and_masked_outside() -> None:
    model = reference("t5")
    part = vidgen.create("text_encoder", "t5/tiny", attends_padding=True, max_tokens=48)
    part.stack.load_state_dict(model.encoder.state_dict(), strict=True)
    batch = transformers.ByT5Tokenizer()(
        PROMPTS[:3], return_tensors="pt", padding="max_length", max_length=48
    )
    real = batch["attention_mask"].bool()
    with torch.no_grad():
        out, plain = part.encode(PROMPTS[:3]), model(**batch).last_hidden_state
        expected = model(input_ids=batch["input_ids"]).last_hidden_state
    torch.testing.assert_close(out.tokens[real], expected[real], atol=1e-6, rtol=0)
    assert not torch.allclose(expected[real], plain[real], atol=1e-3)
    assert out.text_mask.equal(real)
    assert part.text.padding == "masked"


@pytest.mark.parametrize(
    ("cleaning", "prompt", "same"),
    [
        ("spaces", " caf\u00c3\u00a9 &amp;lt;b&gt;\n\t x ", "caf\u00e9 <b> x"),
        ("lower", "  A Red\tCircle ", "a red\tcircle"),
        ("none", " A ", " A "),
    ],
)
def test_prompts_are_cleaned(cleaning: str, prompt: str, same: str) -> None:
    pytest.importorskip("ftfy")
    plain = vidgen.create("text_encoder", "t5/tiny")
    part = vidgen.create("text_encoder", "t5/tiny", cleaning=cleaning)
    part.load_state_dict(plain.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(part.encode([prompt]).tokens, plain.encode([same]).tokens)


@pytest.mark.parametrize("gain", [1.0, 1e5])
def test_sums_beyond_float16_stay_finite(gain: float) -> None:
    part = vidgen.create("text_encoder", "t5/tiny")
    with torch.no_grad():
        for name, parameter in part.named_parameters():
            if ".wo." in name:
                parameter.mul_(gain)
        expected = part.encode(PROMPTS).tokens
        found = part.to(torch.float16).encode(PROMPTS).tokens.float()
    kinds = {name.endswith(".wo.weight"): p.dtype for name, p in part.named_parameters()}
    assert kinds == {True: torch.float32, False: torch.float16}
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)


def test_the_empty_prompt_can_be_nothing_to_read() -> None:
    part = vidgen.create("text_encoder", "t5/tiny", masks_empty=True)
    out = part.encode(["red", ""])
    assert out.text_mask.sum(1).tolist() == [4, 0]
    assert out.tokens[1].abs().sum() == 0
    assert not part.encode([""]).text_mask.any()


def test_a_negative_prompt_can_reach_as_far_as_the_prompt() -> None:
    part = vidgen.create("text_encoder", "t5/tiny", negative_length="prompt", max_tokens=12)
    batch = transformers.ByT5Tokenizer()(
        ["", "red"], return_tensors="pt", padding="max_length", max_length=12
    )
    with torch.no_grad():
        prompt, negative = part.encode(["red"]), part.encode([""])
        expected = part.stack(**batch).last_hidden_state
    beside = part.beside(negative, prompt)
    assert beside.text_mask.sum() == prompt.text_mask.sum() == 4
    torch.testing.assert_close(beside.tokens[0, :4], expected[0, :4])
    assert negative.text_mask.sum() == 1
    plain = vidgen.create("text_encoder", "t5/tiny")
    assert not plain.negative_follows
    assert plain.beside(negative, prompt) is negative


def test_too_long_prompts_keep_their_end_mark_and_warn() -> None:
    part = vidgen.create("text_encoder", "t5/tiny", max_tokens=5)
    with pytest.warns(UserWarning, match="has 9 tokens; the encoder reads the first 5"):
        cut = part.encode(["abcdefgh"])
    torch.testing.assert_close(cut.tokens, part.encode(["abcd"]).tokens)


def test_state_round_trips_through_safetensors(tmp_path: Path) -> None:
    part, other = (vidgen.create("text_encoder", "t5/tiny") for _ in range(2))
    save_file(part.state_dict(), tmp_path / "model.safetensors")  # refuses tensors that share memory
    assert not any("shared" in name or "decoder" in name for name in part.state_dict())
    other.load_state_dict(part.state_dict(), strict=True)
    torch.testing.assert_close(part.encode(PROMPTS).tokens, other.encode(PROMPTS).tokens)


def test_a_folder_gives_tokenizer_and_weights(folder: Path) -> None:
    part = vidgen.create("text_encoder", "t5/tiny", source=str(folder), pretrained=True)
    batch = transformers.ByT5Tokenizer()(PROMPTS[:3], return_tensors="pt", padding=True)
    with torch.no_grad():
        expected = reference("t5")(**batch).last_hidden_state * batch["attention_mask"][..., None]
        torch.testing.assert_close(part.encode(PROMPTS[:3]).tokens, expected, atol=1e-6, rtol=0)
    assert part.text.space
    assert part.origin == str(folder)
    assert not part.config.pretrained
    assert not part.training


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [({"width": 32}, "width=64"), ({"gated": False}, "gated=True"), ({"family": "umt5"}, "family='t5'")],
)
def test_weights_of_other_sizes_are_refused(folder: Path, fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(CheckpointError, match=complaint):
        vidgen.create("text_encoder", "t5/tiny", source=str(folder), pretrained=True, **fields)


def test_incomplete_weights_are_refused(folder: Path) -> None:
    tensors = reference("t5").encoder.state_dict()
    tensors.pop("final_layer_norm.weight")
    tensors = {f"encoder.{name}": tensor.contiguous() for name, tensor in tensors.items()}
    tensors["shared.weight"] = tensors.pop("encoder.embed_tokens.weight")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lack encoder\.final_layer_norm\.weight"):
        vidgen.create("text_encoder", "t5/tiny", source=str(folder), pretrained=True)
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="no weights can be read"):
        vidgen.create("text_encoder", "t5/tiny", source=str(folder), pretrained=True)


def test_a_pickle_that_runs_code_is_refused(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Loud:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return print, ("code ran",)

    (folder / "model.safetensors").unlink()
    torch.save({"shared.weight": Loud()}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError):
        vidgen.create("text_encoder", "t5/tiny", source=str(folder), pretrained=True)
    assert "code ran" not in capfd.readouterr().out


def test_missing_files_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="give source=FOLDER") as caught:
        vidgen.create("text_encoder", "t5/tiny", source=str(tmp_path))
    assert "\n" not in str(caught.value)
    transformers.ByT5Tokenizer().save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        vidgen.create("text_encoder", "t5/tiny", source=str(tmp_path), pretrained=True)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"pretrained": True}, "needs a source"),
        ({"vocabulary": 300}, "at least 384"),
        ({"max_tokens": 1}, "at least 2"),
        ({"heads": 0}, "heads"),
    ],
)
def test_wrong_fields_are_named(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        vidgen.create("text_encoder", "t5/tiny", **fields)


def test_spaces() -> None:
    spec = vidgen.find("text_encoder", "t5")
    assert spec.preset("umt5-xxl").contract().text.space == ""
    assert spec.preset("umt5-xxl").replace(pretrained=True).contract().text.space == "umt5-xxl/last"


def test_code_beside_a_tokenizer_is_refused_without_a_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "own.py").write_text("raise SystemExit")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asks"))
    with pytest.raises(CheckpointError, match="custom code") as caught:
        vidgen.create("text_encoder", "t5", tokenizer=str(tmp_path))
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_a_padding_token_is_refused(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1}, unk_token="b")).save(
        str(tmp_path / "tokenizer.json")
    )
    with pytest.raises(CheckpointError, match=r"no padding token.*tokenizer_config\.json"):
        vidgen.create("text_encoder", "t5", tokenizer=str(tmp_path))
