"""diffusers itself, which is optional: asked for when a part is made, never before."""

from __future__ import annotations

import importlib
from typing import Any

from vidgen.errors import MissingDependencyError

__all__ = ["published_class"]


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
