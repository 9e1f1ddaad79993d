"""The linear yardstick: principal components of 4x8x8 blocks, as an autoencoder that streams like any other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor

from vidgen.config import config
from vidgen.contract import AutoencoderConfig, AutoencoderContract, LatentSpec
from vidgen.interfaces import VideoAutoencoder

__all__ = ["BlockPCA"]

COEFFICIENTS = 16
BLOCK = {"a": 4, "b": 8, "d": 8}


@config
class PCAConfig(AutoencoderConfig):
    """No settings: 16 coefficients a block of 4x8x8 pixels, as many as `sora-vae` has."""

    def contract(self) -> AutoencoderContract:
        """Return what it declares; windows of what is local are exact."""
        latent = LatentSpec(
            space=self.space,
            channels=COEFFICIENTS,
            time_stride=4,
            space_stride=8,
            frame_rule="causal",
            streaming="windowed",
        )
        return AutoencoderContract(latent=latent)


class BlockPCA(VideoAutoencoder):
    """The first principal components of blocks; the first frame is repeated in front to fill its block.

    Args:
        clips: ``[1, 3, 1 + 4k, H, W]`` in [-1, 1], sides that divide by 8; each counts alike.
    """

    mean: Tensor
    basis: Tensor

    def __init__(self, clips: Sequence[Tensor]) -> None:
        super().__init__(PCAConfig())
        parts = [_blocks(clip).flatten(0, 3).double() for clip in clips]
        mean = torch.stack([part.mean(dim=0) for part in parts]).mean(dim=0)
        cov = torch.stack([(part - mean).T @ (part - mean) / len(part) for part in parts]).mean(dim=0)
        self.register_buffer("mean", mean.float())
        self.register_buffer("basis", torch.linalg.eigh(cov).eigenvectors[:, -COEFFICIENTS:].T.float())

    def encode(self, video: Tensor) -> Tensor:
        """Map ``[B, 3, 1 + 4k, H, W]`` to ``[B, 16, 1 + k, H / 8, W / 8]``."""
        return ((_blocks(video) - self.mean) @ self.basis.T).movedim(-1, 1)

    def decode(self, latents: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Map back."""
        parts = latents.movedim(1, -1) @ self.basis + self.mean
        return rearrange(parts, "n t h w (c a b d) -> n c (t a) (h b) (w d)", **BLOCK)[:, :, 3:]

    def forward_train(self, video: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Refuse: it is fitted when it is made."""
        raise NotImplementedError("principal components are fitted, not trained")


def _blocks(video: Tensor) -> Tensor:
    """Return ``[B, t, h, w, 768]``."""
    video = torch.cat([video[:, :, :1].expand(-1, -1, 3, -1, -1), video], dim=2)
    return rearrange(video, "n c (t a) (h b) (w d) -> n t h w (c a b d)", **BLOCK)
