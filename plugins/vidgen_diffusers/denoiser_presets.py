"""Named configurations of diffusers' denoisers: as published at full size, and tiny ones."""

from __future__ import annotations

from typing import Any

from vidgen_diffusers.denoiser_config import DiffusersDenoiserConfig
from vidgen_diffusers.denoiser_models import Model

__all__ = ["DENOISERS"]


def _published(model: Model, **fields: Any) -> DiffusersDenoiserConfig:
    """Return what a published ``config.json`` with these fields amounts to."""
    return DiffusersDenoiserConfig.from_published({"_class_name": model, **fields}, ())


def _tiny(model: Model, **options: Any) -> DiffusersDenoiserConfig:
    """Return a small model for 16 latent channels that follows any text encoder."""
    return DiffusersDenoiserConfig(model=model, latent_channels=16, options=options)


_LATTE = {
    "activation_fn": "gelu-approximate",
    "attention_bias": True,
    "norm_elementwise_affine": False,
    "norm_eps": 1e-6,
    "norm_type": "ada_norm_single",
    "num_embeds_ada_norm": 1000,
    "patch_size": 2,
}
_WAN = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "ffn_dim": 32,
    "num_layers": 2,
    "rope_max_seq_len": 32,
}
_COGVIDEOX_5B = {"num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True}

_FULL = {
    "allegro": _published("AllegroTransformer3DModel"),
    "cogvideox-1.5-5b": _published(
        "CogVideoXTransformer3DModel", **_COGVIDEOX_5B, patch_size_t=2, patch_bias=False, sample_height=300,
        sample_width=300, sample_frames=81, max_text_seq_length=224,
    ),
    "cogvideox-2b": _published("CogVideoXTransformer3DModel"),
    "cogvideox-5b": _published("CogVideoXTransformer3DModel", **_COGVIDEOX_5B),
    "hunyuan-video": _published("HunyuanVideoTransformer3DModel"),
    "latte-1": _published(
        "LatteTransformer3DModel", **_LATTE, num_attention_heads=16, attention_head_dim=72, num_layers=28,
        cross_attention_dim=1152, in_channels=4, out_channels=8, caption_channels=4096, sample_size=64,
        video_length=16,
    ),
    "ltx-video-0.9": _published("LTXVideoTransformer3DModel"),
    "mochi-1": _published("MochiTransformer3DModel"),
    "modelscope-1.7b": _published("UNet3DConditionModel", sample_size=32),
    "sana-video-2b": _published("SanaVideoTransformer3DModel"),
    "skyreels-v2-14b": _published(
        "SkyReelsV2Transformer3DModel", num_attention_heads=40, ffn_dim=13824, num_layers=40
    ),
    "wan-2.1-1.3b": _published("WanTransformer3DModel", num_attention_heads=12, ffn_dim=8960, num_layers=30),
    "wan-2.1-14b": _published("WanTransformer3DModel"),
}  # fmt: skip

_TINY = {
    "tiny-allegro": _tiny(
        "AllegroTransformer3DModel", num_attention_heads=2, attention_head_dim=12, num_layers=1,
        cross_attention_dim=24, sample_width=8, sample_height=8, sample_frames=8,
    ),
    "tiny-cogvideox": _tiny(
        "CogVideoXTransformer3DModel", num_attention_heads=4, attention_head_dim=8, time_embed_dim=2, num_layers=1,
        sample_width=2, sample_height=2, sample_frames=9,
    ),
    "tiny-hunyuan": _tiny(
        "HunyuanVideoTransformer3DModel", num_attention_heads=2, attention_head_dim=10, num_layers=1,
        num_single_layers=1, num_refiner_layers=1, patch_size=1, rope_axes_dim=[2, 4, 4],
    ),
    "tiny-latte": _tiny(
        "LatteTransformer3DModel", **_LATTE, num_attention_heads=3, attention_head_dim=8, num_layers=1,
        cross_attention_dim=24, sample_size=8, video_length=4,
    ).replace(learned_sigma=True),
    "tiny-ltx": _tiny(
        "LTXVideoTransformer3DModel", num_attention_heads=4, attention_head_dim=8, num_layers=1,
        cross_attention_dim=32,
    ),
    "tiny-mochi": _tiny(
        "MochiTransformer3DModel", num_attention_heads=2, attention_head_dim=8, num_layers=2,
        pooled_projection_dim=16,
    ),
    "tiny-sana-video": _tiny(
        "SanaVideoTransformer3DModel", num_attention_heads=2, attention_head_dim=12, num_layers=2,
        num_cross_attention_heads=2, cross_attention_head_dim=12, cross_attention_dim=24, rope_max_seq_len=32,
    ),
    "tiny-skyreels-v2": _tiny("SkyReelsV2Transformer3DModel", **_WAN),
    "tiny-unet-3d": _tiny(
        "UNet3DConditionModel", block_out_channels=[4, 8], layers_per_block=1, norm_num_groups=2,
        attention_head_dim=4, down_block_types=["CrossAttnDownBlock3D", "DownBlock3D"],
        up_block_types=["UpBlock3D", "CrossAttnUpBlock3D"],
    ),
    "tiny-wan": _tiny("WanTransformer3DModel", **_WAN),
}  # fmt: skip

DENOISERS: dict[str, DiffusersDenoiserConfig] = {
    **_FULL,
    "tiny": _TINY["tiny-wan"].replace(latent_channels=None),
    **_TINY,
}
"""The tiny ones are as large as diffusers' own tests make them, but for latents of 16 channels."""
