"""Named configurations of the text encoders; the default is `small`, else the first."""

from __future__ import annotations

from vidgen_text.config import BytesConfig, JointConfig, OpenClipConfig, WordsConfig
from vidgen_text.transformers_config import CLIPConfig, LlamaConfig, T5Config

__all__ = ["BYTES", "CLIP", "JOINT", "LLAMA", "OPEN_CLIP", "T5", "WORDS"]

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

HUNYUAN_VIDEO = (
    "<|start_header_id|>system<|end_header_id|>\n\nDescribe the video by detailing the following aspects: "
    "1. The main content and theme of the video."
    "2. The color, shape, size, texture, quantity, text, and spatial relationships of the objects."
    "3. Actions, events, behaviors temporal relationships, physical movement changes of the objects."
    "4. background environment, light, style and atmosphere."
    "5. camera angles, movements, and transitions used in the video:<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
)
"""What HunyuanVideo was trained to have its prompts in (https://github.com/Tencent/HunyuanVideo)."""

LLAMA: dict[str, LlamaConfig] = {
    "tiny": LlamaConfig(
        source="",
        vocabulary=384,
        width=64,
        layers=3,
        heads=4,
        key_value_heads=2,
        hidden=128,
        rope_theta=10000.0,
        norm_eps=1e-6,
        skip=2,
        template="<{}>",
        template_tokens=1,
        max_tokens=128,
    ),
    "hunyuan-video": LlamaConfig(
        source="xtuner/llava-llama-3-8b-v1_1-transformers",
        vocabulary=128320,
        width=4096,
        layers=32,
        heads=32,
        key_value_heads=8,
        hidden=14336,
        rope_theta=500000.0,
        norm_eps=1e-5,
        skip=2,
        template=HUNYUAN_VIDEO,
        template_tokens=95,
        max_tokens=256,
    ),
}
"""The published one needs the tokenizer of its source."""

CLIP: dict[str, CLIPConfig] = {
    "tiny": CLIPConfig(
        source="",
        vocabulary=384,
        width=32,
        layers=2,
        heads=2,
        hidden=64,
        activation="quick_gelu",
        norm_eps=1e-5,
        end_mark=1,
        max_tokens=77,
    ),
    "vit-l-14": CLIPConfig(
        source="openai/clip-vit-large-patch14",
        vocabulary=49408,
        width=768,
        layers=12,
        heads=12,
        hidden=3072,
        activation="quick_gelu",
        norm_eps=1e-5,
        end_mark=2,
        max_tokens=77,
    ),
}
"""The published one needs the tokenizer of its source."""

JOINT: dict[str, JointConfig] = {
    "tiny": JointConfig(tokens="llama/tiny", pooled="clip/tiny"),
    "hunyuan-video": JointConfig(tokens="llama/hunyuan-video", pooled="clip/vit-l-14"),
}
