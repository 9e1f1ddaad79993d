"""Named configurations of the text encoders; `small` is the default of each that has one."""

from __future__ import annotations

from vidgen_text.config import BytesConfig, WordsConfig

__all__ = ["BYTES", "WORDS"]

WORDS: dict[str, WordsConfig] = {
    "tiny": WordsConfig(width=64, layers=1, heads=2, max_tokens=32, vocabulary=(), buckets=2053),
    "small": WordsConfig(width=256, layers=2, heads=4, max_tokens=32, vocabulary=(), buckets=2053),
    "base": WordsConfig(width=512, layers=4, heads=8, max_tokens=64, vocabulary=(), buckets=8009),
}

BYTES: dict[str, BytesConfig] = {
    "tiny": BytesConfig(width=64, layers=1, heads=2, max_tokens=128),
    "small": BytesConfig(width=256, layers=4, heads=4, max_tokens=128),
    "base": BytesConfig(width=512, layers=8, heads=8, max_tokens=256),
}
