"""What is known of diffusers' video denoisers without importing them: arguments, text, time, how they were trained.

Arguments and their defaults are those of diffusers 0.42.1. Processes and predictions are of the schedulers that the
models were published with; a pipeline's folder says more (flow shift, rounding of times) and takes precedence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vidgen.process import ProcessSpec

__all__ = ["BACKBONES", "Backbone", "Model", "Prediction"]

Prediction = Literal["epsilon", "sample", "v", "flow"]
Model = Literal[
    "AllegroTransformer3DModel",
    "CogVideoXTransformer3DModel",
    "HunyuanVideoTransformer3DModel",
    "LTXVideoTransformer3DModel",
    "LatteTransformer3DModel",
    "MochiTransformer3DModel",
    "SanaVideoTransformer3DModel",
    "SkyReelsV2Transformer3DModel",
    "UNet3DConditionModel",
    "WanTransformer3DModel",
]

FLOW = ProcessSpec()
COGVIDEOX = ProcessSpec(
    family="vp-scaled-linear",
    beta_start=0.00085,
    beta_end=0.012,
    zero_terminal_snr=True,
    snr_shift=3.0,
)
LINEAR = ProcessSpec(family="vp-linear", beta_start=1e-4, beta_end=0.02)
STABLE_DIFFUSION = ProcessSpec(family="vp-scaled-linear", beta_start=0.00085, beta_end=0.012)


@dataclass(frozen=True, kw_only=True, slots=True)
class Backbone:
    """One class.

    Attributes:
        defaults: Its arguments, without those that follow from latents and text.
        text: The argument that is the width of the text.
        channels: What the class takes for ``in_channels`` and ``out_channels`` that a file leaves out.
        text_width: Likewise for the width of the text.
        pooled: The argument that is the width of the pooled text, and its default; None for models without it.
        padding: What stands behind a prompt in the texts that it was trained on.
        fill: For models that read no text mask: the number of tokens, or the argument that holds it, up to which
            texts are filled with zeros.
        process: What it was trained on.
        prediction: What its output means.
        reversed_time: Whether it counts time from noise to clean, and so points from noise to clean.
        given: Channels, beside the given latents, that variants for given frames take as their mask; None where there
            are no such variants.
        frame_times: Whether it can be told a time for each latent frame.
        reads_nothing: Whether a text of no token at all was among what it was trained on.
        only: Arguments that are implemented for one value (or one of a tuple of values) alone.
        ignored: What older files hold beside the arguments and the class does not read.
    """

    defaults: Mapping[str, Any]
    text: str
    channels: tuple[int, int | None] = (16, 16)
    text_width: int = 4096
    pooled: tuple[str, int] | None = None
    padding: Literal["masked", "zeros", "attended"] = "masked"
    fill: int | str | None = None
    process: ProcessSpec = FLOW
    prediction: Prediction = "flow"
    reversed_time: bool = False
    given: int | None = None
    frame_times: bool = False
    reads_nothing: bool = False
    only: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


_WAN = {
    "patch_size": [1, 2, 2],
    "num_attention_heads": 40,
    "attention_head_dim": 128,
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
_NO_IMAGE = {"image_dim": None, "added_kv_proj_dim": None, "pos_embed_seq_len": None}

BACKBONES: Mapping[str, Backbone] = {
    "AllegroTransformer3DModel": Backbone(
        defaults={
            "patch_size": 2,
            "patch_size_t": 1,
            "num_attention_heads": 24,
            "attention_head_dim": 96,
            "num_layers": 32,
            "dropout": 0.0,
            "cross_attention_dim": 2304,
            "attention_bias": True,
            "sample_height": 90,
            "sample_width": 160,
            "sample_frames": 22,
            "activation_fn": "gelu-approximate",
            "norm_elementwise_affine": False,
            "norm_eps": 1e-6,
            "interpolation_scale_h": 2.0,
            "interpolation_scale_w": 2.0,
            "interpolation_scale_t": 2.2,
        },
        text="caption_channels",
        channels=(4, 4),
        process=LINEAR,
        prediction="epsilon",
        ignored=(
            "ca_attention_mode",
            "model_max_length",
            "norm_type",
            "num_embeds_ada_norm",
            "sa_attention_mode",
            "sample_size",
            "sample_size_t",
        ),
    ),
    "CogVideoXTransformer3DModel": Backbone(
        defaults={
            "num_attention_heads": 30,
            "attention_head_dim": 64,
            "flip_sin_to_cos": True,
            "freq_shift": 0,
            "time_embed_dim": 512,
            "ofs_embed_dim": None,
            "num_layers": 30,
            "dropout": 0.0,
            "attention_bias": True,
            "sample_width": 90,
            "sample_height": 60,
            "sample_frames": 49,
            "patch_size": 2,
            "patch_size_t": None,
            "temporal_compression_ratio": 4,
            "max_text_seq_length": 226,
            "activation_fn": "gelu-approximate",
            "timestep_activation_fn": "silu",
            "norm_elementwise_affine": True,
            "norm_eps": 1e-5,
            "spatial_interpolation_scale": 1.875,
            "temporal_interpolation_scale": 1.0,
            "use_rotary_positional_embeddings": False,
            "use_learned_positional_embeddings": False,
            "patch_bias": True,
        },
        text="text_embed_dim",
        padding="attended",
        fill="max_text_seq_length",
        process=COGVIDEOX,
        prediction="v",
        given=0,
        only={"use_learned_positional_embeddings": False},
    ),
    "HunyuanVideoTransformer3DModel": Backbone(
        defaults={
            "num_attention_heads": 24,
            "attention_head_dim": 128,
            "num_layers": 20,
            "num_single_layers": 40,
            "num_refiner_layers": 2,
            "mlp_ratio": 4.0,
            "patch_size": 2,
            "patch_size_t": 1,
            "qk_norm": "rms_norm",
            "guidance_embeds": True,
            "rope_theta": 256.0,
            "rope_axes_dim": [16, 56, 56],
            "image_condition_type": None,
        },
        text="text_embed_dim",
        pooled=("pooled_projection_dim", 768),
        given=1,
        only={"image_condition_type": (None, "latent_concat")},
    ),
    "LTXVideoTransformer3DModel": Backbone(
        defaults={
            "patch_size": 1,
            "patch_size_t": 1,
            "num_attention_heads": 32,
            "attention_head_dim": 64,
            "cross_attention_dim": 2048,
            "num_layers": 28,
            "activation_fn": "gelu-approximate",
            "qk_norm": "rms_norm_across_heads",
            "norm_elementwise_affine": False,
            "norm_eps": 1e-6,
            "attention_bias": True,
            "attention_out_bias": True,
        },
        text="caption_channels",
        channels=(128, 128),
        frame_times=True,
    ),
    "LatteTransformer3DModel": Backbone(
        defaults={
            "num_attention_heads": 16,
            "attention_head_dim": 88,
            "num_layers": 1,
            "dropout": 0.0,
            "cross_attention_dim": None,
            "attention_bias": False,
            "sample_size": 64,
            "patch_size": None,
            "activation_fn": "geglu",
            "num_embeds_ada_norm": None,
            "norm_type": "layer_norm",
            "norm_elementwise_affine": True,
            "norm_eps": 1e-5,
            "video_length": 16,
        },
        text="caption_channels",
        channels=(4, None),
        process=LINEAR,
        prediction="epsilon",
        ignored=("attention_type", "norm_num_groups"),
    ),
    "MochiTransformer3DModel": Backbone(
        defaults={
            "patch_size": 2,
            "num_attention_heads": 24,
            "attention_head_dim": 128,
            "num_layers": 48,
            "pooled_projection_dim": 1536,
            "qk_norm": "rms_norm",
            "time_embed_dim": 256,
            "activation_fn": "swiglu",
            "max_sequence_length": 256,
        },
        text="text_embed_dim",
        channels=(12, None),
        reversed_time=True,
        reads_nothing=True,
    ),
    "SanaVideoTransformer3DModel": Backbone(
        defaults={
            "num_attention_heads": 20,
            "attention_head_dim": 112,
            "num_layers": 20,
            "num_cross_attention_heads": 20,
            "cross_attention_head_dim": 112,
            "cross_attention_dim": 2240,
            "mlp_ratio": 2.5,
            "dropout": 0.0,
            "attention_bias": False,
            "sample_size": 30,
            "patch_size": [1, 2, 2],
            "norm_elementwise_affine": False,
            "norm_eps": 1e-6,
            "interpolation_scale": None,
            "guidance_embeds": False,
            "guidance_embeds_scale": 0.1,
            "qk_norm": "rms_norm_across_heads",
            "rope_max_seq_len": 1024,
        },
        text="caption_channels",
        text_width=2304,
        only={"guidance_embeds": False},
    ),
    "SkyReelsV2Transformer3DModel": Backbone(
        defaults={
            **_WAN,
            "num_attention_heads": 16,
            "ffn_dim": 8192,
            "num_layers": 32,
            "inject_sample_info": False,
            "num_frame_per_block": 1,
        },
        text="text_dim",
        padding="zeros",
        fill=512,
        frame_times=True,
        only={**_NO_IMAGE, "num_frame_per_block": 1},
    ),
    "UNet3DConditionModel": Backbone(
        defaults={
            "sample_size": None,
            "down_block_types": ["CrossAttnDownBlock3D"] * 3 + ["DownBlock3D"],
            "up_block_types": ["UpBlock3D"] + ["CrossAttnUpBlock3D"] * 3,
            "block_out_channels": [320, 640, 1280, 1280],
            "layers_per_block": 2,
            "downsample_padding": 1,
            "mid_block_scale_factor": 1,
            "act_fn": "silu",
            "norm_num_groups": 32,
            "norm_eps": 1e-5,
            "attention_head_dim": 64,
            "num_attention_heads": None,
            "time_cond_proj_dim": None,
        },
        text="cross_attention_dim",
        channels=(4, 4),
        text_width=1024,
        padding="attended",
        fill=77,
        process=STABLE_DIFFUSION,
        prediction="epsilon",
        only={"time_cond_proj_dim": None},
    ),
    "WanTransformer3DModel": Backbone(
        defaults=_WAN, text="text_dim", padding="zeros", fill=512, frame_times=True, only=_NO_IMAGE
    ),
}
