"""Trainable projections that bridge parts of different widths (``adapt=True``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from vidgen.interfaces import Condition, Denoiser, Prediction, TextEmbedding, TextEncoder, VideoAutoencoder
from vidgen.size import Size

__all__ = ["AdaptedDenoiser", "AdaptedTextEncoder", "adapt_denoiser", "adapt_text_encoder"]


class AdaptedTextEncoder(TextEncoder):
    """A text encoder followed by a linear map to the width that a denoiser reads."""

    def __init__(self, inner: TextEncoder, width: int) -> None:
        super().__init__(inner.config)
        self.inner = inner
        self.project = nn.Linear(inner.text.width or width, width)

    def encode(self, prompts: Sequence[str]) -> TextEmbedding:
        """Encode and project the tokens; the pooled vector stays as it is."""
        text = self.inner.encode(prompts)
        return TextEmbedding(self.project(text.tokens), text.text_mask, text.pooled)


class AdaptedDenoiser(Denoiser):
    """A denoiser between two linear maps: from the latents' channels to its own and back."""

    def __init__(self, inner: Denoiser, channels: int) -> None:
        super().__init__(inner.config)
        self.inner = inner
        own = inner.config.latent_channels or channels
        self.enter = nn.Conv3d(channels, own, 1)
        self.leave = nn.Conv3d(own, channels, 1)

    def prepare(self, text: TextEmbedding, condition: Condition, size: Size) -> Any:
        """Prepare the inner denoiser."""
        return self.inner.prepare(text, condition, size)

    def forward(self, x: Tensor, time: Tensor, prepared: Any) -> Prediction:
        """Predict in the inner denoiser's channels and map back; a learned variance is dropped."""
        return Prediction(self.leave(self.inner(self.enter(x), time, prepared).value))


def adapt_text_encoder(encoder: TextEncoder, denoiser: Denoiser) -> TextEncoder:
    """Return the encoder, projected where its width is not the one that the denoiser reads."""
    width = denoiser.config.contract().text.width
    return encoder if width in (None, encoder.text.width) else AdaptedTextEncoder(encoder, width)


def adapt_denoiser(denoiser: Denoiser, autoencoder: VideoAutoencoder) -> Denoiser:
    """Return the denoiser, projected where its channels are not the autoencoder's."""
    channels = denoiser.config.contract().latent_channels
    return (
        denoiser
        if channels in (None, autoencoder.latent.channels)
        else AdaptedDenoiser(denoiser, autoencoder.latent.channels)
    )
