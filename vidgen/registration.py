"""Registering a class from a notebook or script; packages use an entry point instead."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

from vidgen.config import Config
from vidgen.contract import default_config
from vidgen.errors import ConfigError, PluginError
from vidgen.registry import registry
from vidgen.spec import ComponentSpec, check_kind

__all__ = ["register"]

T = TypeVar("T", bound=type)


def register(kind: str, name: str, *, summary: str = "", replace: bool = False) -> Callable[[T], T]:
    """Register a class from a notebook or script.

    The class takes one configuration; or its annotated ``__init__`` parameters become one, with their defaults
    as the preset ``tiny``. A static method ``contract(config)`` declares what the part is; a denoiser has a default.

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
    make: Any = cls.__init__  # type: ignore[misc]
    parameters = [p for p in inspect.signature(make).parameters.values() if p.name != "self"]
    hints = get_type_hints(make)
    if make is object.__init__:  # which would take anything
        parameters = []
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
    namespace: dict[str, Any] = {"__module__": cls.__module__}
    if hasattr(cls, "contract"):
        namespace["contract"] = lambda settings: cls.contract(settings)
    made = dataclasses.make_dataclass(
        f"{cls.__name__}Config",
        fields,
        bases=(default_config(kind),),
        namespace=namespace,
        frozen=True,
        kw_only=True,
    )

    def construct(settings: Config) -> Any:
        part = cls(**{name: getattr(settings, name) for name, *_ in fields})
        part.config = settings
        return part

    return made, construct
