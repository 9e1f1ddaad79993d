"""Every combination of parts by name: native, must be trained, or refused. No torch here."""

from __future__ import annotations

import fnmatch
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidgen.contract import Contracts, Status, find_problems, must_train
from vidgen.errors import ConfigError, UnknownNameError, VidgenError, closest
from vidgen.recipe import Slot
from vidgen.registry import find, list_components
from vidgen.spec import INTERFACES

__all__ = ["EVERY_PART", "Combination", "addresses", "combinations"]

EVERY_PART = ("*", "*@*")
"""The default patterns of a kind: each part by its default preset, and with each of its shipped weights."""


@dataclass(frozen=True, slots=True)
class Combination:
    """Four parts by name and what becomes of them.

    Attributes:
        parts: An address such as ``sora-dit/tiny`` or ``sora-vae@kinetic`` for each kind.
        status: ``native``, ``must be trained`` or ``refused``.
        reasons: Why it is refused, one line each; empty otherwise.
    """

    parts: Mapping[str, str]
    status: Status
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Choice:
    """A part by its address, with its contract or the reason why it has none."""

    address: str
    name: str
    random: bool
    contract: Any
    error: str = ""


def addresses(kind: str, patterns: str | Sequence[str] = EVERY_PART) -> list[str]:
    """Return the parts of a kind that match wildcards.

    Args:
        kind: One of the four interfaces.
        patterns: ``"sora*"`` (default presets), ``"sora*/*"`` (every preset), ``"*@*"`` (shipped weights).
            One without wildcards is taken as it is, and may name a folder of weights.

    Raises:
        UnknownNameError: When a pattern other than the default ones matches nothing.
    """
    found: dict[str, None] = {}
    for pattern in (patterns,) if isinstance(patterns, str) else patterns:
        matches = _matches(kind, pattern)
        if not matches and patterns is not EVERY_PART:
            hint = closest(pattern, list_components(kind))
            raise UnknownNameError(f"No {kind} matches {pattern!r}.{hint} `vidgen list {kind}` shows all.")
        found.update(dict.fromkeys(matches))
    return list(found)


def _matches(kind: str, pattern: str) -> list[str]:
    if not any(mark in pattern for mark in "*?["):
        return [pattern]
    left, with_weights, tag = pattern.partition("@")
    name, with_preset, preset = left.partition("/")
    names = list_components(kind, name)
    if with_weights:
        return [f"{n}@{t}" for n in names for t in list_components("pretrained", tag) if _holds(kind, n, t)]
    if with_preset:
        return [f"{n}/{p}" for n in names for p in find(kind, n).presets if fnmatch.fnmatchcase(p, preset)]
    return names


def _holds(kind: str, name: str, tag: str) -> bool:
    """Return whether shipped weights hold this part."""
    try:
        Slot.read(kind, {"name": name, "weights": tag})
    except VidgenError:
        return False
    return True


def combinations(
    patterns: Mapping[str, str | Sequence[str]] | None = None, *, foreign: bool = False, adapt: bool = False
) -> Iterator[Combination]:
    """Yield every combination of parts with its status, without building anything.

    Args:
        patterns: What to take for each kind (see `addresses`); kinds left out take every part.
        foreign: Let trained parts meet spaces that they do not know.
        adapt: Let trainable projections bridge channels and widths.

    Raises:
        UnknownNameError: For a part that nobody registered.
        ConfigError: For a kind that is no interface.
    """
    patterns = patterns or {}
    for kind in patterns:
        if kind not in INTERFACES:
            hint = closest(kind, INTERFACES)
            raise ConfigError(f"{kind!r} is no part.{hint} Parts: {', '.join(INTERFACES)}.")
    choices = {
        kind: [_choice(kind, address) for address in addresses(kind, patterns.get(kind, EVERY_PART))]
        for kind in INTERFACES
    }
    for picked in itertools.product(*choices.values()):
        yield _judge(dict(zip(INTERFACES, picked, strict=True)), foreign, adapt)


def _choice(kind: str, address: str) -> _Choice:
    slot = Slot.read(kind, address)
    random = kind != "scheduler" and not slot.trained
    try:
        return _Choice(address, slot.spec.name, random, slot.contract())
    except VidgenError as problem:  # it is one row's reason
        return _Choice(address, slot.spec.name, random, None, str(problem))


def _judge(picked: Mapping[str, _Choice], foreign: bool, adapt: bool) -> Combination:
    parts = {kind: choice.address for kind, choice in picked.items()}
    broken = tuple(choice.error for choice in picked.values() if choice.error)
    if broken:
        return Combination(parts, "refused", broken)
    names = {kind: choice.name for kind, choice in picked.items()}
    contracts = Contracts(**{kind: choice.contract for kind, choice in picked.items()}, names=names)
    problems = find_problems(contracts, foreign=foreign, adapt=adapt)
    if problems:
        return Combination(parts, "refused", tuple(map(str, problems)))
    random = [kind for kind, choice in picked.items() if choice.random]
    return Combination(parts, "must be trained" if must_train(contracts, random=random) else "native")
