"""What autoencoders share whose configuration holds the affine of the latents, and those with a Gaussian posterior."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from vidgen.contract import KLAutoencoderConfig, NormalisedAutoencoderConfig
from vidgen.errors import VideoError
from vidgen.interfaces.autoencoder import VideoAutoencoder

__all__ = ["KLAutoencoder", "NormalisedAutoencoder", "moments"]

LOG_VARIANCE = (-30.0, 20.0)
"""Limits of the log-variance, as in latent diffusion (https://arxiv.org/abs/2112.10752)."""


class NormalisedAutoencoder(VideoAutoencoder):
    """A video autoencoder that defines `raw_latents` and `pixels`; `encode` gives ``(raw - shift) * scale``."""

    config: NormalisedAutoencoderConfig

    @abstractmethod
    def raw_latents(self, video: Tensor) -> Tensor:
        """Return the latents ``[B, C, t, h, w]`` of a video that fits, before normalisation."""

    @abstractmethod
    def pixels(self, raw: Tensor) -> Tensor:
        """Return the video ``[B, 3, T, H, W]`` of raw latents."""

    def encode(self, video: Tensor) -> Tensor:
        """Return normalised latents ``[B, C, t, h, w]`` of ``[B, 3, T, H, W]`` in [-1, 1].

        Raises:
            VideoError: When the tensor has another form.
            SizeError: When the size does not fit; names the nearest ones.
        """
        self.check_video(video)
        return self.normalised(self.raw_latents(video))

    def decode(self, latents: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Return the video ``[B, 3, T, H, W]`` of normalised latents; it draws no noise.

        Raises:
            VideoError: When the latents have another form.
        """
        self.check_latents(latents)
        return self.pixels(self.denormalised(latents))

    def normalised(self, raw: Tensor) -> Tensor:
        """Return ``(raw - shift) * scale``."""
        shift, scale = self._affine(raw)
        return (raw - shift) * scale

    def denormalised(self, latents: Tensor) -> Tensor:
        """Undo `normalised`."""
        shift, scale = self._affine(latents)
        return latents / scale + shift

    def normalisation(self) -> tuple[Tensor, Tensor]:
        """Return the mean and the deviation of the declared affine, float64 ``[C]`` each."""
        values = (self.config.latent_shift, self.config.latent_scale)
        shift, scale = (torch.tensor(x, dtype=torch.float64).expand(self.latent.channels) for x in values)
        return shift, 1 / scale

    def set_normalisation(self, mean: Tensor, std: Tensor) -> None:
        """Declare the affine of the latents: `encode` gives ``(raw - mean) / std``, with ``[C]`` each.

        Raises:
            VideoError: When a value is not finite or a deviation not positive.
        """
        if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
            raise VideoError(
                "Latent normalisation needs finite means and positive deviations; check the data."
            )
        self.config = self.config.replace(
            latent_shift=tuple(mean.tolist()), latent_scale=tuple((1 / std.double()).tolist())
        )

    def check_latents(self, latents: Tensor) -> None:
        """Refuse what are no latents of this autoencoder; raises `VideoError`."""
        channels = self.latent.channels
        if latents.ndim != 5 or latents.shape[1] != channels or 0 in latents.shape:
            raise VideoError(
                f"Latents of this autoencoder are [B, {channels}, t, h, w], not {list(latents.shape)}."
            )

    def _affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        values = (self.config.latent_shift, self.config.latent_scale)
        shift, scale = (torch.tensor(x, dtype=torch.float64).to(like).view(1, -1, 1, 1, 1) for x in values)
        return shift, scale


class KLAutoencoder(NormalisedAutoencoder):
    """A normalised autoencoder that defines `posterior` in place of `raw_latents`."""

    config: KLAutoencoderConfig

    @abstractmethod
    def posterior(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Return raw mean and log-variance ``[B, C, t, h, w]`` of a video that fits."""

    def raw_latents(self, video: Tensor) -> Tensor:
        """Return the posterior's mode."""
        return self.posterior(video)[0]

    def forward_train(self, video: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the reconstruction from a posterior sample, and the weighted ``kl`` (mean over latents)."""
        self.check_video(video)
        mean, log_variance = self.posterior(video)
        sample = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        kl = 0.5 * (mean.float().square() + log_variance.float().exp() - 1 - log_variance.float()).mean()
        return self.pixels(sample), {"kl": self.config.kl_weight * kl}


def moments(encoded: Tensor) -> tuple[Tensor, Tensor]:
    """Split what an encoder gives ``[B, 2 C, ...]`` into mean and log-variance, the latter within limits."""
    mean, log_variance = encoded.chunk(2, dim=1)
    return mean, log_variance.clamp(*LOG_VARIANCE)
