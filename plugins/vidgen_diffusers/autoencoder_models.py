"""The autoencoders of diffusers that can be a part: their arguments, and what those amount to. No torch here.

Names, defaults and published values are those of diffusers 0.42.1; what a class is to a video was measured on it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

__all__ = ["AUTOENCODERS", "PUBLISHED", "REFUSED", "Autoencoder"]

Fields = Mapping[str, Any]
PUBLISHED = "as published"
"""Stands for the statistics of latents that the class itself has as its default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Autoencoder:
    """What a class is.

    Attributes:
        defaults: Arguments of the class with their defaults.
        strides: Frames to a latent frame and pixels to a latent position, of the arguments.
        frame_rule: As in `vidgen.LatentSpec`.
        channels: The argument that says how many latent channels there are.
        colours: What the argument ``in_channels`` is for videos of three colours; None leaves it to the class.
        by_frame: Whether it codes frames, which lie in its batch.
        streams: Whether it codes each frame alone both ways, so that streams are exact.
        alone: Whether the samples of a batch are coded one after another, since it takes only one.
        posterior: Whether it has a Gaussian posterior, so that it trains with a KL term.
        only: Arguments that are implemented for one value alone.
    """

    defaults: Fields
    strides: Callable[[Fields], tuple[int, int]]
    frame_rule: Literal["causal", "multiple", "any"] = "causal"
    channels: str = "latent_channels"
    colours: int | None = 3
    by_frame: bool = False
    streams: bool = False
    alone: bool = False
    posterior: bool = True
    only: Fields = field(default_factory=dict)


def _levels(name: str, time: int = 1) -> Callable[[Fields], tuple[int, int]]:
    """Halve the sides between levels, as many as the argument `name` has entries."""
    return lambda fields: (time, 2 ** (len(fields[name]) - 1))


def _declared(fields: Fields) -> tuple[int, int]:
    return fields["temporal_compression_ratio"], fields["spatial_compression_ratio"]


def _half_declared(fields: Fields) -> tuple[int, int]:
    return fields["temporal_compression_ratio"], 2 ** (len(fields["block_out_channels"]) - 1)


def _wan(fields: Fields) -> tuple[int, int]:
    halved = 2 ** (len(fields["dim_mult"]) - 1)
    return 2 ** sum(fields["temperal_downsample"]), halved * (fields.get("patch_size") or 1)


def _ltx(fields: Fields) -> tuple[int, int]:
    """Count what is halved; the class' own attributes are off where levels halve time or space alone."""
    scaled = fields["spatio_temporal_scaling"]
    kinds = fields["downsample_type"]
    each = scaled if isinstance(scaled, list) else [scaled] * len(kinds)
    halved = [kind for kind, on in zip(kinds, each, strict=False) if on]
    time, space = (sum(kind != other for kind in halved) for other in ("spatial", "temporal"))
    return fields["patch_size_t"] * 2**time, fields["patch_size"] * 2**space


def _mochi(fields: Fields) -> tuple[int, int]:
    return prod(fields["temporal_expansions"]), prod(fields["spatial_expansions"])


def _magvit(fields: Fields) -> tuple[int, int]:
    kinds = fields["down_block_types"][:-1]  # the last level halves nothing
    return 2 ** sum(kind == "SpatialTemporalDownBlock3D" for kind in kinds), 2 ** len(kinds)


