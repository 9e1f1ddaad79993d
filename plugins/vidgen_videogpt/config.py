"""What the Video VQ-VAE can be set to, and what it declares. No torch here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Self

from vidgen.config import config, require
from vidgen.contract import AutoencoderContract, LatentSpec, NormalisedAutoencoderConfig
from vidgen.published import translate

__all__ = ["VideoGPTVQVAEConfig"]


@config
class VideoGPTVQVAEConfig(NormalisedAutoencoderConfig):
    """Settings of the Video VQ-VAE.

    Attributes:
        latent_channels: Width of a code's vector.
        codes: Number of codes.
        width: Channels of the networks.
        depth: Residual blocks on either side.
        strides: Frames, rows and columns to a code, powers of two; rows and columns alike.
        commitment: Weight of the term that draws the encoder to its codes.
        decay: Of the running means that the codes are.
    """

    latent_channels: int = 256
    codes: int = 2048
    width: int = 240
    depth: int = 4
    strides: tuple[int, int, int] = (4, 4, 4)
    commitment: float = 0.25
    decay: float = 0.99

    def validate(self) -> None:
        """Check the ranges."""
        for field in ("latent_channels", "codes", "depth"):
            require(getattr(self, field) >= 1, f"VideoGPTVQVAEConfig.{field} must be at least 1.")
        require(
            self.width >= 4 and self.width % 2 == 0,
            f"VideoGPTVQVAEConfig.width must be even (two heads) and at least 4, not {self.width}.",
        )
        power = all(stride >= 1 and stride & (stride - 1) == 0 for stride in self.strides)
        require(
            power and self.strides[1] == self.strides[2] and max(self.strides) >= 2,
            f"VideoGPTVQVAEConfig.strides must be powers of two, alike in height and width, not {self.strides}.",
        )
        require(self.commitment >= 0, "VideoGPTVQVAEConfig.commitment must be 0 or more.")
        require(0 <= self.decay < 1, "VideoGPTVQVAEConfig.decay must lie in [0, 1).")
        NormalisedAutoencoderConfig.validate(self)

    def contract(self) -> AutoencoderContract:
        """Return what this autoencoder declares."""
        latent = LatentSpec(
            space=self.space,
            channels=self.latent_channels,
            time_stride=self.strides[0],
            space_stride=self.strides[1],
            frame_rule="multiple" if self.strides[0] > 1 else "any",
            streaming="windowed",
            codebook=self.codes,
        )
        return AutoencoderContract(latent=latent)

    @classmethod
    def from_published(cls, data: Mapping[str, Any], tensors: Collection[str]) -> Self:
        """Read VideoGPT's field names; without a file the published default holds."""
        names = {
            "embedding_dim": "latent_channels",
            "n_codes": "codes",
            "n_hiddens": "width",
            "n_res_layers": "depth",
            "downsample": "strides",
        }
        return cls(**translate(data, names, ignored=("sequence_length", "resolution", "no_attn")))
