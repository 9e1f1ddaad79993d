"""The prompt refiner: every caption of the world comes back canonical, and loose prompts are mostly understood."""

from __future__ import annotations

import warnings
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vidgen
from benchmarks.loose_prompts import BLIND, FRESH, TUNED, read
from vidgen.errors import ConfigError
from vidgen_kinetic.config import (
    ATTRIBUTES,
    BACKGROUNDS,
    CAPTION,
    COLOURS,
    IMAGE_TEMPLATES,
    MOTIONS,
    SHAPES,
    SIZES,
    SYNONYMS,
    TEMPLATES,
)
from vidgen_kinetic.lexicon import FILLERS, GROUNDS, MARKERS, MEANINGS
from vidgen_kinetic.refiner import KineticRefiner

WORDS = {
    "size": tuple(SIZES),
    "colour": tuple(COLOURS),
    "shape": SHAPES,
    "motion": MOTIONS,
    "background": tuple(BACKGROUNDS),
}


@pytest.fixture
def refiner():
    return vidgen.create("prompt_refiner", "kinetic")


@pytest.fixture(autouse=True)
def _warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def scenes():
    return [dict(zip(ATTRIBUTES, words, strict=True)) for words in product(*(WORDS[a] for a in ATTRIBUTES))]


@pytest.mark.parametrize("template", [CAPTION, *TEMPLATES])
@pytest.mark.parametrize("article", ["a ", ""])
def test_every_scene_in_every_wording_gives_the_caption(refiner, template, article):
    facts = scenes()
    assert len(facts) == 2048
    made = refiner.refine([template.format(a=article, **one) for one in facts])
    assert made == [CAPTION.format(**one) for one in facts]


@pytest.mark.parametrize("template", [CAPTION, *TEMPLATES])
def test_every_pair_of_synonyms_in_every_wording_gives_the_caption(refiner, template):
    base = {"size": "large", "colour": "red", "shape": "square", "motion": "moving up", "background": "navy"}
    prompts, wanted = [], []
    for one, other in product(ATTRIBUTES, repeat=2):
        for a, b in product(WORDS[one], WORDS[other]):
            facts = base | {one: a} | {other: b}
            for x, y in product(SYNONYMS.get(facts[one], (facts[one],)), SYNONYMS.get(b, (b,))):
                prompts.append(template.format(a="", **(facts | {one: x} | {other: y})))
                wanted.append(CAPTION.format(**facts))
    assert len(prompts) > 1000
    assert refiner.refine(prompts) == wanted


@given(st.integers(0, 2047), st.sampled_from([CAPTION, *TEMPLATES]), st.data())
@settings(max_examples=200, deadline=None)
def test_captions_of_the_data_in_any_synonyms(index, template, data):
    facts = scenes()[index]
    said = {a: data.draw(st.sampled_from(SYNONYMS.get(word, (word,)))) for a, word in facts.items()}
    (made,) = KineticRefiner().refine([template.format(a=data.draw(st.sampled_from(["a ", ""])), **said)])
    assert made == CAPTION.format(**facts)


@pytest.mark.parametrize("template", IMAGE_TEMPLATES)
def test_captions_of_images_keep_their_four_words(template):
    refiner = vidgen.create("prompt_refiner", "kinetic", image=True)
    for one in scenes()[::7]:
        (made,) = refiner.refine([template.format(a="a ", **one)])
        assert made == f"a {one['size']} {one['colour']} {one['shape']} on a {one['background']} background"


@pytest.mark.parametrize(
    ("name", "text", "least"), [("tuned", TUNED, 40), ("blind", BLIND, 24), ("fresh", FRESH, 28)]
)
def test_loose_prompts(refiner, name, text, least, record_property):
    rows = read(text)
    wrong = []
    for prompt, meant in rows:
        facts, _ = refiner.read(prompt)
        if tuple(facts.get(attribute, "-") for attribute in ATTRIBUTES) != meant:
            wrong.append(prompt)
    record_property(
        "summary", f"kinetic refiner, {name}: {len(rows) - len(wrong)} of {len(rows)} loose prompts right"
    )
    assert len(rows) - len(wrong) >= least, wrong


def test_what_is_not_said_takes_the_configured_words(refiner):
    assert refiner.refine(["a green square"]) == ["a large green square standing still on a black background"]
    other = vidgen.create("prompt_refiner", "kinetic", size="small", motion="growing", background="navy")
    assert other.refine(["a green square"]) == ["a small green square growing on a navy background"]


def test_words_that_it_cannot_read_are_named(refiner):
    with pytest.warns(UserWarning, match=r"cannot read 'wooden', 'spinning' of"):
        (made,) = refiner.refine(["a wooden red cross spinning on navy"])
    assert made == "a large red cross standing still on a navy background"
    with pytest.warns(UserWarning, match="cannot read 'white'"):
        (made,) = refiner.refine(["a red circle on a white background"])
    assert made.startswith("a large red circle")
    with pytest.warns(UserWarning, match="cannot read 'black'"):
        (made,) = refiner.refine(["a black circle on navy"])
    assert made == "a large red circle standing still on a navy background"


@pytest.mark.parametrize("prompt", ["", "a cat", "un chien \U0001f415", "..."])
def test_a_prompt_of_another_world_stays_as_it_is(refiner, prompt):
    with pytest.warns(UserWarning, match="cannot read"):
        assert refiner.refine([prompt]) == [prompt]


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from([" ".join(p) for p in MEANINGS] + ["on", ","])).map(" ".join)
)
@settings(max_examples=300, deadline=None)
def test_anything_becomes_a_caption_or_stays(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (made,) = KineticRefiner().refine([text])
        assert made == text or KineticRefiner().refine([made]) == [made]


def test_a_refined_prompt_is_refined_to_itself(refiner):
    for prompt, _ in read(TUNED):
        (made,) = refiner.refine([prompt])
        assert refiner.refine([made]) == [made]


def test_no_word_of_the_lexicon_is_also_a_filler():
    single = {phrase[0] for phrase in MEANINGS if len(phrase) == 1}
    assert single & (FILLERS | GROUNDS | MARKERS) == set()


@pytest.mark.parametrize("wrong", [{"size": "medium"}, {"background": "white"}, {"motion": "left"}])
def test_defaults_are_words_of_the_world(wrong):
    with pytest.raises(ConfigError, match=f"KineticRefinerConfig.{next(iter(wrong))} must be one of"):
        vidgen.create("prompt_refiner", "kinetic", **wrong)
