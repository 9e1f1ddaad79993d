"""Guidance: how the predictions of several branches (with the prompt, without it) combine into one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor

from vidgen.errors import ConfigError

__all__ = ["ClassifierFree", "Guider", "as_guider"]


class Guider(ABC):
    """Says which branches a step needs and combines their raw predictions."""

    @abstractmethod
    def branches(self, step: int, t: float) -> tuple[str, ...]:
        """Return the branches to evaluate: ``text`` (the prompt) and ``none`` (the negative or empty prompt)."""

    @abstractmethod
    def combine(self, predictions: Mapping[str, Tensor], step: int, t: float) -> Tensor:
        """Return one raw prediction ``[B, C, t, h, w]`` of those of the branches."""

    def adjust_clean(self, clean: Tensor, step: int, t: float) -> Tensor:
        """Act on the estimate of the clean sample; as it is by default."""
        return clean


class ClassifierFree(Guider):
    """Classifier-free guidance (arXiv 2207.12598): ``none + scale (text - none)``.

    Args:
        scale: 1 follows the prompt plainly and costs one evaluation a step instead of two.
    """

    def __init__(self, scale: float) -> None:
        self.scale = float(scale)

    def branches(self, step: int, t: float) -> tuple[str, ...]:
        """Return both branches, or the prompt's alone at scale 1."""
        return ("text",) if self.scale == 1 else ("text", "none")

    def combine(self, predictions: Mapping[str, Tensor], step: int, t: float) -> Tensor:
        """Extrapolate from the branch without the prompt through the one with it."""
        if self.scale == 1:
            return predictions["text"]
        return predictions["none"] + self.scale * (predictions["text"] - predictions["none"])


def as_guider(guidance: float | Guider) -> Guider:
    """Return the guider of a number (the scale of classifier-free guidance), or the object itself."""
    if isinstance(guidance, Guider):
        return guidance
    if not isinstance(guidance, (int, float)) or not math.isfinite(guidance):
        raise ConfigError(f"guidance is a number (1 is none) or a Guider, not {guidance!r}.")
    return ClassifierFree(guidance)
