"""What VideoCrafter2's parts can be set to, and what they declare. No torch here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Self

from vidgen.config import config, require
from vidgen.contract import AutoencoderContract, KLAutoencoderConfig, LatentSpec
from vidgen.published import translate

__all__ = ["KLVAEConfig"]


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
