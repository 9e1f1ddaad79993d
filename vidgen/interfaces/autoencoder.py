"""The video autoencoder: pixels to latents and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import ClassVar

import torch
from torch import Tensor, nn

from vidgen.contract import AutoencoderConfig, LatentSpec
from vidgen.errors import ContractError, SizeError, VideoError
from vidgen.interfaces.summary import summarise
from vidgen.interfaces.windows import decode_windows, encode_windows
from vidgen.size import Size

__all__ = ["VideoAutoencoder"]


class VideoAutoencoder(nn.Module, ABC):
    """Maps videos ``[B, 3, T, H, W]`` in [-1, 1] to latents ``[B, C, t, h, w]`` and back.

    Normalisation is inside: latents that leave `encode` are ready for a denoiser, and nobody outside ever multiplies
    by a scaling factor. Sizes fit the declared `LatentSpec` (see `LatentSpec.fits`).

    Args:
        config: The configuration; its `contract` declares the latent space.
    """

    config: AutoencoderConfig
    origin: str = "random"
    """Where the weights come from: a tag, a folder, ``trained``, or ``random``."""
    window: ClassVar[tuple[int, int]] = (17, 6)
    """Latent frames of a window, and how many two of them share, where streaming is ``windowed``."""

    def __init__(self, config: AutoencoderConfig | None = None) -> None:
        super().__init__()
        if (
            config is not None
        ):  # a class registered with plain arguments gets its configuration from `register`
            self.config = config

    def __repr__(self) -> str:
        return summarise(self)

    @property
    def latent(self) -> LatentSpec:
        """The declared latent space."""
        return self.config.contract().latent

    @abstractmethod
    def encode(self, video: Tensor) -> Tensor:
        """Return the latents ``[B, C, t, h, w]`` (the posterior's mode) of a video ``[B, 3, T, H, W]``."""

    @abstractmethod
    def decode(self, latents: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Return the video ``[B, 3, T, H, W]`` of latents; `generator` serves decoders that draw noise."""

    @abstractmethod
    def forward_train(self, video: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the reconstruction and the part's own weighted losses (``kl``, ``commitment``), as scalars."""

    def check_video(self, video: Tensor, *, whole: bool = True) -> None:
        """Refuse what is no video of this autoencoder; call it at the head of `encode`.

        Args:
            video: ``[B, 3, T, H, W]`` in [-1, 1] (a thousandth beyond is let pass).
            whole: Whether it is a whole clip, whose frames must fit too, or a piece of one.

        Raises:
            VideoError: For another shape or type, NaN, or values out of range.
            SizeError: For a size that does not fit; names the nearest ones.
        """
        if not isinstance(video, Tensor):
            raise VideoError(f"A video is a torch tensor, not {type(video).__name__}; see Video.tensor().")
        if video.ndim != 5 or video.shape[1] != 3 or not video.is_floating_point() or 0 in video.shape:
            kind = f"{str(video.dtype).removeprefix('torch.')} {list(video.shape)}"
            raise VideoError(
                f"A video is a float tensor [B, 3, T, H, W] in [-1, 1], not {kind}; see Video.tensor()."
            )
        size = Size(*video.shape[2:])
        self.check_size(size if whole else size._replace(frames=self.latent.pixel_size(size).frames))
        low, high = (float(value) for value in video.detach().aminmax())
        if not (low >= -1.001 and high <= 1.001):
            what = "NaN" if low != low or high != high else f"values from {low:.3g} to {high:.3g}"
            raise VideoError(
                f"A video's values lie in [-1, 1]; this one has {what}. Video.tensor() scales uint8 frames."
            )

    def check_size(self, size: Size) -> None:
        """Refuse a video size that does not map to latents; raises `SizeError` with the nearest ones."""
        if not self.latent.fits(size):
            near = " or ".join(map(str, self.latent.nearest(size)))
            raise SizeError(
                f"The autoencoder takes no {size}; use {near}, or let the pipeline pad (fit='pad')."
            )

    def normalisation(self) -> tuple[Tensor, Tensor] | None:
        """Return the mean and the deviation, ``[C]`` each, that `encode` takes out of its raw latents.

        None, the default, is for parts without such an affine. Others define `set_normalisation` too.
        """
        return None

    def set_normalisation(self, mean: Tensor, std: Tensor) -> None:
        """Declare the affine of the latents: `encode` gives ``(raw - mean) / std``, with ``[C]`` each.

        Raises:
            ContractError: From parts without such an affine.
        """
        raise ContractError(
            f"{type(self).__name__} declares no normalisation of its latents: define normalisation() and "
            "set_normalisation(mean, std), or derive it from vidgen.NormalisedAutoencoder, which has both."
        )

    def start_from_data(self, videos: Iterable[Tensor]) -> None:
        """Prepare a fresh part from some videos before training (codes, components); nothing by default."""

    def encode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Encode a clip that arrives in pieces of frames, in bounded memory where `streaming` says so.

        Args:
            pieces: Parts ``[B, 3, T_i, H, W]`` of one clip in order, of any lengths.

        Yields:
            Parts of the latents in order.
        """
        if self.latent.streaming == "windowed":
            yield from encode_windows(self.encode, self.counted(pieces), self.latent, *self.window)
        else:
            yield self.encode(torch.cat(list(pieces), dim=2))

    def decode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Decode latents that arrive in pieces ``[B, C, t_i, h, w]``; yields parts of the video in order."""
        if self.latent.streaming == "windowed":
            yield from decode_windows(self.decode, pieces, self.latent, *self.window)
        else:
            yield self.decode(torch.cat(list(pieces), dim=2))

    def counted(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Pass the pieces of a clip on, each checked; at the end refuse a number of frames that does not fit."""
        size: Size | None = None
        for piece in pieces:
            self.check_video(piece, whole=False)
            size = Size(piece.shape[2] + (size.frames if size else 0), *piece.shape[3:])
            yield piece
        if size is not None:
            self.check_size(size)
