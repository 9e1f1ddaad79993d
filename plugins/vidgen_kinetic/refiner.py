"""Loose wording to the captions of the kinetic world, by rules: spelling, phrases, where a background is spoken of."""

from __future__ import annotations

import difflib
import re
import warnings
from dataclasses import dataclass

from vidgen.sampling.refine import PromptRefiner
from vidgen_kinetic.config import ATTRIBUTES, CAPTION, IMAGE_CAPTION, KineticRefinerConfig
from vidgen_kinetic.lexicon import FILLERS, GROUNDS, MARKERS, MEANINGS, ONLY_BEHIND

__all__ = ["KineticRefiner"]

ALIKE, SWAPPED = 0.83, 0.6
"""How alike a misspelt word must be, as difflib measures it: one letter too many, lacking or (in long words) wrong; the
second where it has the same letters in another order."""

_KNOWN = sorted({word for phrase in MEANINGS for word in phrase} | MARKERS | GROUNDS | FILLERS)
_LONGEST = max(map(len, MEANINGS))
_ARTICLES = ("a", "an", "the")


@dataclass(slots=True)
class _Item:
    """A phrase of a prompt: its words, and what it may mean (nothing for fillers, marks and unknown words)."""

    words: tuple[str, ...]
    meanings: dict[str, str]

    @property
    def shade(self) -> bool:
        """Whether it names a colour of anything."""
        return "colour" in self.meanings or "background" in self.meanings


class KineticRefiner(PromptRefiner):
    """Turns prompts into captions; what is not said gets the configured word.

    Args:
        config: The configuration.
    """

    def __init__(self, config: KineticRefinerConfig | None = None) -> None:
        self.config = config or KineticRefinerConfig()

    def refine(self, prompts: list[str]) -> list[str]:
        """Return a caption for each prompt; one with nothing to read stays as it is. Warns of words left out."""
        made = []
        for prompt in prompts:
            facts, left = self.read(prompt)
            caption = self._caption(facts) if facts else prompt
            if left or not facts:
                words = ", ".join(map(repr, left)) or "every word"
                warnings.warn(
                    f"The kinetic refiner cannot read {words} of {prompt!r}: it becomes {caption!r}.",
                    UserWarning,
                    stacklevel=2,
                )
            made.append(caption)
        return made

    def read(self, prompt: str) -> tuple[dict[str, str], list[str]]:
        """Return the facts that a prompt names, attribute -> word of the world, and the words that were left out."""
        items = _items(_spelt(prompt))
        facts: dict[str, str] = {}
        left: list[str] = []
        later: list[tuple[int, str]] = []  # what counts only where nothing better is said
        shapes = {item.meanings["shape"] for item in items if "shape" in item.meanings}
        for index, item in enumerate(items):
            meanings, text = dict(item.meanings), " ".join(item.words)
            if text == "circles" and len(shapes) > 1:
                meanings = {"motion": "circling"}
            if not meanings:
                if text not in FILLERS | MARKERS | GROUNDS and text.isalpha():
                    left.append(text)
                continue
            if item.shade:
                behind = _behind(items, index)
                wanted = "background" if behind else "colour"
                if wanted not in meanings and not behind and text not in ONLY_BEHIND:
                    later.append((index, "background"))
                    continue
                if wanted not in meanings:
                    left.append(text)
                    continue
                meanings = {wanted: meanings[wanted]}
            ((attribute, word),) = meanings.items()
            if text in ("around", "round"):
                later.append((index, attribute))
            elif facts.setdefault(attribute, word) != word:
                left.append(text)
        for index, attribute in later:
            following = items[index + 1 : index + 2]
            if attribute == "background" and following and "shape" in following[0].meanings:
                left.append(" ".join(items[index].words))  # "a black circle": no colour of the world
            else:
                facts.setdefault(attribute, items[index].meanings[attribute])
        return facts, left

    def _caption(self, facts: dict[str, str]) -> str:
        words = {attribute: facts.get(attribute, getattr(self.config, attribute)) for attribute in ATTRIBUTES}
        return (IMAGE_CAPTION if self.config.image else CAPTION).format(**words)


def _spelt(prompt: str) -> list[str]:
    """Split a prompt into lower-case words and marks, without articles, misspelt words put right."""
    words = re.findall(r"[^\W\d_]+|[,.:;!?]", prompt.lower().replace("'", "").replace("\u2019", ""))
    return [_right(word) for word in words if word not in _ARTICLES]


def _right(word: str) -> str:
    if len(word) < 3 or word in _KNOWN:
        return word
    begun_alike = [known for known in _KNOWN if known[0] == word[0]]
    for near in difflib.get_close_matches(word, begun_alike, n=3, cutoff=SWAPPED):
        if sorted(near) == sorted(word) or difflib.SequenceMatcher(None, near, word).ratio() >= ALIKE:
            return near
    return word


def _items(words: list[str]) -> list[_Item]:
    """Group words into phrases that mean something, the longest first; the rest stand alone."""
    starts: dict[int, int] = {}
    free = [True] * len(words)
    for length in range(_LONGEST, 0, -1):
        for at in range(len(words) - length + 1):
            if all(free[at : at + length]) and (length == 1 or tuple(words[at : at + length]) in MEANINGS):
                starts[at] = length
                free[at : at + length] = [False] * length
    phrases = [tuple(words[at : at + length]) for at, length in sorted(starts.items())]
    return [_Item(phrase, dict(MEANINGS.get(phrase, {}))) for phrase in phrases]


def _behind(items: list[_Item], index: int) -> bool:
    """Say whether a shade is that of the background: "brown backdrop", "on brown", "background: brown"."""
    for item in items[index + 1 :]:
        if item.words[0] in GROUNDS:
            return True
        if not (item.shade or item.words[0] in ("colored", "coloured", "plain", "toned")):
            break
    return _follows_marker(items, index)


def _follows_marker(items: list[_Item], index: int) -> bool:
    """Say whether nothing but fillers stands between a shade and a marker, or a noun that has no shade yet."""
    for place in range(index - 1, -1, -1):
        word = items[place].words[0]
        if word in MARKERS:
            return True
        if word in GROUNDS:
            return not any(item.shade for item in items[max(place - 1, 0) : place])
        if word not in FILLERS and word != ":":
            return False
    return False
