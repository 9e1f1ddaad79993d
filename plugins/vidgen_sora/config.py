"""What the Sora-like parts can be set to, and what they declare. No torch here."""

from __future__ import annotations

from vidgen.config import config, require
from vidgen.contract import (
    AutoencoderConfig,
    AutoencoderContract,
    DenoiserConfig,
    DenoiserContract,
    LatentSpec,
)

__all__ = ["SPACE_STRIDE", "TIME_STRIDE", "SoraDiTConfig", "SoraVAEConfig"]

TIME_STRIDE, SPACE_STRIDE = 4, 8
"""Frames to a latent frame and pixels to a latent position of `sora-vae`."""


@config
class SoraVAEConfig(AutoencoderConfig):
    """Settings of the causal video autoencoder; strides are always 4x8x8.

    Attributes:
        latent_channels: Channels C of the latents.
        encoder_width: Channels of the encoder's residual net.
        encoder_depth: Its blocks.
        decoder_width: Channels of the decoder's residual net.
        decoder_depth: Its blocks.
        kl_weight: Weight of the KL term in training.
        noise: Smallest standard deviation of the posterior, hence the noise that the decoder learns to bear.
    """

    latent_channels: int = 16
    encoder_width: int = 128
    encoder_depth: int = 4
    decoder_width: int = 160
    decoder_depth: int = 6
    kl_weight: float = 1e-5
    noise: float = 0.02

    def validate(self) -> None:
        """Check the ranges."""
        for field in ("latent_channels", "encoder_width", "encoder_depth", "decoder_width", "decoder_depth"):
            value = getattr(self, field)
            require(value >= 1, f"SoraVAEConfig.{field} must be at least 1, not {value}.")
        most = 3 * TIME_STRIDE * SPACE_STRIDE**2
        require(
            self.latent_channels <= most,
            f"SoraVAEConfig.latent_channels must be at most {most} (a block), not {self.latent_channels}.",
        )
        require(self.kl_weight >= 0, f"SoraVAEConfig.kl_weight must be 0 or more, not {self.kl_weight}.")
        require(self.noise > 0, f"SoraVAEConfig.noise must be above 0, not {self.noise}.")

    def contract(self) -> AutoencoderContract:
        """Return what this autoencoder declares."""
        latent = LatentSpec(
            space=self.space,
            channels=self.latent_channels,
            time_stride=TIME_STRIDE,
            space_stride=SPACE_STRIDE,
            frame_rule="causal",
            streaming="exact",
        )
        return AutoencoderContract(latent=latent)


@config
class SoraDiTConfig(DenoiserConfig):
    """Settings of the spacetime-patch transformer.

    Attributes:
        width: Channels D of a token.
        depth: Blocks.
        heads: Attention heads; each has at least 6 channels, for three rotary axes.
        mlp_ratio: Hidden channels of the perceptrons over `width`.
        patch: Latent positions (t, h, w) to a token.
        time_width: Channels of the waves that tell the time.
        rope_theta: Fastest over slowest rotary frequency; the fastest turns half a circle a token.
        reach: Tokens (t, h, w) over which rotary positions go. Longer axes are interpolated into it; 0 extrapolates.
    """

    width: int = 192
    depth: int = 8
    heads: int = 3
    mlp_ratio: float = 4.0
    patch: tuple[int, int, int] = (1, 2, 2)
    time_width: int = 256
    rope_theta: float = 16.0
    reach: tuple[int, int, int] = (0, 0, 0)

    def validate(self) -> None:
        """Check the ranges."""
        for field in ("width", "depth", "heads"):
            value = getattr(self, field)
            require(value >= 1, f"SoraDiTConfig.{field} must be at least 1, not {value}.")
        head = self.width // self.heads
        require(
            head * self.heads == self.width and head % 2 == 0 and head >= 6,
            f"SoraDiTConfig.width must be heads times an even number from 6, "
            f"not {self.width} over {self.heads} heads.",
        )
        require(min(self.patch) >= 1, f"SoraDiTConfig.patch must be at least 1x1x1, not {self.patch}.")
        require(min(self.reach) >= 0, f"SoraDiTConfig.reach must be 0 or more, not {self.reach}.")
        require(self.mlp_ratio > 0, f"SoraDiTConfig.mlp_ratio must be positive, not {self.mlp_ratio}.")
        require(
            self.time_width >= 2 and self.time_width % 2 == 0,
            f"SoraDiTConfig.time_width must be even (sines and cosines), not {self.time_width}.",
        )
        require(self.rope_theta >= 1, f"SoraDiTConfig.rope_theta must be at least 1, not {self.rope_theta}.")

    def contract(self) -> DenoiserContract:
        """Return what this denoiser declares."""
        abilities = frozenset({"pack", "per_frame_time", "sequence_parallel"})
        return self.base_contract(patch=self.patch, abilities=abilities)
