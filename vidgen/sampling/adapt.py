"""Trainable projections that bridge parts of different widths (``adapt=True``).

An adapted part keeps the inner part as it was and adds an `adapter`; the two are saved side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from vidgen.contract import DenoiserConfig, TextEncoderConfig
from vidgen.interfaces import Condition, Denoiser, Prediction, TextEmbedding, TextEncoder, VideoAutoencoder
from vidgen.size import Size

__all__ = ["AdaptedDenoiser", "AdaptedTextEncoder", "adapted"]


class AdaptedTextEncoder(TextEncoder):
    """A text encoder followed by a linear map to the width that a denoiser reads."""

    def __init__(self, inner: TextEncoder, width: int) -> None:
        super().__init__()
        self.inner = inner
        self.adapter = nn.Linear(inner.text.width or width, width)

    @property
    def config(self) -> TextEncoderConfig:
        """The inner part's."""
        return self.inner.config

    @config.setter
    def config(self, value: TextEncoderConfig) -> None:
        self.inner.config = value

    def encode(self, prompts: Sequence[str]) -> TextEmbedding:
        """Encode and project the tokens; the pooled vector stays as it is."""
        text = self.inner.encode(prompts)
        return TextEmbedding(self.adapter(text.tokens), text.text_mask, text.pooled)

    @property
    def negative_follows(self) -> bool:
        """The inner part's."""
        return self.inner.negative_follows

    def beside(self, negative: TextEmbedding, prompt: TextEmbedding) -> TextEmbedding:
        """Let the inner part choose among the projected tokens."""
        return self.inner.beside(negative, prompt)


class AdaptedDenoiser(Denoiser):
    """A denoiser between two linear maps: from the latents' channels to its own and back."""

    def __init__(self, inner: Denoiser, channels: int) -> None:
        super().__init__()
        self.inner = inner
        own = inner.config.contract().latent_channels or channels
        self.adapter = nn.ModuleDict(
            {"enter": nn.Conv3d(channels, own, 1), "leave": nn.Conv3d(own, channels, 1)}
        )

    @property
    def config(self) -> DenoiserConfig:
        """The inner part's."""
        return self.inner.config

    @config.setter
    def config(self, value: DenoiserConfig) -> None:
        self.inner.config = value

    def prepare(self, text: TextEmbedding, condition: Condition, size: Size) -> Any:
        """Prepare the inner denoiser."""
        return self.inner.prepare(text, condition, size)

    def forward(self, x: Tensor, time: Tensor, prepared: Any) -> Prediction:
        """Predict in the inner denoiser's channels and map back; a learned variance is dropped."""
        return Prediction(self.adapter["leave"](self.inner(self.adapter["enter"](x), time, prepared).value))


def adapted(
    autoencoder: VideoAutoencoder, denoiser: Denoiser, text_encoder: TextEncoder
) -> tuple[Denoiser, TextEncoder]:
    """Return denoiser and text encoder, each with a projection where its width is not its neighbour's."""
    need, channels = denoiser.config.contract(), autoencoder.latent.channels
    if need.text.width not in (None, text_encoder.text.width):
        text_encoder = AdaptedTextEncoder(text_encoder, need.text.width)
    if need.latent_channels not in (None, channels):
        denoiser = AdaptedDenoiser(denoiser, channels)
    return denoiser, text_encoder
