"""The text encoder: prompts to tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from vidgen.contract import TextEncoderConfig, TextSpec
from vidgen.errors import ContractError
from vidgen.interfaces.summary import summarise

__all__ = ["TextEmbedding", "TextEncoder"]


@dataclass(frozen=True, slots=True)
class TextEmbedding:
    """What a text encoder gives for B prompts.

    Attributes:
        tokens: ``[B, L, D]``.
        text_mask: Boolean ``[B, L]``, True for tokens to read.
        pooled: ``[B, P]`` or None.
    """

    tokens: Tensor
    text_mask: Tensor
    pooled: Tensor | None = None

    def to(self, *args: object, **kwargs: object) -> TextEmbedding:
        """Move to a device or floating-point dtype; the mask keeps its own."""
        tokens = self.tokens.to(*args, **kwargs)  # type: ignore[call-overload]
        pooled = None if self.pooled is None else self.pooled.to(*args, **kwargs)  # type: ignore[call-overload]
        return TextEmbedding(tokens, self.text_mask.to(tokens.device), pooled)

    @staticmethod
    def cat(parts: Sequence[TextEmbedding]) -> TextEmbedding:
        """Join along the batch; shorter ones are filled with masked zeros."""
        longest = max(part.tokens.shape[1] for part in parts)
        pads = [longest - part.tokens.shape[1] for part in parts]
        pad = torch.nn.functional.pad
        tokens = torch.cat([pad(p.tokens, (0, 0, 0, n)) for p, n in zip(parts, pads, strict=True)])
        mask = torch.cat([pad(p.text_mask, (0, n)) for p, n in zip(parts, pads, strict=True)])
        pooled = [part.pooled for part in parts if part.pooled is not None]
        return TextEmbedding(tokens, mask, torch.cat(pooled) if len(pooled) == len(parts) else None)


class TextEncoder(nn.Module, ABC):
    """Turns prompts into a `TextEmbedding` by the padding rule that its `TextSpec` declares.

    Args:
        config: The configuration; its `contract` declares the text space.
    """

    config: TextEncoderConfig
    origin: str = "random"
    """Where the weights come from: a tag, a folder, ``trained``, or ``random``."""

    def __init__(self, config: TextEncoderConfig | None = None) -> None:
        super().__init__()
        if (
            config is not None
        ):  # a class registered with plain arguments gets its configuration from `register`
            self.config = config

    def __repr__(self) -> str:
        return summarise(self)

    @property
    def text(self) -> TextSpec:
        """The declared text space; a width that only the weights tell is measured."""
        text = self.config.contract().text
        if text.width is None:
            with torch.no_grad():
                text = replace(text, width=self.encode([""]).tokens.shape[-1])
        return text

    @abstractmethod
    def encode(self, prompts: Sequence[str]) -> TextEmbedding:
        """Encode B prompts; an empty prompt is one too. Too long ones are cut with a `UserWarning`."""

    @property
    def negative_follows(self) -> bool:
        """Whether how a negative prompt is read depends on the prompt beside it (see `beside`); not by default."""
        return False

    def beside(self, negative: TextEmbedding, prompt: TextEmbedding) -> TextEmbedding:
        """Return a negative prompt's embedding as it is read beside a prompt's; as it is by default."""
        return negative

    def encode_images(self, images: Tensor) -> Tensor:
        """Return tokens ``[B, N, D]`` of some pictures each, ``[B, pictures, 3, H, W]`` in [-1, 1].

        Raises:
            ContractError: From encoders of text alone, as by default.
        """
        raise ContractError(
            f"{type(self).__name__} reads no images, and the denoiser wants an image's tokens; "
            "take a text encoder that does, such as the one of the folder that the denoiser came from."
        )
