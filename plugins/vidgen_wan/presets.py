"""Named configurations of Wan's parts; sizes of the published ones from their configurations."""

from __future__ import annotations

from vidgen_wan.config import (
    MEAN,
    STD,
    ExpertsConfig,
    WanAutoencoderConfig,
    WanConfig,
    WanLayoutConfig,
)
from vidgen_wan.text_and_image_config import TextAndImageConfig

__all__ = ["EXPERTS", "LAYOUT", "TEXT_AND_IMAGE", "WAN", "WAN_VAE"]

WAN_VAE: dict[str, WanAutoencoderConfig] = {
    "2.1": WanAutoencoderConfig(
        channels=16, width=96, multiples=(1, 2, 4, 4), depth=2, time_levels=(False, True, True),
        latent_shift=MEAN, latent_scale=tuple(1 / one for one in STD),
    ),
    "tiny": WanAutoencoderConfig(
        channels=16, width=4, multiples=(1, 2, 2, 2), depth=1, time_levels=(False, True, True)
    ),
}  # fmt: skip

_14B = WanConfig(
    latent_channels=16, text_width=4096, text_padding="zeros", heads=40, head_width=128, depth=40, hidden=13824,
)  # fmt: skip

_TINY = WanConfig(heads=2, head_width=12, depth=2, hidden=32, frequencies=32, places=16)

WAN: dict[str, WanConfig] = {
    "t2v-1.3b": _14B.replace(heads=12, depth=30, hidden=8960),
    "t2v-14b": _14B,
    "i2v-14b": _14B.replace(given="frames", image_width=1280),
    "flf2v-14b": _14B.replace(given="frames", image_width=1280, image_places=514),
    "2.2-i2v-a14b": _14B.replace(given="frames"),
    "2.2-ti2v-5b": _14B.replace(latent_channels=48, heads=24, depth=30, hidden=14336, frame_times=True),
    "mini": WanConfig(heads=4, head_width=36, depth=4, hidden=512),
    "tiny": _TINY,
    "tiny-image": _TINY.replace(given="frames", image_width=16),
    "tiny-frame-times": _TINY.replace(frame_times=True),
}
"""Wan 2.2's experts from text have the sizes of `t2v-14b`."""

EXPERTS: dict[str, ExpertsConfig] = {
    "2.2-t2v": ExpertsConfig(high="wan/t2v-14b", low="wan/t2v-14b", boundary=0.875),
    "2.2-i2v": ExpertsConfig(high="wan/2.2-i2v-a14b", low="wan/2.2-i2v-a14b", boundary=0.9),
    "tiny": ExpertsConfig(high="wan/tiny", low="wan/tiny", boundary=0.5),
}

LAYOUT: dict[str, WanLayoutConfig] = {"tiny": WanLayoutConfig()}

TEXT_AND_IMAGE: dict[str, TextAndImageConfig] = {
    "wan-2.1": TextAndImageConfig(text={"name": "t5", "preset": "umt5-xxl"}),
    "tiny": TextAndImageConfig(text="t5/tiny", width=16, layers=2, heads=2, hidden=32, side=32, patch=16),
}
