"""Typed, frozen configurations that read from and write to plain data (JSON, TOML)."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, dataclass_transform

from vidgen.errors import ConfigError, closest

__all__ = ["Config", "check_config_class", "config", "require"]

T = TypeVar("T")


@dataclass_transform(kw_only_default=True, frozen_default=True)
def config(cls: type[T]) -> type[T]:
    """Make a class a frozen, keyword-only dataclass with slots: the only form a configuration takes."""
    return dataclass(frozen=True, kw_only=True, slots=True)(cls)


@config
class Config:
    """Base of all configurations: types are checked, unknown keys are refused with their closest matches.

    A subclass is decorated with `config` and validates ranges in `validate`, which runs after the types hold.
    """

    def __post_init__(self) -> None:
        hints = field_types(type(self))
        for field in dataclasses.fields(self):
            value = _coerce(
                getattr(self, field.name), hints[field.name], f"{type(self).__name__}.{field.name}"
            )
            object.__setattr__(self, field.name, value)
        self.validate()

    def validate(self) -> None:
        """Check ranges and combinations of fields; raise `ConfigError` (see `require`)."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` reads back equal."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Build from plain data.

        Raises:
            ConfigError: For an unknown key (with close matches), a missing one or a wrong type.
        """
        if not isinstance(data, Mapping):
            raise ConfigError(f"{cls.__name__} wants a table of fields, not {type(data).__name__}.")
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for key in data:
            if key not in fields:
                known = ", ".join(fields) or "none"
                raise ConfigError(
                    f"{cls.__name__} has no field {key!r}.{closest(str(key), fields)} Fields: {known}."
                )
        for name, field in fields.items():
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if required and name not in data:
                raise ConfigError(f"{cls.__name__} needs the field {name!r}; add it.")
        return cls(**data)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed; unknown names are refused with close matches."""
        return type(self).from_dict(
            {**{f.name: getattr(self, f.name) for f in dataclasses.fields(self)}, **changes}
        )

    def located(self, folder: Path) -> Self:
        """Return the configuration of a part in this folder, with the files beside its tensors; as it is by default."""
        return self

    def save(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(self.to_dict(), indent=2) + "\n")


def require(condition: bool, message: str) -> None:
    """Raise `ConfigError` with `message` unless the condition holds."""
    if not condition:
        raise ConfigError(message)


def check_config_class(cls: type) -> None:
    """Refuse a configuration class that is not a frozen, keyword-only `Config`.

    Raises:
        ConfigError: Naming what is missing.
    """
    if not (isinstance(cls, type) and issubclass(cls, Config)):
        raise ConfigError(f"{cls!r} is no vidgen Config; derive from vidgen.Config.")
    own = cls.__dict__.get("__dataclass_params__")
    # Python 3.11 keeps no kw_only among the parameters, so the fields are asked.
    if own is None or not (own.frozen and all(field.kw_only for field in dataclasses.fields(cls))):
        raise ConfigError(
            f"{cls.__name__} must carry the decorator @config of vidgen.config (frozen, keyword-only)."
        )


def field_types(cls: type) -> dict[str, Any]:
    """Return the resolved annotations of a configuration class, by field name."""
    if cls not in _HINTS:
        _HINTS[cls] = typing.get_type_hints(cls)
    return _HINTS[cls]


_HINTS: dict[type, dict[str, Any]] = {}


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _coerce(value: Any, hint: Any, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin is Literal:
        if value in args and type(value) in {type(arg) for arg in args}:
            return value
        near = closest(value, map(str, args)) if isinstance(value, str) else ""
        raise ConfigError(f"{where} must be one of {', '.join(map(repr, args))}, not {value!r}.{near}")
    if origin in (typing.Union, types.UnionType):
        return _coerce_union(value, args, where)
    if origin is tuple:
        return _coerce_tuple(value, args, where)
    if isinstance(hint, type) and issubclass(hint, Config):
        if isinstance(value, Mapping):
            return hint.from_dict(value)
    elif hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif hint is int and isinstance(value, bool):
        raise ConfigError(f"{where} must be int, not {value!r}.")
    if isinstance(hint, type) and isinstance(value, hint):
        return value
    raise ConfigError(
        f"{where} must be {getattr(hint, '__name__', hint)}, not {value!r} ({type(value).__name__})."
    )


def _coerce_union(value: Any, args: tuple[Any, ...], where: str) -> Any:
    if value is None and type(None) in args:
        return None
    problems = []
    for arg in sorted(args, key=lambda arg: arg is float):
        try:
            return _coerce(value, arg, where)
        except ConfigError as problem:
            problems.append(str(problem).rstrip("."))
    raise ConfigError("; or ".join(problems) + ".")


def _coerce_tuple(value: Any, args: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if not isinstance(value, (tuple, list)):
        raise ConfigError(f"{where} must be a list, not {value!r}.")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_coerce(item, args[0], f"{where}[{i}]") for i, item in enumerate(value))
    if len(value) != len(args):
        raise ConfigError(f"{where} must have {len(args)} items, not {len(value)}.")
    return tuple(
        _coerce(item, arg, f"{where}[{i}]") for i, (item, arg) in enumerate(zip(value, args, strict=True))
    )
