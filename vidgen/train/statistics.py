"""The mean and the deviation of an autoencoder's latents: what its normalisation has to take out."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from vidgen.errors import ContractError, VideoError
from vidgen.interfaces import VideoAutoencoder
from vidgen.sampling.device import place_of

__all__ = ["LatentStatistics", "latent_statistics"]

DEAD = 1e-3
"""A channel is dead whose deviation is at most this part of the largest one."""


@dataclass(frozen=True, slots=True)
class LatentStatistics:
    """What is known of raw (not normalised) latents, in float64 on the CPU.

    Attributes:
        mean: ``[C]``.
        std: ``[C]``, over all values of a channel.
        error: ``[C]``, standard error of the mean by its spread from video to video; NaN for a single video.
        videos: Number of videos.
        count: Values of each channel.
    """

    mean: Tensor
    std: Tensor
    error: Tensor
    videos: int
    count: int

    @property
    def dead(self) -> list[int]:
        """Channels that hardly vary."""
        return (self.std <= DEAD * self.std.max()).nonzero().flatten().tolist()

    @property
    def shift(self) -> Tensor:
        """``latent_shift`` ``[C]``: the means."""
        return self.mean

    @property
    def scale(self) -> Tensor:
        """``latent_scale`` ``[C]``: one over the deviations; 1 for dead channels, whose noise is not blown up."""
        alive = self.std > DEAD * self.std.max()
        return torch.where(alive, 1 / torch.where(alive, self.std, 1.0), 1.0)

    @property
    def overall(self) -> tuple[float, float]:
        """Mean and deviation over the values of all channels."""
        variance = self.std.square().mean() + self.mean.var(correction=0)
        return float(self.mean.mean()), float(variance.sqrt())

    @property
    def factor(self) -> float:
        """One scale for all channels, as Stable Diffusion's 0.18215: one over the overall deviation (1 for 0)."""
        return 1 / self.overall[1] if self.overall[1] > 0 else 1.0


@torch.inference_mode()
def latent_statistics(autoencoder: VideoAutoencoder, videos: Iterable[Tensor]) -> LatentStatistics:
    """Measure the raw latents of videos, in memory that does not grow with their number.

    The autoencoder stays as it was. ``autoencoder.set_normalisation(found.shift, 1 / found.scale)`` then gives these
    videos latents of mean 0 and deviation 1 in each channel. Warns of dead channels.

    Args:
        autoencoder: One with `normalisation`, whatever that is now.
        videos: Batches ``[B, 3, T, H, W]`` in [-1, 1], of sizes that fit.

    Raises:
        ContractError: When the autoencoder declares no normalisation.
        VideoError: When there are no videos, or a latent is not finite.
    """
    declared = autoencoder.normalisation()
    if declared is None:
        raise ContractError(
            f"{type(autoencoder).__name__} declares no normalisation: it needs normalisation() and "
            "set_normalisation(mean, std); a class derived from vidgen.NormalisedAutoencoder has both."
        )
    device, dtype = place_of(autoencoder)
    values, means = _Moments(), _Moments()  # of all values; of the means of videos
    training = autoencoder.training
    autoencoder.eval()
    try:
        for batch in videos:
            for latents in autoencoder.encode(batch.to(device, dtype)).cpu().double():
                rows = latents.flatten(1)
                mean = rows.mean(dim=1)
                values.add(rows.shape[1], mean, (rows - mean[:, None]).square().sum(dim=1))
                means.add(1, mean, torch.zeros_like(mean))
    finally:
        autoencoder.train(training)
    if not values.count:
        raise VideoError("Latent statistics need at least one video; there was none.")
    shift, scale = (x.detach().cpu().double() for x in declared)
    spread = means.squares / (means.count - 1) if means.count > 1 else torch.full_like(means.mean, torch.nan)
    found = LatentStatistics(
        mean=values.mean * scale + shift,
        std=(values.squares / values.count).sqrt() * scale,
        error=(spread / means.count).sqrt() * scale,
        videos=means.count,
        count=values.count,
    )
    if not (found.mean.isfinite() & found.std.isfinite()).all():
        raise VideoError(
            "Some latents are not finite: the weights are damaged, or overflow in this precision."
        )
    if found.dead:
        warnings.warn(
            f"Latent channels {', '.join(map(str, found.dead))} hardly vary (dead); their scale stays 1.",
            stacklevel=2,
        )
    return found


class _Moments:
    """Means and sums of squared deviations of groups of values, merged as by Chan, Golub and LeVeque (1979)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self.squares = torch.zeros((), dtype=torch.float64)

    def add(self, count: int, mean: Tensor, squares: Tensor) -> None:
        """Take in `count` values of each channel with this mean and sum of squared deviations, ``[C]`` each."""
        total = self.count + count
        delta = mean - self.mean
        self.squares = self.squares + squares + delta.square() * (self.count * count / total)
        self.mean = self.mean + delta * (count / total)
        self.count = total
