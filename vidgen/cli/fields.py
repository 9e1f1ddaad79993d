"""Fields on the command line: ``name=value`` pairs, and a component chosen by its name with some of them."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

from vidgen.errors import ConfigError

__all__ = ["choice", "read_value"]


def read_value(text: str) -> Any:
    """Read a value: TOML (a number, true, a list, a word in quotes), or else a plain word."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def choice(name: str | None, pairs: Sequence[str] | None, option: str, short: str) -> dict[str, Any] | None:
    """Return the table of a component that an option names and another one sets, None for none.

    Args:
        name: Of the component.
        pairs: ``FIELD=VALUE`` each.
        option: What gave the name, for messages.
        short: What gave the pairs, for messages.

    Raises:
        ConfigError: For pairs of another form, or without a name.
    """
    if name is None:
        if pairs:
            raise ConfigError(f"{short} sets fields of {option}; name one.")
        return None
    table: dict[str, Any] = {"name": name}
    for pair in pairs or ():
        field, equals, text = pair.partition("=")
        if not equals or not field.strip():
            raise ConfigError(f"{short} reads FIELD=VALUE, such as {short} scale=5, not {pair!r}.")
        table[field.strip()] = read_value(text)
    return table
