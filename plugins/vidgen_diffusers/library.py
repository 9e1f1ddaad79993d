"""diffusers itself, which is optional: asked for when a part is made, never before."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from vidgen.errors import ConfigError, MissingDependencyError, closest

__all__ = ["class_name", "published_class"]


def class_name(
    data: Mapping[str, Any], kind: str, supported: Mapping[str, Any], refused: Mapping[str, str]
) -> Any:
    """Return the class that a published file of settings names.

    Args:
        data: The settings.
        kind: What it is, for messages.
        supported: The classes that are.
        refused: Classes that are not, each with the reason.

    Raises:
        ConfigError: For none, and for a class that is not supported, with those that are.
    """
    name = data.get("_class_name")
    if not isinstance(name, str):
        raise ConfigError(
            f"Which class of diffusers the {kind} is stands in its config under _class_name; it is missing."
        )
    if name not in supported:
        why = f": it {refused[name]}" if name in refused else closest(name, supported).rstrip("?")
        raise ConfigError(
            f"The {kind} class {name!r} is not supported{why}. Supported: {', '.join(supported)}."
        )
    return name


def published_class(name: str) -> Any:
    """Return a class of diffusers; `name` comes out of a fixed table, never out of a file.

    Raises:
        MissingDependencyError: Where diffusers is missing, broken or too old for the class; says what to install.
    """
    try:
        return getattr(importlib.import_module("diffusers"), name)
    except (ImportError, AttributeError, RuntimeError, OSError) as problem:
        raise MissingDependencyError(
            f"{name} needs diffusers ({str(problem).splitlines()[0]}); "
            "run: pip install -U 'vidgen-components[diffusers]'"
        ) from problem
