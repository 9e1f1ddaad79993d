"""The published fields of Wan's configurations, and what they are called here."""

from __future__ import annotations

from typing import Any

__all__ = [
    "AUTOENCODER_IGNORED",
    "AUTOENCODER_NAMES",
    "AUTOENCODER_ONLY",
    "DEFAULTS",
    "IGNORED",
    "NAMES",
    "ONLY",
    "ORIGINAL",
    "ORIGINAL_DEFAULTS",
    "ORIGINAL_IGNORED",
    "ORIGINAL_ONLY",
]

AUTOENCODER_NAMES = {
    "base_dim": "width",
    "decoder_base_dim": "decoder_width",
    "z_dim": "channels",
    "dim_mult": "multiples",
    "num_res_blocks": "depth",
    "temperal_downsample": "time_levels",
    "latents_mean": "mean",
    "latents_std": "std",
}
AUTOENCODER_ONLY = {
    "attn_scales": ([],),
    "is_residual": False,
    "in_channels": 3,
    "out_channels": 3,
    "patch_size": None,
}
AUTOENCODER_IGNORED = ("dropout", "scale_factor_temporal", "scale_factor_spatial", "clip_output")

NAMES = {
    "num_attention_heads": "heads",
    "attention_head_dim": "head_width",
    "num_layers": "depth",
    "ffn_dim": "hidden",
    "patch_size": "patch",
    "freq_dim": "frequencies",
    "eps": "epsilon",
    "cross_attn_norm": "cross_norm",
    "rope_max_seq_len": "places",
    "text_dim": "text_width",
    "in_channels": "inputs",
    "out_channels": "outputs",
    "image_dim": "image_width",
    "pos_embed_seq_len": "image_places",
    "added_kv_proj_dim": "added_kv_proj_dim",
}
ONLY = {"qk_norm": "rms_norm_across_heads"}
IGNORED = ("attention_kwargs", "window_size", "add_img_emb", "img_dim")
DEFAULTS: dict[str, Any] = {
    "patch_size": [1, 2, 2],
    "num_attention_heads": 40,
    "attention_head_dim": 128,
    "in_channels": 16,
    "out_channels": 16,
    "text_dim": 4096,
    "freq_dim": 256,
    "ffn_dim": 13824,
    "num_layers": 40,
    "cross_attn_norm": True,
    "qk_norm": "rms_norm_across_heads",
    "eps": 1e-6,
    "image_dim": None,
    "added_kv_proj_dim": None,
    "rope_max_seq_len": 1024,
    "pos_embed_seq_len": None,
}
"""What diffusers takes for a field that ``config.json`` leaves out."""

ORIGINAL = {
    "dim": "width",
    "num_heads": "heads",
    "num_layers": "depth",
    "ffn_dim": "hidden",
    "freq_dim": "frequencies",
    "eps": "epsilon",
    "in_dim": "inputs",
    "out_dim": "outputs",
    "text_dim": "text_width",
    "patch_size": "patch",
    "cross_attn_norm": "cross_norm",
    "model_type": "model_type",
}
ORIGINAL_ONLY = {"qk_norm": True, "window_size": ([-1, -1], (-1, -1))}
ORIGINAL_IGNORED = ("text_len",)
ORIGINAL_DEFAULTS: dict[str, Any] = {
    "model_type": "t2v",
    "patch_size": [1, 2, 2],
    "in_dim": 16,
    "dim": 2048,
    "ffn_dim": 8192,
    "freq_dim": 256,
    "text_dim": 4096,
    "out_dim": 16,
    "num_heads": 16,
    "num_layers": 32,
    "cross_attn_norm": True,
    "eps": 1e-6,
}
"""What the original ``WanModel`` takes for a field that ``config.json`` leaves out."""
