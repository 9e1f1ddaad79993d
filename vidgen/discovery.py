"""From entry points to specs: every plugin is loaded on its own; a broken one is remembered, never fatal."""

from __future__ import annotations

import importlib.metadata
import os
from dataclasses import dataclass

import pluggy

from vidgen import hookspecs
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

    ``VIDGEN_LOAD_PLUGINS=a,b`` restricts loading to those names; an empty value loads none. Of a name that several
    distributions use none is loaded, since nobody can say which is meant; each says so in its `Plugin.error`.
    """
    wanted = os.environ.get("VIDGEN_LOAD_PLUGINS")
    allowed = None if wanted is None else {name.strip() for name in wanted.split(",") if name.strip()}
    found = [point for point in _entry_points() if allowed is None or point.name in allowed]
    plugins = []
    for point in sorted(found, key=lambda point: point.name):
        owners = sorted(_owner(other)[0] for other in found if other.name == point.name)
        plugins.append(_clashing(point, owners) if len(owners) > 1 else _load(point))
    return plugins


def _entry_points() -> list[importlib.metadata.EntryPoint]:
    """Return the group's entry points, one set a distribution, whatever state the other distributions are in."""
    found: dict[str, list[importlib.metadata.EntryPoint]] = {}
    for distribution in importlib.metadata.distributions():
        try:
            points = [point for point in distribution.entry_points if point.group == GROUP]
        except Exception:  # a malformed entry_points.txt, of whomever, is no reason to stop
            continue
        if points:  # sys.path can show one twice (an editable install and its source); the first counts
            found.setdefault(_owner(points[0])[0], points)
    return [point for points in found.values() for point in points]


def _owner(point: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """Return the distribution's name and version, as far as a half-installed one tells them."""
    try:
        return str(point.dist.name or "unknown"), str(point.dist.version or "?")  # type: ignore[union-attr]
    except Exception:
        return "unknown", "?"


def _plugin(point: importlib.metadata.EntryPoint) -> Plugin:
    distribution, version = _owner(point)
    return Plugin(name=point.name, distribution=distribution, version=version, module=point.value)


def _clashing(point: importlib.metadata.EntryPoint, owners: list[str]) -> Plugin:
    plugin = _plugin(point)
    names = " and ".join(owners)
    plugin.error = (
        f"The plugin name {point.name!r} is used by {names}; uninstall one or rename its entry point"
    )
    return plugin


def _load(point: importlib.metadata.EntryPoint) -> Plugin:
    plugin = _plugin(point)
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(point.load(), name=point.name)
        manager.check_pending()
        specs = [spec for result in manager.hook.vidgen_components() for spec in result]
        wrong = [spec for spec in specs if not isinstance(spec, ComponentSpec)]
        if wrong:
            raise TypeError(f"vidgen_components() returned {wrong[0]!r}, which is no ComponentSpec")
        if not specs:
            raise ValueError("it brings no components; is vidgen_components() marked with @vidgen.hookimpl?")
        plugin.specs = tuple(specs)
    except (Exception, SystemExit) as problem:  # a module may even exit at import
        plugin.error = f"{type(problem).__name__}: {problem}".splitlines()[0]
    return plugin
