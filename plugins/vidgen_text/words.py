"""A text encoder over words: the one that the default model is trained with."""

from __future__ import annotations

import zlib

from vidgen_text.config import WordsConfig
from vidgen_text.prompts import split_words
from vidgen_text.transformer import SymbolEncoder

__all__ = ["WordsEncoder"]


class WordsEncoder(SymbolEncoder):
    """A transformer over words: the vocabulary's own embeddings, and hash buckets for all other words.

    Args:
        config: The configuration.
    """

    config: WordsConfig

    def __init__(self, config: WordsConfig) -> None:
        super().__init__(config, 1 + len(config.vocabulary) + config.buckets)
        self.ids = {word: 1 + index for index, word in enumerate(config.vocabulary)}

    def symbols(self, prompt: str) -> list[int]:
        """Return the words' numbers: 0 says that there is no word, then the vocabulary, then the buckets."""
        return [self._number(word) for word in split_words(prompt)] or [0]

    def _number(self, word: str) -> int:
        known = self.ids.get(word)
        if known is not None:
            return known
        # CRC-32 because it is the same on every machine and in every run, which Python's hash() is not.
        return 1 + len(self.ids) + zlib.crc32(word.encode()) % self.config.buckets
