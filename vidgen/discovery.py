"""From entry points to specs: every plugin is loaded on its own; a broken one is remembered, never fatal."""

from __future__ import annotations

import importlib.metadata
import os
from collections import Counter
from dataclasses import dataclass

import pluggy

from vidgen import hookspecs
from vidgen.errors import DuplicateComponentError
from vidgen.spec import ComponentSpec

__all__ = ["GROUP", "Plugin", "discover"]

GROUP = "vidgen"
"""The entry-point group that plugins name in their pyproject.toml."""


@dataclass(kw_only=True, slots=True)
class Plugin:
    """One entry point: who ships it, what it brings, or why it could not be loaded."""

    name: str
    distribution: str
    version: str
    module: str
    specs: tuple[ComponentSpec, ...] = ()
    error: str | None = None


def discover() -> list[Plugin]:
    """Load the entry points of the group, each in its own try, in order of name.

    ``VIDGEN_LOAD_PLUGINS=a,b`` restricts loading to those names; an empty value loads none.

    Raises:
        DuplicateComponentError: When two distributions use one entry-point name; both are named.
    """
    wanted = os.environ.get("VIDGEN_LOAD_PLUGINS")
    allowed = None if wanted is None else {name.strip() for name in wanted.split(",") if name.strip()}
    entry_points = sorted(_unique_entry_points(), key=lambda point: point.name)
    counts = Counter(point.name for point in entry_points)
    for name, count in counts.items():
        if count > 1:
            owners = " and ".join(_owner(point)[0] for point in entry_points if point.name == name)
            raise DuplicateComponentError(
                f"The plugin name {name!r} is used by {owners}; uninstall one or rename its entry point."
            )
    return [_load(point) for point in entry_points if allowed is None or point.name in allowed]


def _unique_entry_points() -> list[importlib.metadata.EntryPoint]:
    """Drop repeats of the same distribution, which sys.path can show twice (an editable install and its source)."""
    seen: dict[tuple[str, str, str], importlib.metadata.EntryPoint] = {}
    for point in importlib.metadata.entry_points(group=GROUP):
        seen.setdefault((point.name, point.value, _owner(point)[0]), point)
    return list(seen.values())


def _owner(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist else ("unknown", "?")


def _load(point: importlib.metadata.EntryPoint) -> Plugin:
    distribution, version = _owner(point)
    plugin = Plugin(name=point.name, distribution=distribution, version=version, module=point.value)
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        if not manager.load_setuptools_entrypoints(GROUP, name=point.name):
            raise ImportError("the entry point could not be registered")
        manager.check_pending()
        specs = [spec for result in manager.hook.vidgen_components() for spec in result]
        wrong = [spec for spec in specs if not isinstance(spec, ComponentSpec)]
        if wrong:
            raise TypeError(f"vidgen_components() returned {wrong[0]!r}, which is no ComponentSpec")
        if not specs:
            raise ValueError("it brings no components; is vidgen_components() marked with @vidgen.hookimpl?")
        plugin.specs = tuple(specs)
    except Exception as problem:
        plugin.error = f"{type(problem).__name__}: {problem}".splitlines()[0]
    return plugin
