"""Principal components of 4x8x8 blocks: the autoencoder's linear start and the yardstick it has to beat."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from vidgen.errors import VideoError
from vidgen_sora.blocks import from_blocks, repeat_first, to_blocks
from vidgen_sora.config import TIME_STRIDE

__all__ = ["BlockPCA", "fit_pca"]


@dataclass(frozen=True, kw_only=True)
class BlockPCA:
    """The leading components of blocks of pixels.

    Attributes:
        mean: Mean block ``[768]``.
        basis: Orthonormal components as columns ``[768, C]``, the strongest first.
        std: Standard deviation along each, ``[C]``.
    """

    mean: Tensor
    basis: Tensor
    std: Tensor

    def reconstruct(self, video: Tensor) -> Tensor:
        """Project a video ``[B, 3, 1 + 4k, 8h, 8w]`` in [-1, 1] on the components and come back."""
        blocks = to_blocks(repeat_first(video)) - self.mean
        return from_blocks(blocks @ self.basis @ self.basis.T + self.mean)[:, :, TIME_STRIDE - 1 :]


def fit_pca(videos: Iterable[Tensor], components: int = 16) -> BlockPCA:
    """Fit to videos ``[B, 3, 1 + 4k, 8h, 8w]`` in [-1, 1]; each counts alike, whatever its size.

    Raises:
        VideoError: When there is no video.
    """
    means, moments = [], []
    for video in videos:
        blocks = to_blocks(repeat_first(video)).flatten(0, -2).double()
        means.append(blocks.mean(0))
        moments.append(blocks.T @ blocks / len(blocks))
    if not means:
        raise VideoError("PCA needs at least one video to fit.")
    mean = torch.stack(means).mean(0)
    covariance = torch.stack(moments).mean(0) - torch.outer(mean, mean)
    values, vectors = torch.linalg.eigh(covariance)
    std = values.flip(0)[:components].clamp(min=1e-8).sqrt()
    return BlockPCA(mean=mean.float(), basis=vectors.flip(1)[:, :components].float(), std=std.float())
