"""`diffusers`: any video autoencoder of diffusers, with one way to call it.

Each class of diffusers has its own names for its geometry, its own place for the normalisation of its latents and its
own conditions on how it is called; here all of them are `encode` and `decode`. Tensor names are diffusers' own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Self

import torch
from torch import Tensor

from vidgen import PublishedLayout
from vidgen.errors import SizeError
from vidgen.interfaces import KLAutoencoder
from vidgen.size import Size
from vidgen_diffusers.autoencoder_calls import decode, encode
from vidgen_diffusers.autoencoder_config import DiffusersAutoencoderConfig
from vidgen_diffusers.library import published_class

__all__ = ["DiffusersAutoencoder"]

EMPTY = ("latents_mean", "latents_std")
"""Options whose empty list stands for None."""


class DiffusersAutoencoder(KLAutoencoder, PublishedLayout):
    """An autoencoder of diffusers; latents are normalised as the pipeline of its family hands them to its denoiser.

    Args:
        config: The configuration.
    """

    PREFIXES = ("vae.",)
    config: DiffusersAutoencoderConfig
    model: Any

    def __init__(self, config: DiffusersAutoencoderConfig) -> None:
        super().__init__(config)
        options = {name: value for name, value in config.options.items() if name not in EMPTY or value}
        options |= {name: None for name in EMPTY if config.options.get(name) == []}
        model = published_class(config.model)(**options)
        # Its tensors are ours, under its own names; the model itself is no module of ours.
        for table in ("_modules", "_parameters", "_buffers", "_non_persistent_buffers_set"):
            self.__dict__[table] = model.__dict__[table]
        self.__dict__["model"] = model

    def train(self, mode: bool = True) -> Self:
        """Set the model to training too."""
        self.model.training = mode
        return super().train(mode)

    def decode(self, latents: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Return the video ``[B, 3, T, H, W]`` of normalised latents.

        Args:
            latents: ``[B, C, t, h, w]``.
            generator: For decoders that draw noise (LTX); None draws the same each time.

        Raises:
            VideoError: When the latents have another form.
            SizeError: When they are longer than the published normalisation.
        """
        self.check_latents(latents)
        return decode(self.model, self.config, self.denormalised(latents), generator)

    def raw_latents(self, video: Tensor) -> Tensor:
        """Return the posterior's mode ``[B, C, t, h, w]``, before normalisation."""
        return self.posterior(video)[0]

    def posterior(self, video: Tensor) -> tuple[Tensor, Tensor]:
        """Return raw mean and log-variance ``[B, C, t, h, w]``; without a posterior the latter is as low as it gets."""
        return encode(self.model, self.config, video)

    def pixels(self, raw: Tensor) -> Tensor:
        """Return the video ``[B, 3, T, H, W]`` of raw latents."""
        return decode(self.model, self.config, raw, None)

    def forward_train(self, video: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the reconstruction and the weighted ``kl``; no loss for classes without a posterior."""
        if self.config.facts.posterior:
            return super().forward_train(video)
        self.check_video(video)
        return self.pixels(self.raw_latents(video)), {}

    def encode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Encode piece by piece where frames are coded alone, else the whole clip at once."""
        alone = self.config.facts.streams
        yield from map(self.encode, self.counted(pieces)) if alone else super().encode_stream(pieces)

    def decode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Decode piece by piece where frames are coded alone, else the whole clip at once."""
        yield from map(self.decode, pieces) if self.config.facts.streams else super().decode_stream(pieces)

    def published_forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Take ``sample`` ``[B, 3, T, H, W]``; return raw ``mean``, ``logvar`` and ``decoded``, of the mean."""
        mean, log_variance = self.posterior(inputs["sample"])
        return {"mean": mean, "logvar": log_variance, "decoded": self.pixels(mean)}

    def normalisation(self) -> tuple[Tensor, Tensor] | None:  # type: ignore[override]
        """Return mean and deviation, float64 ``[C]`` each; None where the published ones differ from frame to frame."""
        shift, scale = (value.cpu() for value in self._published_affine())
        channels = (self.latent.channels,)
        if max(shift.ndim, scale.ndim) > 1:
            return None
        return shift.expand(channels), 1 / scale.expand(channels)

    def normalised(self, raw: Tensor) -> Tensor:
        """Return ``(raw - shift) * scale``."""
        shift, scale = self._affine(raw)
        return (raw - shift) * scale

    def denormalised(self, latents: Tensor) -> Tensor:
        """Undo `normalised`."""
        shift, scale = self._affine(latents)
        return latents / scale + shift

    def _affine(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return shift and scale, shaped to act on latents of one size."""
        return tuple(self._over_frames(value, like) for value in self._published_affine())  # type: ignore[return-value]

    def _over_frames(self, value: Tensor, like: Tensor) -> Tensor:
        """Shape a value, ``[C]`` or ``[C, t]`` to act on latents ``[B, C, t, h, w]``."""
        if value.ndim > 1:
            if like.shape[2] > value.shape[1]:
                most = self.latent.pixel_size(Size(value.shape[1], 1, 1)).frames
                raise SizeError(
                    f"{self.config.model} publishes a normalisation of {most} frames; make no more."
                )
            value = value[:, : like.shape[2]]
        return value.to(like).reshape(1, *value.shape or (1,), *(1 for _ in range(4 - max(value.ndim, 1))))

    def _published_affine(self) -> tuple[Tensor, Tensor]:
        """Return shift and scale in float64: a value, ``[C]``, or ``[C, t]`` where each frame has its own."""
        published, buffers = self.model.config, self.model.__dict__["_buffers"]
        mean, deviation = (buffers.get(name, published.get(name)) for name in EMPTY)
        if mean is None:
            mean = published.get("shift_factor") or 0.0
        shift = self._by_channel(self.config.latent_shift or mean)
        if self.config.latent_scale:
            return shift, self._by_channel(self.config.latent_scale)
        factor = published.get("scaling_factor", 1.0)
        return shift, factor / self._by_channel(1.0 if deviation is None else deviation)

    def _by_channel(self, values: Any) -> Tensor:
        value = torch.as_tensor(values, dtype=torch.float64)
        channels = self.latent.channels
        return value.view(channels, -1) if value.numel() > channels else value
