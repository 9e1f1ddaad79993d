"""Guidance: how the predictions of several branches (with the prompt, without it) combine into one."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from torch import Tensor

from vidgen.config import Config
from vidgen.contract import DenoiserContract
from vidgen.errors import ConfigError, PluginError, closest
from vidgen.parts import build, read_choice

__all__ = ["BRANCHES", "Branch", "Checked", "ClassifierFree", "Guider", "as_guider", "branch"]


@dataclass(frozen=True, slots=True)
class Branch:
    """What one evaluation of the denoiser is told.

    Attributes:
        text: The prompt; else the negative (or empty) prompt.
        given: What is given (frames, regions); else nothing, as if all were to be made.
    """

    text: bool
    given: bool


BRANCHES: Mapping[str, Branch] = MappingProxyType(
    {
        "text": Branch(text=True, given=True),
        "none": Branch(text=False, given=True),
        "nothing": Branch(text=False, given=False),
        "text-alone": Branch(text=True, given=False),
    }
)
"""The branches that a guider may ask for. Those that tell the denoiser the same are evaluated once."""


class Guider(ABC):
    """Says which branches a step needs and combines their raw predictions.

    A component of the kind ``guider``: its configuration has a field `scale` wherever one number says how much.
    """

    @abstractmethod
    def branches(self, step: int, t: float) -> tuple[str, ...]:
        """Return the names of the `BRANCHES` to evaluate; for none of them the raw prediction is zero."""

    @abstractmethod
    def combine(self, predictions: Mapping[str, Tensor], step: int, t: float) -> Tensor:
        """Return one raw prediction ``[B, C, t, h, w]`` of those of the branches."""

    def adjust_clean(self, clean: Tensor, step: int, t: float) -> Tensor:
        """Act on the estimate of the clean sample; as it is by default."""
        return clean

    def check(self, contract: DenoiserContract) -> None:
        """Refuse a denoiser that cannot be guided so, by a `ConfigError`; all are taken by default."""
        return


class ClassifierFree(Guider):
    """Classifier-free guidance (arXiv 2207.12598): ``none + scale (text - none)``; what a plain number means.

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


class Checked(Guider):
    """A guider whose answers are looked at: a wrong one is a `PluginError` that names it, not a wrong video.

    Args:
        inner: The guider.
    """

    def __init__(self, inner: Guider) -> None:
        self.inner = inner

    def branches(self, step: int, t: float) -> tuple[str, ...]:
        """Return the inner one's branches, which must be names of `BRANCHES`."""
        names = self.inner.branches(step, t)
        if not isinstance(names, (tuple, list)) or not all(isinstance(name, str) for name in names):
            raise PluginError(f"{self._name}.branches must return a tuple of names, not {names!r}.")
        for name in names:
            branch(self.inner, name)
        return tuple(names)

    def combine(self, predictions: Mapping[str, Tensor], step: int, t: float) -> Tensor:
        """Return the inner one's combination, which must have the shape of a prediction."""
        like = next(iter(predictions.values()))
        return self._alike("combine", self.inner.combine(predictions, step, t), like)

    def adjust_clean(self, clean: Tensor, step: int, t: float) -> Tensor:
        """Return the inner one's estimate, which must keep its shape."""
        return self._alike("adjust_clean", self.inner.adjust_clean(clean, step, t), clean)

    def check(self, contract: DenoiserContract) -> None:
        """Ask the inner one."""
        self.inner.check(contract)

    @property
    def _name(self) -> str:
        return type(self.inner).__name__

    def _alike(self, method: str, made: object, like: Tensor) -> Tensor:
        if not isinstance(made, Tensor) or made.shape != like.shape:
            what = list(made.shape) if isinstance(made, Tensor) else repr(made)
            raise PluginError(f"{self._name}.{method} must return a tensor {list(like.shape)}, not {what}.")
        return made


def as_guider(guidance: float | str | Mapping[str, Any] | Config | Guider) -> Checked:
    """Return the guider of a number (the scale of classifier-free guidance), a choice by name, or the object, checked.

    Raises:
        ConfigError: For anything else, and for fields out of range.
        PluginError: When what is registered as a guider is none.
    """
    return Checked(_chosen(guidance))


def _chosen(guidance: float | str | Mapping[str, Any] | Config | Guider) -> Guider:
    if isinstance(guidance, Guider):
        return guidance
    if isinstance(guidance, (str, Mapping, Config)):
        spec, settings = read_choice("guider", guidance)
        made = build(spec, settings)
        if not isinstance(made, Guider):
            raise PluginError(f"The guider {spec.name!r} is a {type(made).__name__}, which is no Guider.")
        return made
    if isinstance(guidance, bool) or not isinstance(guidance, (int, float)) or not math.isfinite(guidance):
        raise ConfigError(
            f"guidance is a number (1 is none), the name of a guider, a table with one, or a Guider, not {guidance!r}."
        )
    return ClassifierFree(guidance)


def branch(guider: Guider, name: str) -> Branch:
    """Return the branch of a name.

    Raises:
        PluginError: Naming the guider that asks for what there is not.
    """
    if name not in BRANCHES:
        raise PluginError(
            f"{type(guider).__name__} asks for a branch {name!r}.{closest(name, BRANCHES)} "
            f"Branches: {', '.join(BRANCHES)}."
        )
    return BRANCHES[name]
