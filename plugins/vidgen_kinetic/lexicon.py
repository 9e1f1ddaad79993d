"""What people call the words of the kinetic world: phrases without articles, in lower case.

The world's own synonyms stand in `config.py`; these are for prompts only. No numpy here.
"""

from __future__ import annotations

from collections.abc import Mapping

from vidgen_kinetic.config import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, SIZES, STILL, SYNONYMS

__all__ = ["FILLERS", "GROUNDS", "MARKERS", "MEANINGS", "ONLY_BEHIND", "Phrase"]

Phrase = tuple[str, ...]

_LOOSE: Mapping[str, Mapping[str, str]] = {
    "size": {
        "small": "mini; miniature; petite; wee; minuscule; minute; little; teeny; smallish; microscopic",
        "large": "giant; gigantic; enormous; massive; great; sizable; immense; colossal; humongous; oversized; largish",
    },
    "colour": {
        "red": "scarlet; crimson; ruby; vermilion; cherry; reddish",
        "green": "emerald; lime; jade; olive; lime green; mint; greenish",
        "blue": "azure; cobalt; sapphire; royal blue; bluish",
        "yellow": "gold; golden; lemon; canary; yellowish",
        "purple": "violet; magenta; lilac; lavender; indigo; mauve; plum",
        "orange": "tangerine; amber; apricot",
        "cyan": "turquoise; teal; aqua; aquamarine; sky blue; light blue",
        "white": "ivory; snow white; snowy; whitish",
    },
    "shape": {
        "circle": "circles; ball; disk; sphere; dot; round; orb; circular; ring",
        "square": "cube; block; tile; quadrangle",
        "triangle": "pyramid; triangular; wedge",
        "cross": "plus sign; x; crucifix",
    },
    "motion": {
        "moving left": "left; leftward; leftwards; right to left",
        "moving right": "right; rightward; rightwards; left to right",
        "moving up": "up; upward; upwards; bottom to top; *rise; *ascend; *climb; *soar",
        "moving down": "down; downward; downwards; top to bottom; *fall; *drop p; *descend; *sink; *plunge; *plummet",
        STILL: (
            "still; static; stationary; motionless; immobile; unmoving; not move; not moving; without moving; "
            "never moves; doesnt move; isnt moving; no motion; no movement; frozen; fixed; *rest; *stand; *stay"
        ),
        "growing": "*grow; *expand; *enlarge; *swell; *inflate; bigger; larger",
        "shrinking": "*shrink; *contract; *dwindle; *diminish; *deflate; smaller",
        "circling": (
            "circling; *orbit; *revolve; *loop; in circle; in circles; round and round; going round and round; "
            "*go round; *go around; *move around; *turn in circles; around"
        ),
    },
    "background": {
        "black": "jet black; pitch black; dark; ebony",
        "grey": (
            "gray; greyish; grayish; charcoal; slate; silver; ash; dark grey; dark gray; light grey; light gray; "
            "slate grey"
        ),
        "navy": "navy blue; dark blue; midnight; midnight blue; night sky; night sky blue; deep blue; blue",
        "brown": "chocolate; coffee; wood; wooden; mud; earth; tan",
    },
}
"""Other words for each; ``*verb`` stands for its forms (``*drop p`` doubles the p)."""

ONLY_BEHIND = frozenset({"dark", "blue", "wood", "wooden", "earth", "mud"})
"""Words that mean a background only where it is said to be one."""

MARKERS = frozenset({"on", "against", "over", "upon", "atop", "before", "front"})
"""What a background comes after (``in front of`` among them)."""

_BEHIND = "background backgrounds backdrop wall floor sky screen surface canvas field scenery ground behind"
GROUNDS = frozenset(_BEHIND.split())
"""Nouns of what is behind, and what they are said with."""

_MOVES = "move go slide drift travel head fly float glide run roll shift pass wander sail come"
_PLAIN = """
    all and animation are as at away becomes becoming bright by clip color colored colour coloured colours create
    deep direction does draw edge extremely fast filled for frame from generate gently get gets getting has have i
    id image in into is it its light like make me motion movement not object of one only picture place plain
    please position pure quickly really see shape shaped show side sign simple single size sized slowly smoothly
    solid some steadily that then there thing this to tone toned toward towards very video want where which while
    with would
"""


def _forms(verb: str) -> list[str]:
    """Return a verb as it stands, with -s and with -ing; of several words the first bends."""
    word, _, rest = verb.partition(" ")
    doubled = rest if len(rest) == 1 else ""
    tail = f" {rest}" if rest and not doubled else ""
    stem = word.removesuffix("e") if word.endswith("e") else word + doubled
    third = word + ("es" if word.endswith(("o", "s", "x", "ch", "sh")) else "s")
    return [f"{form}{tail}" for form in (word, third, f"{stem}ing")]


def _meanings() -> dict[Phrase, dict[str, str]]:
    """Return every phrase with what it may mean: attribute -> word of the world."""
    own = {
        "size": tuple(SIZES), "colour": tuple(COLOURS), "shape": SHAPES, "motion": MOTIONS,
        "background": tuple(BACKGROUNDS),
    }  # fmt: skip
    found: dict[Phrase, dict[str, str]] = {}
    for attribute, words in own.items():
        for word in words:
            phrases = [word, *SYNONYMS.get(word, ())]
            for loose in _LOOSE[attribute][word].split("; "):
                phrases += _forms(loose[1:]) if loose.startswith("*") else [loose]
            for phrase in phrases:
                bare = tuple(part for part in phrase.split() if part not in ("a", "an", "the"))
                found.setdefault(bare, {})[attribute] = word
    return found


MEANINGS: Mapping[Phrase, Mapping[str, str]] = _meanings()
FILLERS = frozenset(_PLAIN.split()) | {form for verb in _MOVES.split() for form in _forms(verb)}
"""Words that say nothing about the five facts."""
