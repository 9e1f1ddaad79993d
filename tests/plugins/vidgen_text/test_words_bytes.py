"""The two encoders that we train ourselves."""

from __future__ import annotations

import warnings

import pytest
import torch

import vidgen
from vidgen.errors import ConfigError

NAMES = ("words", "bytes")
ODD = ["", "   ", "?!", "cafe\u0301 \u00fcber \u2603", "\u4e00\u53ea\u732b", "\ud800 lone", "a\x00b", "DON'T"]


def encoder(name: str, **fields: object) -> vidgen.TextEncoder:
    torch.manual_seed(0)
    part = vidgen.create("text_encoder", f"{name}/tiny", **fields)
    for block in part.blocks:  # a trained one, in which the blocks do something
        torch.nn.init.normal_(block.self_attn.out_proj.weight, std=0.1)
        torch.nn.init.normal_(block.linear2.weight, std=0.1)
    return part


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("training", [False, True])
def test_single_equals_batch_and_padding_is_masked(name: str, training: bool) -> None:
    part = encoder(name, layers=2).train(training)
    prompts = ["a red circle", "", "a small blue square moving left on a black background", *ODD]
    with torch.no_grad():
        batch = part.encode(prompts)
        assert batch.tokens.shape[:2] == batch.text_mask.shape
        assert batch.text_mask.any(1).all()
        assert not batch.tokens[~batch.text_mask].any()
        assert batch.tokens.shape[1] == batch.text_mask.sum(1).max()
        for row, prompt in enumerate(prompts):
            single = part.encode([prompt])
            assert single.text_mask.all()
            torch.testing.assert_close(
                batch.tokens[row][batch.text_mask[row]], single.tokens[0], atol=1e-5, rtol=0, msg=repr(prompt)
            )


@pytest.mark.parametrize("name", NAMES)
def test_width_declared_equals_measured(name: str) -> None:
    for preset in ("tiny", "small"):
        part = vidgen.create("text_encoder", f"{name}/{preset}")
        out = part.encode(["two words"])
        assert out.pooled is None
        assert part.text.pooled_width == 0
        assert out.tokens.shape[-1] == part.text.width
        assert part.text.padding == "masked"


@pytest.mark.parametrize("name", NAMES)
def test_too_long_prompts_are_cut_with_a_warning(name: str) -> None:
    part = encoder(name, max_tokens=4)
    with pytest.warns(UserWarning, match="reads the first 4"):
        cut = part.encode(["one two three four five"])
    assert cut.tokens.shape[1] == 4
    exact = "one two three four" if name == "words" else "1234"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        part.encode([exact])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("prompts", ["a bare string", [], [None], ["fine", 3], 7])
def test_what_is_no_list_of_prompts_is_refused(name: str, prompts: object) -> None:
    with pytest.raises(ConfigError):
        encoder(name).encode(prompts)


@pytest.mark.parametrize("name", NAMES)
def test_starts_as_the_bare_symbols_and_trains_everywhere(name: str) -> None:
    part = vidgen.create("text_encoder", f"{name}/tiny", width=256)
    one, other = part.encode(["red x x"]).tokens[0, 0], part.encode(["red y z"]).tokens[0, 0]
    torch.testing.assert_close(one, other)  # the blocks add nothing yet, so the neighbours cannot be seen
    assert one.square().mean().sqrt().item() == pytest.approx(1.0, abs=0.01)
    for _ in range(2):  # zero last layers hold back the gradient of the rest for one step
        part.zero_grad()
        part.encode(["a red circle"]).tokens.pow(3).sum().backward()
        with torch.no_grad():
            for parameter in part.parameters():
                parameter -= 1e-3 * parameter.grad
    assert all(parameter.grad.abs().max() > 0 for parameter in part.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_state_round_trips(name: str, tmp_path: object) -> None:
    part, other = encoder(name), vidgen.create("text_encoder", f"{name}/tiny")
    other.load_state_dict(part.state_dict(), strict=True)
    torch.testing.assert_close(part.encode(["a red circle"]).tokens, other.encode(["a red circle"]).tokens)


def test_words_ignore_case_punctuation_and_unicode_form() -> None:
    part = encoder("words")
    one = part.encode(["A caf\u00e9, RED circle!"]).tokens
    torch.testing.assert_close(one, part.encode(["a cafe\u0301 red  circle"]).tokens)
    assert not torch.allclose(one, part.encode(["a caf\u00e9 blue circle"]).tokens)


def test_word_order_is_read() -> None:
    part = encoder("words")
    one, other = part.encode(["black cat white dog"]).tokens, part.encode(["white cat black dog"]).tokens
    assert not torch.allclose(one.mean(1), other.mean(1), atol=1e-3)


def test_vocabulary_comes_before_the_buckets() -> None:
    part = encoder("words", vocabulary=("red", "blue"), buckets=1)
    assert part.symbols("red blue green mauve") == [1, 2, 3, 3]
    assert part.symbols("") == [0]


def test_the_shipped_buckets_part_all_words_of_the_kinetic_world() -> None:
    data = vidgen.create("data_set", "kinetic")
    part = vidgen.create("text_encoder", "words")
    words: set[str] = set()
    for index in range(3000):
        words |= set(_caption(data, index).lower().replace(",", " ").replace(":", " ").split())
    assert 50 <= len(words) <= 200
    numbers = {word: part.symbols(word) for word in words}
    assert all(len(number) == 1 for number in numbers.values())
    assert len({number[0] for number in numbers.values()}) == len(words)


def _caption(data: object, index: int) -> str:
    sample = data.sample(index, vidgen.Size(1 if index % 4 == 0 else 2, 8, 8))
    return sample.caption


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"width": 63}, "even"),
        ({"width": 66, "heads": 4}, "divide"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"buckets": 0}, "buckets"),
        ({"vocabulary": ("Red",)}, "lower case"),
        ({"vocabulary": ("red", "red")}, "twice"),
        ({"vocabulary": ("very red",)}, "one word"),
    ],
)
def test_wrong_fields_are_named(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        vidgen.create("text_encoder", "words/tiny", **fields)
