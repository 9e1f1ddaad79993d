"""What text encoders do with prompts before they read them. No torch here."""

from __future__ import annotations

import html
import importlib.util
import re
import unicodedata
import warnings
from collections.abc import Sequence

from vidgen.errors import ConfigError

__all__ = ["check_prompts", "clean", "first_line", "split_words", "warn_if_cut"]

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")


def split_words(text: str) -> list[str]:
    """Split text into lower-case words; punctuation is dropped.

    Signs that Unicode counts as equal (a letter with its accent, or both apart) give equal words.
    """
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def check_prompts(prompts: Sequence[str]) -> list[str]:
    """Return the prompts as a list; a lone surrogate, left by a broken decoding, becomes ``?``.

    Raises:
        ConfigError: For a bare string (its letters would pass for prompts), for none at all, or for
            anything else.
    """
    if isinstance(prompts, str):
        raise ConfigError(f"encode() takes a list of prompts, not one string; write [{prompts[:40]!r}].")
    if not isinstance(prompts, Sequence):
        raise ConfigError(f"encode() takes a list of prompts, not {type(prompts).__name__}.")
    if not prompts:
        raise ConfigError('encode() needs at least one prompt; for none to follow, give the empty one: [""].')
    for index, prompt in enumerate(prompts):
        if not isinstance(prompt, str):
            raise ConfigError(f"Prompt {index} must be a string, not {prompt!r} ({type(prompt).__name__}).")
    return [prompt.encode("utf-8", "replace").decode() for prompt in prompts]


def clean(prompt: str, how: str) -> str:
    """Return a prompt as a published model was trained to read it.

    Args:
        prompt: What somebody wrote.
        how: ``none``; ``spaces``: broken Unicode (where ftfy is installed) and HTML's signs put right, white space one
            space (Wan); ``lower``: lower case without space around it (Latte, Allegro).
    """
    if how == "lower":
        return prompt.lower().strip()
    if how == "none":
        return prompt
    if importlib.util.find_spec("ftfy"):
        import ftfy

        prompt = ftfy.fix_text(prompt)
    return " ".join(html.unescape(html.unescape(prompt)).split())


def warn_if_cut(prompt: str, tokens: int, limit: int) -> None:
    """Warn when a prompt has more tokens than the encoder reads."""
    if tokens > limit:
        start = prompt if len(prompt) <= 40 else prompt[:37] + "..."
        warnings.warn(
            f"The prompt {start!r} has {tokens} tokens; the encoder reads the first {limit}, not the rest.",
            UserWarning,
            stacklevel=4,
        )


def first_line(problem: BaseException) -> str:
    """Return the first line of an error's text, without its full stop, to stand inside a sentence."""
    text = str(problem).strip() or type(problem).__name__
    return text.split("\n")[0].strip().rstrip(".")
