"""One registry for all kinds: list with wildcards, find by name, create."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import importlib
import inspect
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from vidgen.config import Config
from vidgen.contract import DenoiserConfig, default_config
from vidgen.discovery import Plugin, discover
from vidgen.errors import ConfigError, DuplicateComponentError, PluginError, UnknownNameError, closest
from vidgen.spec import ComponentSpec, check_kind

__all__ = ["Address", "create", "find", "list_components", "plugins", "register", "registry"]

T = TypeVar("T", bound=type)


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
        broken = "".join(
            f" The plugin {p.name!r} failed to load: {p.error}." for p in self.plugins if p.error
        )
        raise UnknownNameError(
            f"There is no {kind} {name!r}.{closest(name, self.names(kind))} `vidgen list {kind}` shows all.{broken}"
        )

    def owner(self, kind: str, name: str) -> str:
        """Return who brought a component."""
        return self._owners[check_kind(kind), name]


_LOCK = threading.Lock()


@functools.cache
def _load() -> Registry:
    return Registry().load()


def registry() -> Registry:
    """Return the one registry, filled from the installed plugins at the first call."""
    with _LOCK:
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


@dataclasses.dataclass(frozen=True, slots=True)
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


def create(
    kind: str,
    name: str,
    *,
    config: Config | Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    **overrides: Any,
) -> Any:
    """Create a component by name.

    Args:
        kind: One of `vidgen.KINDS`.
        name: ``"name"``, ``"name/preset"`` or with weights ``"name/preset@tag"``.
        config: A configuration that replaces the preset.
        weights: None for random weights, a tag of shipped weights, or a folder with ``config.json`` and
            ``model.safetensors``; then the folder's configuration is used.
        **overrides: Fields of the configuration to change.

    Returns:
        The component; a part of the four interfaces is in evaluation mode.

    Raises:
        UnknownNameError: For a name, preset or tag that nobody registered.
        ConfigError: For an unknown or wrong field.
    """
    address = Address.parse(name)
    spec = find(kind, address.name)
    weights = weights if weights is not None else address.weights
    if weights is not None:
        from vidgen.checkpoint import load_part

        if config is not None or overrides or address.preset:
            raise ConfigError(
                f"{name!r}: trained weights bring their own configuration; leave preset and fields out."
            )
        return load_part(spec, weights)
    return build(spec, resolve(spec, address.preset, config, overrides))


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


def register(kind: str, name: str, *, summary: str = "", replace: bool = False) -> Callable[[T], T]:
    """Register a class from a notebook or script.

    The class takes one configuration; or its annotated ``__init__`` parameters become one, with their defaults
    as the preset ``tiny``.

    Args:
        kind: One of `vidgen.KINDS`.
        name: Lower-case kebab.
        summary: One line for listings; the docstring's first line by default.
        replace: Take the place of an earlier registration of the same name (running a notebook cell again).

    Example:
        ``@vidgen.register("denoiser", "my-net")`` above ``class MyNet(vidgen.Denoiser)``.
    """

    def decorate(cls: T) -> T:
        config_class, target = _config_of(kind, cls)
        if replace:
            registry().remove(kind, name)
        try:
            presets = {"tiny": config_class()}
        except (TypeError, ConfigError):
            presets = {}
        line = summary or (inspect.getdoc(cls) or "").split("\n")[0]
        where = f"{cls.__module__}:{cls.__qualname__}"
        spec = ComponentSpec(
            kind=check_kind(kind), name=name, target=where, config=config_class, summary=line, presets=presets
        )
        registry().add(spec, where)
        registry().live[spec.kind, name] = target
        return cls

    return decorate


def _config_of(kind: str, cls: type) -> tuple[type[Config], Any]:
    """Return the configuration class of a component and what builds it from one."""
    parameters = [p for p in inspect.signature(cls.__init__).parameters.values() if p.name != "self"]  # type: ignore[misc]
    hints = get_type_hints(cls.__init__)  # type: ignore[misc]
    if len(parameters) == 1:
        hint = hints.get(parameters[0].name)
        if isinstance(hint, type) and issubclass(hint, Config):
            return hint, cls
    fields: list[Any] = []
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) or parameter.name not in hints:
            raise PluginError(
                f"{cls.__name__}.__init__: annotate {parameter.name!r}, so that a config can be made of it."
            )
        default = parameter.default
        fields.append(
            (parameter.name, hints[parameter.name])
            if default is parameter.empty
            else (parameter.name, hints[parameter.name], dataclasses.field(default=default))
        )
    made = dataclasses.make_dataclass(
        f"{cls.__name__}Config",
        fields,
        bases=(default_config(kind),),
        namespace={"__module__": cls.__module__},
        frozen=True,
        kw_only=True,
    )

    def construct(settings: Config) -> Any:
        part = cls(**{name: getattr(settings, name) for name, *_ in fields})
        part.config = settings
        return part

    return made, construct
