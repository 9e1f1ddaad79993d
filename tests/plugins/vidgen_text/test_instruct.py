"""Prompts rewritten by an instruction model: a tiny random one, and one whose answers are known."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch

import vidgen
from vidgen.errors import CheckpointError, ConfigError
from vidgen_text import instruct
from vidgen_text.config import InstructConfig

transformers = pytest.importorskip("transformers")

CHAT = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHAT


def tokenizer(template: str | None):
    """Return a tokenizer of single bytes that needs no file from elsewhere."""
    made = transformers.ByT5Tokenizer()
    made.chat_template = template
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a tiny random language model, as published ones look."""
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=384, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=1024, pad_token_id=0, bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path)
    tokenizer(CHAT).save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _fresh():
    instruct._load.cache_clear()
    yield
    instruct._load.cache_clear()


def made(folder, **options):
    return vidgen.create("prompt_refiner", "instruct", source=str(folder), device="cpu", **options)


def test_a_tiny_model_says_what_transformers_says(folder):
    refiner = made(folder, max_new_tokens=8, system="Rewrite.")
    (text,) = refiner.refine(["a ball"])
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    ids = torch.tensor([[byte + 3 for byte in b"<system>Rewrite.<user>a ball<assistant>"]])
    with torch.no_grad():
        for _ in range(8):  # greedy, written out
            nearest = model(ids).logits[:, -1].argmax(-1, keepdim=True)
            ids = torch.cat([ids, nearest], dim=1)
            if nearest.item() == 1:
                break
    said = transformers.ByT5Tokenizer().decode(ids[0, 39:], skip_special_tokens=True)
    assert text == (" ".join(said.split()) or "a ball")
    assert refiner.refine(["a ball"]) == [text]


def test_it_runs_within_a_pipeline_and_the_model_is_loaded_once(folder, monkeypatch):
    loaded = []
    real = transformers.AutoModelForCausalLM.from_pretrained
    monkeypatch.setattr(
        transformers.AutoModelForCausalLM,
        "from_pretrained",
        lambda *args, **options: (loaded.append(args), real(*args, **options))[1],
    )
    pipe = vidgen.compose(
        autoencoder="sora-vae/tiny", denoiser="sora-dit/tiny", text_encoder="bytes/tiny", scheduler="euler"
    )
    asked = {"name": "instruct", "source": str(folder), "device": "cpu", "max_new_tokens": 4}
    options = {"frames": 5, "height": 32, "width": 32, "steps": 1, "seed": 0, "refiner": asked}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        videos = [pipe("a ball", **options) for _ in range(2)]
    assert videos[0].metadata["prompt"] == "a ball"
    assert videos[0].metadata["refined"] == videos[1].metadata["refined"]
    assert len(loaded) == 1


class Echo:
    """A model whose answer is fixed, and that remembers what it was asked."""

    device = torch.device("cpu")

    def __init__(self, answer: str) -> None:
        self.answer, self.asked = answer, []

    def generate(self, ids, attention_mask, **options):
        assert attention_mask.shape == ids.shape
        assert not options["do_sample"]
        self.asked.append(tokenizer(None).decode(ids[0], skip_special_tokens=True))
        return torch.cat([ids, torch.tensor([[byte + 3 for byte in self.answer.encode()]])], dim=1)


@pytest.fixture
def echo(monkeypatch):
    def install(answer, template=CHAT):
        model = Echo(answer)
        monkeypatch.setattr(instruct, "_load", lambda *_: (model, tokenizer(template)))
        return model, instruct.InstructRefiner(InstructConfig(source="somewhere", system="Be short."))

    return install


@pytest.mark.parametrize(
    ("template", "asked"),
    [
        (CHAT, "<system>Be short.<user>a ball<assistant>"),
        (NO_SYSTEM, "<user>Be short.\n\na ball<assistant>"),
        (None, "Be short.\n\nPrompt: a ball\nRewritten:"),
    ],
)
def test_what_the_model_is_asked(echo, template, asked):
    model, refiner = echo("A red ball.", template)
    assert refiner.refine(["a ball", "a ball"]) == ["A red ball."] * 2
    assert model.asked == [asked] * 2


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("  A red ball\n rolls. ", "A red ball rolls."),
        ('"A red ball"', "A red ball"),
        ("<think>\nhm, a ball\n</think>\n\nA red ball", "A red ball"),
        ("'tis a ball", "'tis a ball"),
    ],
)
def test_what_is_kept_of_an_answer(echo, answer, text):
    assert echo(answer)[1].refine(["a ball"]) == [text]


@pytest.mark.parametrize("answer", ["", " \n", "<think>without end"])
def test_without_an_answer_the_prompt_stays(echo, answer):
    _, refiner = echo(answer)
    with pytest.warns(UserWarning, match="makes nothing of 'a ball'"):
        assert refiner.refine(["a ball"]) == ["a ball"]


def test_a_device_that_is_not_there_is_refused(folder):
    with pytest.raises(ConfigError, match="device 'nowhere' cannot be used"):
        vidgen.create("prompt_refiner", "instruct", source=str(folder), device="nowhere")


def test_bad_settings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="needs a source"):
        vidgen.create("prompt_refiner", "instruct")
    for wrong in ({"max_new_tokens": 0}, {"system": " "}, {"dtype": "int8"}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            made(tmp_path, **wrong)
    with pytest.raises(CheckpointError, match=r"holds no config\.json"):
        made(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no model can be read"):
        made(tmp_path)


def test_code_beside_a_model_is_refused_without_a_question(folder, monkeypatch):
    path = folder / "config.json"
    settings = json.loads(path.read_text())
    settings |= {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own"},
    }
    path.write_text(json.dumps(settings))
    (folder / "own.py").write_text("raise SystemExit")
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("it asks"))
    with pytest.raises(CheckpointError, match="custom code"):
        made(folder)
