"""How parts print themselves: what they are, what they declare, how they are set."""

from __future__ import annotations

import dataclasses
from typing import Any

__all__ = ["summarise"]


def summarise(part: Any) -> str:
    """Return a few lines: class, size and origin of the weights; the contract; settings that are not the default.

    Args:
        part: A component of one of the four interfaces.
    """
    head = type(part).__name__
    parameters = list(part.parameters()) if hasattr(part, "parameters") else []
    if parameters:
        count = sum(p.numel() for p in parameters)
        size = f"{count / 1e6:.1f} M" if count >= 1e5 else str(count)
        kind, place = str(parameters[0].dtype).removeprefix("torch."), parameters[0].device
        head += f": {size} parameters, {part.origin} weights, {kind} on {place}"
    settings = getattr(part, "config", None)
    if settings is None:
        return head
    lines = [head, f"  declares {_fields(settings.contract())}", f"  settings {_fields(settings)}"]
    return "\n".join(line for line in lines if not line.endswith(" "))


def _fields(value: Any) -> str:
    """Write a dataclass as ``name=value`` pairs, those that differ from their defaults."""
    words = []
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if found != default:
            inner = dataclasses.is_dataclass(found)
            words.append(f"{field.name}({_fields(found)})" if inner else f"{field.name}={_plain(found)}")
    return ", ".join(words)


def _plain(value: Any) -> str:
    return "{" + ", ".join(sorted(value)) + "}" if isinstance(value, frozenset) else repr(value)
