"""What VideoCrafter2's parts can be set to, and what they declare. No torch here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal, Self

from vidgen.config import config, require
from vidgen.contract import (
    AutoencoderContract,
    DenoiserConfig,
    DenoiserContract,
    KLAutoencoderConfig,
    LatentSpec,
)
from vidgen.process import ProcessSpec
from vidgen.published import translate

__all__ = ["KLVAEConfig", "VideoCrafter2Config"]


@config
class KLVAEConfig(KLAutoencoderConfig):
    """Settings of the per-frame KL autoencoder.

    Attributes:
        latent_channels: Channels C of the latents.
        encoder_channels: Channels of the encoder's mean, before the 1x1 convolution to C.
        width: Channels of the finest level.
        multipliers: Channels of each level over `width`, finest first.
        blocks: Residual blocks a level in the encoder; the decoder has one more.
        resolution: Pixels of the training images, which `attention_resolutions` refer to.
        attention_resolutions: Resolutions of the levels with attention.
    """

    latent_channels: int = 4
    encoder_channels: int = 4
    width: int = 128
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    blocks: int = 2
    resolution: int = 256
    attention_resolutions: tuple[int, ...] = ()
    latent_scale: tuple[float, ...] = (0.18215,)

    def validate(self) -> None:
        """Check the ranges."""
        require(
            self.width >= 32 and self.width % 32 == 0,
            f"KLVAEConfig.width must be a multiple of 32 (the norms' groups), not {self.width}.",
        )
        require(
            bool(self.multipliers) and min(self.multipliers) >= 1,
            "KLVAEConfig.multipliers needs a number from 1 for each level.",
        )
        for field in ("latent_channels", "encoder_channels", "blocks", "resolution"):
            require(getattr(self, field) >= 1, f"KLVAEConfig.{field} must be at least 1.")
        KLAutoencoderConfig.validate(self)

    def contract(self) -> AutoencoderContract:
        """Return what this autoencoder declares."""
        latent = LatentSpec(
            space=self.space,
            channels=self.latent_channels,
            time_stride=1,
            space_stride=2 ** (len(self.multipliers) - 1),
            frame_rule="any",
            streaming="exact",
        )
        return AutoencoderContract(latent=latent)

    @classmethod
    def from_published(cls, data: Mapping[str, Any], tensors: Collection[str]) -> Self:
        """Read latent diffusion's ``embed_dim`` and ``ddconfig``."""
        outer = translate(data, {"embed_dim": "latent_channels", "ddconfig": "ddconfig"},
                          ignored=("lossconfig", "monitor", "image_key", "target", "test", "ckpt_path"))  # fmt: skip
        inner = translate(
            outer.pop("ddconfig", {}),
            {
                "z_channels": "encoder_channels",
                "ch": "width",
                "ch_mult": "multipliers",
                "num_res_blocks": "blocks",
                "resolution": "resolution",
                "attn_resolutions": "attention_resolutions",
            },
            only={"double_z": True, "in_channels": 3, "out_ch": 3, "resamp_with_conv": True, "attn_type": "vanilla",
                  "use_linear_attn": False, "tanh_out": False, "give_pre_end": False},
            ignored=("dropout",),
        )  # fmt: skip
        return cls(**outer, **inner)


SCALED_NOISE = ProcessSpec(
    family="vp-scaled-linear",
    beta_start=0.00085,
    beta_end=0.012,
    clean_scale=(*(1 - 0.3 * k / 399 for k in range(400)), *(0.7,) * 600),
)
"""What VideoCrafter2 was trained on: Stable Diffusion's table, the clean sample scaled down to 0.7 (`use_scale`)."""


@config
class VideoCrafter2Config(DenoiserConfig):
    """Settings of the 3D U-Net.

    Attributes:
        width: Channels of the finest level.
        multipliers: Channels of each level over `width`, finest first.
        blocks: Residual blocks a level on the way down; one more on the way up.
        attention_strides: Levels with attention, by how much they are reduced.
        head_width: Channels of a head.
        transformer_depth: Blocks of a transformer over a frame.
        temporal_depth: Blocks of a transformer along time.
        linear: Whether transformers are entered by linear layers rather than 1x1 convolutions.
        temporal_conv: Whether residual blocks end in convolutions along time.
        temporal_attention: Whether attention along time follows attention over a frame.
        entry_attention: Whether attention along time follows the first convolution.
        fps: Whether it is told the frame rate.
    """

    width: int = 320
    multipliers: tuple[int, ...] = (1, 2, 4, 4)
    blocks: int = 2
    attention_strides: tuple[int, ...] = (4, 2, 1)
    head_width: int = 64
    transformer_depth: int = 1
    temporal_depth: int = 1
    linear: bool = True
    temporal_conv: bool = True
    temporal_attention: bool = True
    entry_attention: bool = True
    fps: bool = True
    text_padding: Literal["masked", "zeros", "attended"] = "attended"
    process: ProcessSpec = SCALED_NOISE
    prediction: Literal["epsilon", "sample", "v", "flow"] = "epsilon"

    def validate(self) -> None:
        """Check the ranges."""
        require(
            self.width >= 32 and self.width % 32 == 0,
            f"VideoCrafter2Config.width must be a multiple of 32 (the norms' groups), not {self.width}.",
        )
        require(
            bool(self.multipliers) and min(self.multipliers) >= 1,
            "VideoCrafter2Config.multipliers needs a number from 1 for each level.",
        )
        for field in ("blocks", "head_width", "transformer_depth", "temporal_depth"):
            require(getattr(self, field) >= 1, f"VideoCrafter2Config.{field} must be at least 1.")
        require(
            self.width % self.head_width == 0,
            f"VideoCrafter2Config.head_width must divide the width {self.width}, not {self.head_width}.",
        )

    def contract(self) -> DenoiserContract:
        """Return what this denoiser declares."""
        return self.base_contract(abilities=frozenset({"fps"} if self.fps else ()))

    @classmethod
    def from_published(cls, data: Mapping[str, Any], tensors: Collection[str]) -> Self:
        """Read the published ``unet_config.params``."""
        names = {
            "in_channels": "latent_channels",
            "out_channels": "out_channels",
            "model_channels": "width",
            "attention_resolutions": "attention_strides",
            "num_res_blocks": "blocks",
            "channel_mult": "multipliers",
            "num_head_channels": "head_width",
            "transformer_depth": "transformer_depth",
            "temporal_transformer_depth": "temporal_depth",
            "context_dim": "text_width",
            "use_linear": "linear",
            "temporal_conv": "temporal_conv",
            "temporal_attention": "temporal_attention",
            "addition_attention": "entry_attention",
            "fps_cond": "fps",
        }
        only = {
            "temporal_selfatt_only": True,
            "use_relative_position": False,
            "use_causal_attention": False,
            "use_image_attention": False,
            "tempspatial_aware": False,
            "use_scale_shift_norm": False,
            "resblock_updown": False,
            "conv_resample": True,
            "dims": 2,
            "num_heads": -1,
        }
        published = {
            "transformer_depth": 1,
            "temporal_transformer_depth": 1,
            "use_linear": False,
            "temporal_conv": False,
            "temporal_attention": True,
            "addition_attention": False,
            "fps_cond": False,
        }
        ignored = ("dropout", "use_checkpoint", "use_fp16", "temporal_length")
        fields = translate({**published, **data}, names, only=only, ignored=ignored)
        outputs = fields.pop("out_channels", None)
        require(
            outputs in (None, fields.get("latent_channels")),
            f"VideoCrafter2 predicts as many channels as it takes ({fields.get('latent_channels')}), not {outputs}.",
        )
        return cls(**fields)
