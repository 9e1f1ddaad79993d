"""The denoiser backbone: noisy latents, time and text to a prediction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any

from torch import Tensor, nn

from vidgen.contract import DenoiserConfig, DenoiserContract
from vidgen.errors import ContractError, SizeError
from vidgen.interfaces.summary import summarise
from vidgen.interfaces.text_encoder import TextEmbedding
from vidgen.size import Size

__all__ = ["Condition", "Denoiser", "Prediction"]


@dataclass(frozen=True, slots=True)
class Condition:
    """What a denoiser may be told beside the text; each field needs the ability of its name.

    Attributes:
        fps: Frames a second ``[B]``.
        given: Given latents and their mask ``[B, C + 1, t, h, w]`` (mask last, 1 = given).
        given_frames: Latents of the given frames with grey in between, and a mask a frame of a latent
            ``[B, C + stride, t, h, w]`` (masks first, 1 = given), as Wan has it.
        image_tokens: ``[B, N, D]``.
        guidance_embed: Guidance scale ``[B]``.
    """

    fps: Tensor | None = None
    given: Tensor | None = None
    given_frames: Tensor | None = None
    image_tokens: Tensor | None = None
    guidance_embed: Tensor | None = None

    def check(self, contract: DenoiserContract, name: str) -> None:
        """Refuse a field whose ability the denoiser lacks.

        Raises:
            ContractError: Naming the field and the abilities there are.
        """
        for field in fields(self):
            if getattr(self, field.name) is not None and field.name not in contract.abilities:
                able = ", ".join(sorted(contract.abilities)) or "none"
                raise ContractError(f"Denoiser {name!r} takes no {field.name!r}; its abilities: {able}.")


@dataclass(frozen=True, slots=True)
class Prediction:
    """A denoiser's output.

    Attributes:
        value: ``[B, C, t, h, w]`` (packed ``[C, P]``), meaning what the contract's `prediction` says.
        log_variance: Learned variance of the same shape, for models that have one.
    """

    value: Tensor
    log_variance: Tensor | None = None


class Denoiser(nn.Module, ABC):
    """Predicts from noisy latents in two phases: `prepare` once a video, then `forward` at each step.

    Args:
        config: The configuration; its `contract` declares latents, text, process, prediction and abilities.
    """

    config: DenoiserConfig
    origin: str = "random"
    """Where the weights come from: a tag, a folder, ``trained``, or ``random``."""

    def __init__(self, config: DenoiserConfig | None = None) -> None:
        super().__init__()
        if (
            config is not None
        ):  # a class registered with plain arguments gets its configuration from `register`
            self.config = config

    def __repr__(self) -> str:
        return summarise(self)

    @abstractmethod
    def prepare(self, text: TextEmbedding, condition: Condition, size: Size) -> Any:
        """Compute what does not change along the steps: text keys and values, positions, embeddings.

        Args:
            text: The prompts' embedding, batch B.
            condition: What else the denoiser is told.
            size: Latent size (t, h, w).
        """

    def check_limit(self, size: Size) -> None:
        """Refuse a latent size beyond the largest that the contract declares; call it at the head of `prepare`.

        Raises:
            SizeError: Naming both sizes.
        """
        limit = self.config.contract().max_latent
        if limit is not None and any(side > most for side, most in zip(size, limit, strict=True)):
            raise SizeError(f"Latents of size {Size(*size)} are beyond the largest that this makes, {limit}.")

    @staticmethod
    def check_prepared(x: Tensor, size: Size) -> None:
        """Refuse latents ``[B, C, t, h, w]`` of another size than what was prepared.

        Raises:
            SizeError: Naming both sizes.
        """
        if tuple(x.shape[2:]) != tuple(size):
            raise SizeError(
                f"Latents of size {Size(*x.shape[2:])} meet what was prepared for {size}; prepare again."
            )

    @abstractmethod
    def forward(self, x: Tensor, time: Tensor, prepared: Any) -> Prediction:
        """Predict.

        Args:
            x: Noisy latents ``[B, C, t, h, w]``.
            time: ``[B]`` in [0, 1], 0 = clean; or ``[B, t]`` for those with `per_frame_time`.
            prepared: What `prepare` returned for the same batch and size.
        """
