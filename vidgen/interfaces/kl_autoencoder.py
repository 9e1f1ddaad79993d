"""What autoencoders with a Gaussian posterior share: its mode, the affine of the latents, the KL term."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from vidgen.contract import KLAutoencoderConfig
from vidgen.errors import VideoError
from vidgen.interfaces.autoencoder import VideoAutoencoder

__all__ = ["KLAutoencoder"]

LOG_VARIANCE = (-30.0, 20.0)
"""Limits of the log-variance, as in latent diffusion (https://arxiv.org/abs/2112.10752)."""


class KLAutoencoder(VideoAutoencoder):
    """A video autoencoder whose encoder gives mean and log-variance; the configuration holds the affine.

    A subclass defines `posterior` and `pixels`; latents that leave `encode` are ``(mean - shift) * scale``.
    """

    config: KLAutoencoderConfig

    @abstractmethod
    def posterior(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Return raw mean and log-variance ``[B, C, t, h, w]`` of a video that fits."""

    @abstractmethod
    def pixels(self, raw: Tensor) -> Tensor:
        """Return the video ``[B, 3, T, H, W]`` of raw latents."""

    def encode(self, video: Tensor) -> Tensor:
        """Return the posterior's mode ``[B, C, t, h, w]``, normalised, of ``[B, 3, T, H, W]`` in [-1, 1].

        Raises:
            VideoError: When the tensor has another form.
            SizeError: When the size does not fit; names the nearest ones.
        """
        self.check_video(video)
        shift, scale = self._affine(video)
        return (self.posterior(video)[0] - shift) * scale

    def decode(self, latents: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Return the video ``[B, 3, T, H, W]`` of normalised latents; it draws no noise.

        Raises:
            VideoError: When the latents have another form.
        """
        self.check_latents(latents)
        return self.pixels(self.raw(latents))

    def forward_train(self, video: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the reconstruction from a posterior sample, and the weighted ``kl`` (mean over latents)."""
        self.check_video(video)
        mean, log_variance = self.posterior(video)
        sample = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        kl = 0.5 * (mean.float().square() + log_variance.float().exp() - 1 - log_variance.float()).mean()
        return self.pixels(sample), {"kl": self.config.kl_weight * kl}

    def set_normalisation(self, mean: Tensor, std: Tensor) -> None:
        """Declare the affine of the latents: `encode` gives ``(raw - mean) / std``, with ``[C]`` each.

        Raises:
            VideoError: When a value is not finite or a deviation not positive.
        """
        if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
            raise VideoError("Latent normalisation needs finite means and positive deviations; check the data.")
        self.config = self.config.replace(
            latent_shift=tuple(mean.tolist()), latent_scale=tuple((1 / std.double()).tolist())
        )

    def raw(self, latents: Tensor) -> Tensor:
        """Undo the normalisation."""
        shift, scale = self._affine(latents)
        return latents / scale + shift

    def check_latents(self, latents: Tensor) -> None:
        """Refuse what are no latents of this autoencoder; raises `VideoError`."""
        channels = self.latent.channels
        if latents.ndim != 5 or latents.shape[1] != channels or 0 in latents.shape:
            raise VideoError(f"Latents of this autoencoder are [B, {channels}, t, h, w], not {list(latents.shape)}.")

    def _affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        values = (self.config.latent_shift, self.config.latent_scale)
        shift, scale = (torch.tensor(value).to(like).view(1, -1, 1, 1, 1) for value in values)
        return shift, scale


def moments(encoded: Tensor) -> tuple[Tensor, Tensor]:
    """Split what an encoder gives ``[B, 2 C, ...]`` into mean and log-variance, the latter within limits."""
    mean, log_variance = encoded.chunk(2, dim=1)
    return mean, log_variance.clamp(*LOG_VARIANCE)
