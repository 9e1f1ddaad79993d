"""Prompt refinement: what stands between the words of a person and those that a model was trained on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from vidgen.config import Config, require
from vidgen.errors import ConfigError, PluginError
from vidgen.parts import build, read_choice

__all__ = ["OFF", "PromptRefiner", "as_refiner", "refined"]

OFF = "none"
"""In place of a refiner's name: prompts stay as they are, whatever the recipe says."""


class PromptRefiner(ABC):
    """Rewrites prompts; a component of the kind ``prompt_refiner``."""

    @abstractmethod
    def refine(self, prompts: list[str]) -> list[str]:
        """Return a prompt for each one; a `UserWarning` says what was left out."""


def as_refiner(refiner: str | Mapping[str, Any] | Config | PromptRefiner | None) -> PromptRefiner | None:
    """Return the refiner of a name (``none``: none), a table, a configuration, or the object itself.

    Raises:
        ConfigError: For anything else, and for ``none`` with fields.
        PluginError: When what is registered as a refiner is none.
    """
    if refiner is None or isinstance(refiner, PromptRefiner):
        return refiner
    if refiner == OFF:
        return None
    if isinstance(refiner, Mapping) and refiner.get("name") == OFF:
        fields = ", ".join(str(name) for name in refiner if name != "name")
        require(
            not fields, f"The refiner {OFF!r} takes no fields: leave {fields} out, or name another refiner."
        )
        return None
    if not isinstance(refiner, (str, Mapping, Config)):
        raise ConfigError(f"refiner is a name, a table with one, or a PromptRefiner, not {refiner!r}.")
    spec, settings = read_choice("prompt_refiner", refiner)
    made = build(spec, settings)
    if not isinstance(made, PromptRefiner):
        raise PluginError(
            f"The prompt refiner {spec.name!r} is a {type(made).__name__}, which is no PromptRefiner."
        )
    return made


def refined(prompts: list[str], refiner: PromptRefiner | None) -> list[str]:
    """Return the prompts as the refiner rewrites them.

    Raises:
        PluginError: When it does not give one string for each.
    """
    if refiner is None:
        return prompts
    made = refiner.refine(list(prompts))
    if not isinstance(made, list) or len(made) != len(prompts) or not all(isinstance(p, str) for p in made):
        raise PluginError(
            f"{type(refiner).__name__}.refine must return {len(prompts)} strings, not {made!r}."
        )
    return made
