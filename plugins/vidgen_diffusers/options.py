"""The arguments of a published class as data: frozen, hashable, plain JSON. No torch here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn, Self

from vidgen.config import require

__all__ = ["Options"]


class Options(dict[str, Any]):
    """A table that cannot be changed; tuples in it become lists, as JSON has them.

    Args:
        fields: Names and values that JSON can hold.
    """

    def __init__(self, fields: Mapping[str, Any] | None = None) -> None:
        super().__init__((str(name), _plain(value)) for name, value in (fields or {}).items())

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(json.dumps(self, sort_keys=True))

    def __reduce__(self) -> tuple[type[Self], tuple[dict[str, Any]]]:
        return type(self), (dict(self),)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Options are frozen; make new ones.")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    require(
        value is None or isinstance(value, (bool, int, float, str)),
        f"Options hold what JSON can hold, not {value!r} ({type(value).__name__}).",
    )
    return value
