"""Named configurations of the text encoders; the default is `small`, else the first."""

from __future__ import annotations

from vidgen_text.config import BytesConfig, OpenClipConfig, T5Config, WordsConfig

__all__ = ["BYTES", "OPEN_CLIP", "T5", "WORDS"]

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

OPEN_CLIP: dict[str, OpenClipConfig] = {
    "vit-b-32": OpenClipConfig(model="ViT-B-32"),
    "tiny": OpenClipConfig(model="ViT-B-32", width=32, layers=2, heads=2, embed_dim=32),
    "vit-l-14": OpenClipConfig(model="ViT-L-14"),
    "vit-h-14": OpenClipConfig(model="ViT-H-14"),
    "vit-bigg-14": OpenClipConfig(model="ViT-bigG-14"),
    "videocrafter2": OpenClipConfig(model="ViT-H-14", layer="penultimate"),
}
"""Sizes that are not spelled out stand in open_clip's own table."""

T5: dict[str, T5Config] = {
    "tiny": T5Config(
        family="t5",
        source="",
        vocabulary=384,
        width=64,
        layers=2,
        heads=4,
        head_width=16,
        hidden=128,
        max_tokens=128,
    ),
    "t5-v1.1-xl": T5Config(
        family="t5",
        source="google/t5-v1_1-xl",
        vocabulary=32128,
        width=2048,
        layers=24,
        heads=32,
        head_width=64,
        hidden=5120,
        max_tokens=226,
    ),
    "t5-v1.1-xxl": T5Config(
        family="t5",
        source="google/t5-v1_1-xxl",
        vocabulary=32128,
        width=4096,
        layers=24,
        heads=64,
        head_width=64,
        hidden=10240,
        max_tokens=226,
    ),
    "mt5-xl": T5Config(
        family="mt5",
        source="google/mt5-xl",
        vocabulary=250112,
        width=2048,
        layers=24,
        heads=32,
        head_width=64,
        hidden=5120,
        max_tokens=512,
    ),
    "mt5-xxl": T5Config(
        family="mt5",
        source="google/mt5-xxl",
        vocabulary=250112,
        width=4096,
        layers=24,
        heads=64,
        head_width=64,
        hidden=10240,
        max_tokens=512,
    ),
    "umt5-xxl": T5Config(
        family="umt5",
        source="google/umt5-xxl",
        vocabulary=256384,
        width=4096,
        layers=24,
        heads=64,
        head_width=64,
        hidden=10240,
        max_tokens=512,
    ),
}
"""Published sizes; all of them but `tiny` need the tokenizer of their source."""