AUTOENCODERS: Mapping[str, Autoencoder] = {
    "AutoencoderDC": Autoencoder(
        defaults={
            "in_channels": 3,
            "latent_channels": 32,
            "attention_head_dim": 32,
            "encoder_block_types": "ResBlock",
            "decoder_block_types": "ResBlock",
            "encoder_block_out_channels": [128, 256, 512, 512, 1024, 1024],
            "decoder_block_out_channels": [128, 256, 512, 512, 1024, 1024],
            "encoder_layers_per_block": [2, 2, 2, 3, 3, 3],
            "decoder_layers_per_block": [3, 3, 3, 3, 3, 3],
            "encoder_qkv_multiscales": [[], [], [], [5], [5], [5]],
            "decoder_qkv_multiscales": [[], [], [], [5], [5], [5]],
            "upsample_block_type": "pixel_shuffle",
            "downsample_block_type": "pixel_unshuffle",
            "decoder_norm_types": "rms_norm",
            "decoder_act_fns": "silu",
            "encoder_out_shortcut": True,
            "decoder_in_shortcut": True,
            "decoder_conv_act_fn": "relu",
            "scaling_factor": 1.0,
        },
        strides=_levels("encoder_block_out_channels"),
        frame_rule="any",
        by_frame=True,
        streams=True,
        posterior=False,
    ),
    "AutoencoderKL": Autoencoder(
        defaults={
            "in_channels": 3,
            "out_channels": 3,
            "down_block_types": ["DownEncoderBlock2D"],
            "up_block_types": ["UpDecoderBlock2D"],
            "block_out_channels": [64],
            "layers_per_block": 1,
            "act_fn": "silu",
            "latent_channels": 4,
            "norm_num_groups": 32,
            "sample_size": 32,
            "scaling_factor": 0.18215,
            "shift_factor": None,
            "latents_mean": None,
            "latents_std": None,
            "force_upcast": True,
            "use_quant_conv": True,
            "use_post_quant_conv": True,
            "mid_block_add_attention": True,
        },
        strides=_levels("block_out_channels"),
        frame_rule="any",
        by_frame=True,
        streams=True,
        only={"latents_mean": None, "latents_std": None},
    ),
    "AutoencoderKLAllegro": Autoencoder(
        defaults={
            "in_channels": 3,
            "out_channels": 3,
            "down_block_types": ["AllegroDownBlock3D"] * 4,
            "up_block_types": ["AllegroUpBlock3D"] * 4,
            "block_out_channels": [128, 256, 512, 512],
            "temporal_downsample_blocks": [True, True, False, False],
            "temporal_upsample_blocks": [False, True, True, False],
            "latent_channels": 4,
            "layers_per_block": 2,
            "act_fn": "silu",
            "norm_num_groups": 32,
            "temporal_compression_ratio": 4,
            "sample_size": 320,
            "scaling_factor": 0.13,
            "force_upcast": True,
        },
        strides=_half_declared,
        frame_rule="multiple",
    ),
    "AutoencoderKLCogVideoX": Autoencoder(
        defaults={
            "in_channels": 3,
            "out_channels": 3,
            "down_block_types": ["CogVideoXDownBlock3D"] * 4,
            "up_block_types": ["CogVideoXUpBlock3D"] * 4,
            "block_out_channels": [128, 256, 256, 512],
            "latent_channels": 16,
            "layers_per_block": 3,
            "act_fn": "silu",
            "norm_eps": 1e-06,
            "norm_num_groups": 32,
            "temporal_compression_ratio": 4,
            "sample_height": 480,
            "sample_width": 720,
            "scaling_factor": 1.15258426,
            "shift_factor": None,
            "latents_mean": None,
            "latents_std": None,
            "force_upcast": True,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
            "invert_scale_latents": False,
        },
        strides=_half_declared,
        only={"latents_mean": None, "latents_std": None, "shift_factor": None},
    ),
    "AutoencoderKLCosmos": Autoencoder(
        defaults={
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 16,
            "encoder_block_out_channels": [128, 256, 512, 512],
            "decode_block_out_channels": [256, 512, 512, 512],
            "attention_resolutions": [32],
            "resolution": 1024,
            "num_layers": 2,
            "patch_size": 4,
            "patch_type": "haar",
            "scaling_factor": 1.0,
            "spatial_compression_ratio": 8,
            "temporal_compression_ratio": 8,
            "latents_mean": PUBLISHED,
            "latents_std": PUBLISHED,
        },
        strides=_declared,
        posterior=False,
        only={"scaling_factor": 1.0},
    ),
    "AutoencoderKLHunyuanVideo": Autoencoder(
        defaults={
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 16,
            "down_block_types": ["HunyuanVideoDownBlock3D"] * 4,
            "up_block_types": ["HunyuanVideoUpBlock3D"] * 4,
            "block_out_channels": [128, 256, 512, 512],
            "layers_per_block": 2,
            "act_fn": "silu",
            "norm_num_groups": 32,
            "scaling_factor": 0.476986,
            "spatial_compression_ratio": 8,
            "temporal_compression_ratio": 4,
            "mid_block_add_attention": True,
        },
        strides=_declared,
    ),
    "AutoencoderKLHunyuanVideo15": Autoencoder(
        defaults={
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 32,
            "block_out_channels": [128, 256, 512, 1024, 1024],
            "layers_per_block": 2,
            "spatial_compression_ratio": 16,
            "temporal_compression_ratio": 4,
            "downsample_match_channel": True,
            "upsample_match_channel": True,
            "scaling_factor": 1.03682,
        },
        strides=_declared,
        alone=True,
    ),
    "AutoencoderKLLTX2Video": Autoencoder(
        defaults={
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 128,
            "block_out_channels": [256, 512, 1024, 2048],
            "down_block_types": ["LTX2VideoDownBlock3D"] * 4,
            "decoder_block_out_channels": [256, 512, 1024],
            "layers_per_block": [4, 6, 6, 2, 2],
            "decoder_layers_per_block": [5, 5, 5, 5],
            "spatio_temporal_scaling": [True, True, True, True],
            "decoder_spatio_temporal_scaling": [True, True, True],
            "decoder_inject_noise": [False, False, False, False],
            "downsample_type": ["spatial", "temporal", "spatiotemporal", "spatiotemporal"],
            "upsample_type": ["spatiotemporal"] * 3,
            "upsample_residual": [True, True, True],
            "upsample_factor": [2, 2, 2],
            "timestep_conditioning": False,
            "patch_size": 4,
            "patch_size_t": 1,
            "resnet_norm_eps": 1e-06,
            "scaling_factor": 1.0,
            "encoder_causal": True,
            "decoder_causal": True,
            "encoder_spatial_padding_mode": "zeros",
            "decoder_spatial_padding_mode": "reflect",
            "spatial_compression_ratio": None,
            "temporal_compression_ratio": None,
        },
        strides=_ltx,
    ),
    "AutoencoderKLLTXVideo": Autoencoder(
        defaults={
            "in_channels": 3,
            "out_channels": 3,
            "latent_channels": 128,
            "block_out_channels": [128, 256, 512, 512],
            "down_block_types": ["LTXVideoDownBlock3D"] * 4,
            "decoder_block_out_channels": [128, 256, 512, 512],
            "layers_per_block": [4, 3, 3, 3, 4],
            "decoder_layers_per_block": [4, 3, 3, 3, 4],
            "spatio_temporal_scaling": [True, True, True, False],
            "decoder_spatio_temporal_scaling": [True, True, True, False],
            "decoder_inject_noise": [False, False, False, False, False],
            "downsample_type": ["conv"] * 4,
            "upsample_residual": [False, False, False, False],
            "upsample_factor": [1, 1, 1, 1],
            "timestep_conditioning": False,
            "patch_size": 4,
            "patch_size_t": 1,
            "resnet_norm_eps": 1e-06,
            "scaling_factor": 1.0,
            "encoder_causal": True,
            "decoder_causal": False,
            "spatial_compression_ratio": None,
            "temporal_compression_ratio": None,
        },
        strides=_ltx,
    ),
    "AutoencoderKLMagvit": Autoencoder(
        defaults={
            "in_channels": 3,
            "latent_channels": 16,
            "out_channels": 3,
            "block_out_channels": [128, 256, 512, 512],
            "down_block_types": [
                "SpatialDownBlock3D",
                "SpatialTemporalDownBlock3D",
                "SpatialTemporalDownBlock3D",
                "SpatialTemporalDownBlock3D",
            ],
            "up_block_types": [
                "SpatialUpBlock3D",
                "SpatialTemporalUpBlock3D",
                "SpatialTemporalUpBlock3D",
                "SpatialTemporalUpBlock3D",
            ],
            "layers_per_block": 2,
            "act_fn": "silu",
            "norm_num_groups": 32,
            "scaling_factor": 0.7125,
            "spatial_group_norm": True,
        },
        strides=_magvit,
    ),
    "AutoencoderKLMochi": Autoencoder(
        defaults={
            "in_channels": 15,
            "out_channels": 3,
            "encoder_block_out_channels": [64, 128, 256, 384],
            "decoder_block_out_channels": [128, 256, 512, 768],
            "latent_channels": 12,
            "layers_per_block": [3, 3, 4, 6, 3],
            "act_fn": "silu",
            "temporal_expansions": [1, 2, 3],
            "spatial_expansions": [2, 2, 2],
            "add_attention_block": [False, True, True, True, True],
            "latents_mean": PUBLISHED,
            "latents_std": PUBLISHED,
            "scaling_factor": 1.0,
        },
        strides=_mochi,
        colours=15,
    ),
    "AutoencoderKLQwenImage": Autoencoder(
        defaults={
            "base_dim": 96,
            "z_dim": 16,
            "dim_mult": [1, 2, 4, 4],
            "num_res_blocks": 2,
            "attn_scales": [],
            "temperal_downsample": [False, True, True],
            "dropout": 0.0,
            "input_channels": 3,
            "latents_mean": PUBLISHED,
            "latents_std": PUBLISHED,
        },
        strides=_wan,
        channels="z_dim",
    ),
    "AutoencoderKLTemporalDecoder": Autoencoder(
        defaults={
            "in_channels": 3,
            "out_channels": 3,
            "down_block_types": ["DownEncoderBlock2D"],
            "block_out_channels": [64],
            "layers_per_block": 1,
            "latent_channels": 4,
            "sample_size": 32,
            "scaling_factor": 0.18215,
            "force_upcast": True,
        },
        strides=_levels("block_out_channels"),
        frame_rule="any",
        by_frame=True,
    ),
    "AutoencoderKLWan": Autoencoder(
        defaults={
            "base_dim": 96,
            "decoder_base_dim": None,
            "z_dim": 16,
            "dim_mult": [1, 2, 4, 4],
            "num_res_blocks": 2,
            "attn_scales": [],
            "temperal_downsample": [False, True, True],
            "dropout": 0.0,
            "latents_mean": PUBLISHED,
            "latents_std": PUBLISHED,
            "is_residual": False,
            "in_channels": 3,
            "out_channels": 3,
            "patch_size": None,
            "scale_factor_temporal": 4,
            "scale_factor_spatial": 8,
        },
        strides=_wan,
        channels="z_dim",
        colours=None,
    ),
}
"""The classes by name."""

_IMAGES = "codes images"
REFUSED: Mapping[str, str] = {
    "AsymmetricAutoencoderKL": _IMAGES,
    "AutoencoderKLFlux2": _IMAGES,
    "AutoencoderKLHunyuanImage": _IMAGES,
    "AutoencoderKLHunyuanImageRefiner": _IMAGES,
    "AutoencoderKLKVAE": _IMAGES,
    "AutoencoderKLKVAEVideo": "says nowhere how its latents are scaled",
    "AutoencoderKLMiniMaxH3": "drops frames: of 24 come 22 back",
    "AutoencoderKLQwenImage21": "codes images with transparency",
    "AutoencoderRAE": _IMAGES,
    "AutoencoderTiny": "is a preview of another autoencoder",
    "AutoencoderVidTok": "drops frames: of 8 come 5 back",
    "ConsistencyDecoderVAE": _IMAGES,
    "Kandinsky6SRVAE": "refines the latents of another autoencoder",
    "LTX2VideoDiffusionDecoderModel": "decodes only",
    "VQModel": _IMAGES,
}
"""Classes that are no part, with the reason."""
