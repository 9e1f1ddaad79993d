"""Named configurations of Latte."""

from __future__ import annotations

from vidgen_latte.config import LatteConfig

__all__ = ["LATTE"]

_XL_122 = LatteConfig(
    latent_channels=4, text_width=4096, heads=16, head_width=72, depth=28, patch=2, side=64, interpolation=(1.0, 1.0),
    image_position=False, learned_sigma=True,
)  # fmt: skip

LATTE: dict[str, LatteConfig] = {
    "xl-122": _XL_122,
    "osp-256": _XL_122.replace(side=32, image_position=True),
    "osp-512": _XL_122.replace(side=64, image_position=True),
    "osp-221x512": _XL_122.replace(side=64, image_position=True, interpolation=(3.0, 1.0)),
    "mini": LatteConfig(
        heads=4, head_width=32, depth=3, patch=2, side=8, interpolation=(1.0, 1.0), image_position=False,
        learned_sigma=True,
    ),
    "tiny": LatteConfig(
        heads=4, head_width=16, depth=2, patch=2, side=8, interpolation=(1.0, 1.0), image_position=False,
        learned_sigma=True,
    ),
}  # fmt: skip
"""`osp-` are Open-Sora Plan's: 256 for 17 and 65 frames (1.0), 512 for 65 (1.0 and 1.1), 221x512 for 221 (1.1)."""
