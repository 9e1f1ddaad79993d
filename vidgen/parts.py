"""From a name to a part: addresses, configurations, and making what a spec names."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vidgen.config import Config
from vidgen.contract import DenoiserConfig
from vidgen.errors import ConfigError, PluginError, RecipeError
from vidgen.registry import find, list_components, registry
from vidgen.spec import ComponentSpec

__all__ = ["Address", "build", "choice_table", "load_target", "read_choice", "resolve", "spec_of"]


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


def spec_of(kind: str, settings: Config) -> ComponentSpec:
    """Return the registered component whose configuration class this is.

    Raises:
        RecipeError: When none has it; says how to register one.
    """
    for name in list_components(kind):
        if find(kind, name).config is type(settings):
            return find(kind, name)
    raise RecipeError(
        f"No {kind} has the configuration {type(settings).__name__}; register it: @vidgen.register({kind!r}, name)."
    )


def read_choice(kind: str, value: Any) -> tuple[ComponentSpec, Config]:
    """Read what an option chooses: ``"name/preset"``, ``{"name": "name/preset", field: ...}``, or a configuration.

    Raises:
        ConfigError: For another form, and for unknown or wrong fields.
        UnknownNameError: For a name or preset that nobody registered.
    """
    if isinstance(value, Config):
        return spec_of(kind, value), value
    table = {"name": value} if isinstance(value, str) else value
    if not isinstance(table, Mapping) or not isinstance(table.get("name"), str):
        raise ConfigError(
            f"A {kind} is chosen by a name, a table with a name and fields, or a configuration, not {value!r}."
        )
    address = Address.parse(table["name"])
    if address.weights:
        raise ConfigError(f"A {kind} has no weights; leave '@{address.weights}' out.")
    spec = find(kind, address.name)
    return spec, resolve(spec, address.preset, {key: one for key, one in table.items() if key != "name"}, {})


def choice_table(kind: str, value: Any) -> dict[str, Any]:
    """Return a choice as plain data that `read_choice` reads back: the name and every field that is not None."""
    spec, settings = read_choice(kind, value)
    return {"name": spec.name, **{key: one for key, one in settings.to_dict().items() if one is not None}}


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
