"""From a name to a part: addresses, configurations, and making what a spec names."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vidgen.config import Config
from vidgen.contract import DenoiserConfig
from vidgen.errors import ConfigError, PluginError
from vidgen.registry import registry
from vidgen.spec import ComponentSpec

__all__ = ["Address", "build", "load_target", "resolve"]


@dataclass(frozen=True, slots=True)
class Address:
    """A part as written in one word: ``name``, ``name/preset``, ``name@weights`` or ``name/preset@weights``."""

    name: str
    preset: str | None = None
    weights: str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Split a word; weights may be a tag or a folder (and so may hold slashes)."""
        left, _, weights = text.partition("@")
        name, _, preset = left.partition("/")
        return cls(name, preset or None, weights or None)


def resolve(
    spec: ComponentSpec,
    preset: str | None,
    given: Config | Mapping[str, Any] | None,
    overrides: Mapping[str, Any],
) -> Config:
    """Return the configuration that a name, a preset, a given table and overrides amount to."""
    if isinstance(given, Config):
        if not isinstance(given, spec.config):
            raise ConfigError(
                f"{spec.kind} {spec.name!r} takes {spec.config.__name__}, not {type(given).__name__}."
            )
        base = given
    else:
        base = spec.preset(preset).replace(**(given or {}))
    return base.replace(**overrides) if overrides else base


def build(spec: ComponentSpec, settings: Config) -> Any:
    """Import a spec's target and make it from a configuration; modules come in evaluation mode."""
    if isinstance(settings, DenoiserConfig):
        settings = settings.follow()
    part = load_target(spec)(settings)
    return part.eval() if hasattr(part, "eval") and hasattr(part, "parameters") else part


def load_target(spec: ComponentSpec) -> Any:
    """Import the class or function that a spec names.

    Raises:
        PluginError: When the module or the attribute cannot be imported; says what to do.
    """
    live = registry().live.get((spec.kind, spec.name))
    if live is not None:
        return live
    module, _, attribute = spec.target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (
        ImportError,
        AttributeError,
        OSError,
        RuntimeError,
    ) as problem:  # a broken torchvision raises the last
        from vidgen.doctor import explain_import

        raise PluginError(
            f"{spec.kind} {spec.name!r} cannot be imported from {spec.target!r}: {explain_import(problem)}"
        ) from problem
