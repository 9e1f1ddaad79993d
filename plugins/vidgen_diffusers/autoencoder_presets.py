"""Named configurations of autoencoders: published ones, by what they leave of the defaults, and tiny ones."""

from __future__ import annotations

from typing import Any

from vidgen_diffusers.autoencoder_config import DiffusersAutoencoderConfig
from vidgen_diffusers.options import Options

__all__ = ["AUTOENCODER"]


def _of(model: Any, **options: Any) -> DiffusersAutoencoderConfig:
    return DiffusersAutoencoderConfig(model=model, options=Options(options))


_FOUR = [8, 8, 8, 8]
_ONE_EACH = [1, 1, 1, 1]
_SCALED = [True, True, True]
_DC_BLOCKS = ["ResBlock"] * 3 + ["EfficientViTBlock"] * 3
_FOUR_2D: dict[str, Any] = {
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}

_PUBLISHED = {
    "wan-2.1": _of("AutoencoderKLWan"),
    "hunyuan-video": _of("AutoencoderKLHunyuanVideo"),
    "hunyuan-video-1.5": _of("AutoencoderKLHunyuanVideo15"),
    "cogvideox-2b": _of("AutoencoderKLCogVideoX"),
    "cogvideox-5b": _of("AutoencoderKLCogVideoX", scaling_factor=0.7),
    "ltx-0.9.0": _of("AutoencoderKLLTXVideo"),
    "ltx-0.9.1": _of(
        "AutoencoderKLLTXVideo", decoder_block_out_channels=[256, 512, 1024], decoder_layers_per_block=[5, 6, 7, 8],
        decoder_spatio_temporal_scaling=_SCALED, decoder_inject_noise=[True, True, True, False],
        upsample_residual=_SCALED, upsample_factor=[2, 2, 2], timestep_conditioning=True,
    ).replace(decode_timestep=0.05, decode_noise_scale=0.025),
    "ltx-2": _of("AutoencoderKLLTX2Video"),
    "mochi-1": _of("AutoencoderKLMochi"),
    "allegro": _of("AutoencoderKLAllegro"),
    "easyanimate-5.1": _of("AutoencoderKLMagvit"),
    "cosmos-1.0": _of("AutoencoderKLCosmos"),
    "svd": _of(
        "AutoencoderKLTemporalDecoder", down_block_types=["DownEncoderBlock2D"] * 4,
        block_out_channels=[128, 256, 512, 512], layers_per_block=2, sample_size=768,
    ),
    "sd-1": _of(
        "AutoencoderKL", **_FOUR_2D, block_out_channels=[128, 256, 512, 512], layers_per_block=2, sample_size=512
    ),
    "qwen-image": _of("AutoencoderKLQwenImage"),
    "dc-ae-f32c32": _of(
        "AutoencoderDC", encoder_block_types=_DC_BLOCKS, decoder_block_types=_DC_BLOCKS,
        downsample_block_type="conv", upsample_block_type="interpolate", scaling_factor=0.41407,
    ),
}  # fmt: skip

_WAN_TINY = {
    "base_dim": 3,
    "z_dim": 16,
    "dim_mult": _ONE_EACH,
    "num_res_blocks": 1,
    "temperal_downsample": [False, True, True],
}
_NORMED: dict[str, Any] = {
    "block_out_channels": _FOUR,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "latent_channels": 16,
}
_TINY = {
    "tiny": _of("AutoencoderKLWan", **_WAN_TINY),
    "tiny-hunyuan-video": _of("AutoencoderKLHunyuanVideo", **_NORMED),
    "tiny-hunyuan-video-1.5": _of(
        "AutoencoderKLHunyuanVideo15", latent_channels=16, block_out_channels=[8, 8, 8, 16, 32], layers_per_block=1
    ),
    "tiny-cogvideox": _of("AutoencoderKLCogVideoX", **_NORMED),
    "tiny-ltx": _of(
        "AutoencoderKLLTXVideo", latent_channels=16, block_out_channels=_FOUR, decoder_block_out_channels=_FOUR,
        layers_per_block=[1] * 5, decoder_layers_per_block=[1] * 5,
    ),
    "tiny-ltx-0.9.1": _of(
        "AutoencoderKLLTXVideo", latent_channels=16, block_out_channels=_FOUR, decoder_block_out_channels=[8, 16, 32],
        layers_per_block=[1] * 5, decoder_layers_per_block=_ONE_EACH, decoder_spatio_temporal_scaling=_SCALED,
        decoder_inject_noise=[True, True, True, False], upsample_residual=_SCALED, upsample_factor=[2, 2, 2],
        timestep_conditioning=True,
    ).replace(decode_timestep=0.05, decode_noise_scale=0.025),
    "tiny-ltx-2": _of(
        "AutoencoderKLLTX2Video", latent_channels=16, block_out_channels=[8, 16, 32, 64],
        decoder_block_out_channels=[8, 16, 32], layers_per_block=[1] * 5, decoder_layers_per_block=_ONE_EACH,
    ),
    "tiny-mochi": _of(
        "AutoencoderKLMochi", latent_channels=16, encoder_block_out_channels=[32] * 4,
        decoder_block_out_channels=[32] * 4, layers_per_block=[1] * 5,
        latents_mean=[0.1] * 8 + [-0.2] * 8, latents_std=[0.9] * 8 + [1.1] * 8,
    ),
    "tiny-allegro": _of("AutoencoderKLAllegro", **_NORMED),
    "tiny-easyanimate": _of("AutoencoderKLMagvit", **_NORMED),
    "tiny-cosmos": _of(
        "AutoencoderKLCosmos", latent_channels=16, encoder_block_out_channels=_FOUR, decode_block_out_channels=_FOUR,
        attention_resolutions=[8], resolution=64, num_layers=1, latents_mean=[], latents_std=[],
    ),
    "tiny-svd": _of(
        "AutoencoderKLTemporalDecoder", down_block_types=["DownEncoderBlock2D"] * 4, block_out_channels=[32] * 4,
        latent_channels=16, layers_per_block=2,
    ),
    "tiny-sd": _of("AutoencoderKL", **_FOUR_2D, **_NORMED),
    "tiny-qwen-image": _of("AutoencoderKLQwenImage", **_WAN_TINY),
    "tiny-dc-ae": _of(
        "AutoencoderDC", latent_channels=16, attention_head_dim=8, encoder_block_types=_DC_BLOCKS[:4],
        decoder_block_types=_DC_BLOCKS[:4], encoder_block_out_channels=[16] * 4, decoder_block_out_channels=[16] * 4,
        encoder_layers_per_block=_ONE_EACH, decoder_layers_per_block=_ONE_EACH,
        encoder_qkv_multiscales=[[], [], [], [5]], decoder_qkv_multiscales=[[], [], [], [5]],
    ),
}  # fmt: skip

AUTOENCODER = _PUBLISHED | _TINY
"""Sizes and statistics are those of diffusers' classes and conversion scripts; Cosmos without its data's sigma."""
