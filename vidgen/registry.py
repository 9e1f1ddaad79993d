"""One registry for all kinds: list with wildcards, find by name, create."""

from __future__ import annotations

import fnmatch
import functools
import re
import threading

from vidgen.discovery import Plugin, discover
from vidgen.errors import DuplicateComponentError, PluginError, UnknownNameError, closest
from vidgen.spec import ComponentSpec, check_kind

__all__ = ["Registry", "find", "list_components", "plugins", "registry"]


class Registry:
    """Specs by kind and name, together with who owns each."""

    def __init__(self) -> None:
        self._specs: dict[tuple[str, str], ComponentSpec] = {}
        self._owners: dict[tuple[str, str], str] = {}
        self.live: dict[tuple[str, str], type] = {}
        self.plugins: list[Plugin] = []

    def add(self, spec: ComponentSpec, owner: str) -> None:
        """Add one component.

        Raises:
            DuplicateComponentError: When the name is taken; names both owners.
        """
        key = (check_kind(spec.kind), spec.name)
        if key in self._owners:
            raise DuplicateComponentError(
                f"{spec.kind} {spec.name!r} is brought by both {self._owners[key]} and {owner};"
                " rename one or uninstall its plugin (see `vidgen plugins`)."
            )
        self._specs[key], self._owners[key] = spec, owner

    def load(self) -> Registry:
        """Fill from the installed plugins; a plugin whose names clash is kept out and says why."""
        self.plugins = discover()
        for plugin in self.plugins:
            try:
                for spec in plugin.specs:
                    self.add(spec, f"plugin {plugin.name!r} ({plugin.distribution} {plugin.version})")
            except DuplicateComponentError as problem:
                plugin.error = str(problem)
                self._drop(plugin)
        return self

    def _drop(self, plugin: Plugin) -> None:
        owner = f"plugin {plugin.name!r} ({plugin.distribution} {plugin.version})"
        for key in [key for key, value in self._owners.items() if value == owner]:
            del self._specs[key], self._owners[key]

    def remove(self, kind: str, name: str) -> None:
        """Forget a component (a notebook that redefines its own)."""
        for table in (self._specs, self._owners, self.live):
            table.pop((check_kind(kind), name), None)

    def names(self, kind: str, pattern: str = "*") -> list[str]:
        """Return the names of a kind that match a wildcard, in natural order."""
        kind = check_kind(kind)
        found = [name for k, name in self._specs if k == kind and fnmatch.fnmatchcase(name, pattern)]
        return sorted(found, key=lambda n: [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", n)])

    def find(self, kind: str, name: str) -> ComponentSpec:
        """Return the spec of a component.

        Raises:
            UnknownNameError: With close matches, how to list all, and any plugin that failed to load.
        """
        kind = check_kind(kind)
        try:
            return self._specs[kind, name]
        except KeyError:
            pass
        hint = closest(name, self.names(kind))
        raise UnknownNameError(
            f"There is no {kind} {name!r}.{hint} `vidgen list {kind}` shows all.{self.broken()}"
        )

    def broken(self) -> str:
        """Return a sentence for each plugin that failed to load, since what is missing may be in it."""
        errors = {
            f" The plugin {p.name!r} failed to load: {p.error.rstrip('.')}." for p in self.plugins if p.error
        }
        return "".join(sorted(errors))

    def owner(self, kind: str, name: str) -> str:
        """Return who brought a component."""
        return self._owners[check_kind(kind), name]


_LOCK = threading.RLock()
_LOADING = threading.Event()


@functools.cache
def _load() -> Registry:
    _LOADING.set()
    try:
        return Registry().load()
    finally:
        _LOADING.clear()


def registry() -> Registry:
    """Return the one registry, filled from the installed plugins at the first call.

    Raises:
        PluginError: To a plugin that asks for components while it is being loaded.
    """
    with _LOCK:
        if _LOADING.is_set():  # the lock is ours, so we are inside the loading itself
            raise PluginError(
                "A plugin looked up a component while plugins are being loaded (in a preset or at the head of a "
                "module); look it up in contract() or when the part is made."
            )
        return _load()


def list_components(kind: str, pattern: str = "*") -> list[str]:
    """Return the names of the registered components of a kind.

    Args:
        kind: One of `vidgen.KINDS`, such as ``"denoiser"``.
        pattern: A wildcard, such as ``"sora*"``.
    """
    return registry().names(kind, pattern)


def find(kind: str, name: str) -> ComponentSpec:
    """Return the spec of a component by kind and name; raises `UnknownNameError` with close matches."""
    return registry().find(kind, name)


def plugins() -> list[Plugin]:
    """Return every installed plugin, the broken ones with their error."""
    return registry().plugins
