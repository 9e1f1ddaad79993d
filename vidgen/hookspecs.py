"""The plugin contract on one screen: one hook that returns component specs.

A plugin is a module (or object) with a function ``vidgen_components`` marked by `hookimpl`, named by one
line under ``[project.entry-points.vidgen]`` in its pyproject.toml.
"""

from __future__ import annotations

from collections.abc import Iterable

import pluggy

from vidgen.spec import ComponentSpec

__all__ = ["PROJECT", "hookimpl", "hookspec"]

PROJECT = "vidgen"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def vidgen_components() -> Iterable[ComponentSpec]:
    """Return the components of this plugin, without importing torch."""
    return ()
