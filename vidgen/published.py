"""Reading parts from folders in the layout that their system was published in.

Such a folder holds ``config.json`` with that system's own field names and its weights with its own tensor names, as
safetensors (also in several files) or a pickle, which is read with ``weights_only=True``.
"""

from __future__ import annotations

import contextlib
import textwrap
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar, cast

from vidgen.checkpoint import load_tensors
from vidgen.config import Config
from vidgen.errors import CheckpointError, ConfigError, VidgenError, closest
from vidgen.parts import build, load_target
from vidgen.registry import find, list_components
from vidgen.spec import ComponentSpec
from vidgen.tensors import fingerprint, open_tensors, read_json

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = [
    "PublishedConfig",
    "PublishedLayout",
    "hollow",
    "is_published",
    "load_published",
    "published_config",
    "read_fields",
    "translate",
]


T = TypeVar("T")
BROKEN = (TypeError, ValueError, LookupError, AttributeError, ArithmeticError)
"""What values of a wrong kind do to those who read them."""


class PublishedConfig(Protocol):
    """A configuration that can be read from the published field names."""

    @classmethod
    def from_published(cls, data: Mapping[str, Any], tensors: Collection[str]) -> Self:
        """Return the configuration of a published ``config.json`` (empty when there is none).

        Args:
            data: The fields.
            tensors: Names of the tensors, which may tell what a missing file does not.

        Raises:
            ConfigError: For a field that nobody knows, or a value that is not implemented.
        """
        ...


class PublishedLayout(ABC):
    """Mixin of parts whose tensors carry the published names."""

    PREFIXES: ClassVar[tuple[str, ...]] = ()
    """What may stand before the part's names in the checkpoint of a whole system."""
    LEFT_OUT: ClassVar[tuple[str, ...]] = ()
    """Beginnings of names that belong to training alone (discriminators, losses)."""

    @classmethod
    def rename(cls, names: Collection[str], settings: Config) -> Mapping[str, str]:
        """Return our names of tensors that were published under several; those that are ours already are left out."""
        return {}

    @abstractmethod
    def published_forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Run the published computation, raw: its argument names, its outputs, without our normalisation."""


def translate(
    data: Mapping[str, Any],
    names: Mapping[str, str],
    *,
    only: Mapping[str, Any] | None = None,
    ignored: Collection[str] = (),
) -> dict[str, Any]:
    """Rename published fields to ours.

    Args:
        data: The published fields.
        names: Published name to our name.
        only: Fields that are implemented for one value (or one of a tuple of values) alone.
        ignored: Fields that do not change any number.

    Raises:
        ConfigError: For an unknown field, with close matches, and for a value that is not implemented.
    """
    only = only or {}
    result = {}
    for name, value in data.items():
        if name in names:
            result[names[name]] = tuple(value) if isinstance(value, list) else value
        elif name in only:
            allowed = only[name] if isinstance(only[name], tuple) else (only[name],)
            if value not in allowed:
                raise ConfigError(
                    f"The published field {name!r} is implemented for {' or '.join(map(repr, allowed))}, not {value!r}."
                )
        elif name not in ignored and not name.startswith("_"):
            known = [*names, *only, *ignored]
            raise ConfigError(f"There is no published field {name!r}.{closest(name, known)}")
    return result


def read_fields(path: Path, data: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]) -> T:
    """Return what `read` makes of the fields of a file; whatever a broken one does to it becomes one line.

    Args:
        path: The file, for messages.
        data: Its fields.
        read: Makes something of them.

    Raises:
        ConfigError: Names the file, and the field without which the others can be read.
    """
    try:
        return read(data)
    except BROKEN as problem:
        if isinstance(problem, VidgenError):
            raise
        cause = problem
    what = f"{path} cannot be read"
    for name, value in data.items():
        with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):
            read({other: one for other, one in data.items() if other != name})
            what = f"{path}: {name} cannot be {textwrap.shorten(repr(value), 60)}"
            break
    reason = " ".join(f"{type(cause).__name__}: {cause}".split())
    raise ConfigError(f"{what} ({reason}); fetch the file again.") from cause


def load_published(
    kind: str,
    name: str,
    folder: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    **changes: Any,
) -> Any:
    """Read a part from a folder in its system's published layout, strictly; memory is needed but once.

    Args:
        kind: One of the four interfaces.
        name: The part's name.
        folder: With ``config.json`` and ``*.safetensors`` or one ``.ckpt``, ``.bin``, ``.pt`` or ``.pth``.
        device: Where its tensors go, one after another.
        dtype: Of its floating-point tensors; None for float32.
        **changes: Fields of our configuration to change, such as the spaces that a denoiser was trained on.

    Returns:
        The part in evaluation mode, with `published_forward`.

    Raises:
        CheckpointError: For a folder without weights, and for names or shapes that differ.
        ConfigError: For a part without a published layout, and for settings that are not implemented.
    """
    import torch

    spec, folder = find(kind, name), Path(folder)
    target = load_target(spec)
    if not (isinstance(target, type) and issubclass(target, PublishedLayout)):
        able = [n for n in list_components(spec.kind) if hasattr(find(spec.kind, n).config, "from_published")]
        raise ConfigError(
            f"{spec.kind} {name!r} has no published layout; those that have: {', '.join(able) or 'none'}."
        )
    source = open_tensors(folder)
    settings = published_config(spec, folder, source.keys()).replace(**changes)
    part = hollow(spec, settings)
    names = _own_names(source.keys(), part.state_dict().keys(), target, settings)
    kind_of = dtype or torch.float32
    tensors = {own: source.read(theirs).to(device) for own, theirs in names.items()}
    tensors = {n: t.to(kind_of) if t.is_floating_point() else t for n, t in tensors.items()}
    load_tensors(part, tensors, folder, assign=True)
    part.origin = str(folder)
    return part.to(device).eval()


def published_config(spec: ComponentSpec, folder: Path, names: Collection[str] | None = None) -> Config:
    """Return the configuration of a folder in the published layout; reads no weights where there are safetensors.

    What makes a space gets one of its own, by the weights' `fingerprint`.

    Raises:
        CheckpointError: For a folder that cannot be read.
        ConfigError: For settings that nobody knows or that are not implemented.
    """
    data = _read_config(folder)
    names = open_tensors(folder).keys() if names is None else names
    kind = cast("type[PublishedConfig]", spec.config)
    made = read_fields(folder / "config.json", data, lambda fields: kind.from_published(fields, names))
    settings = cast("Config", made)
    nameless = getattr(settings, "space", None) == ""
    return settings.replace(space=f"{spec.name}-{fingerprint(folder)}") if nameless else settings


def is_published(spec: ComponentSpec, folder: Path) -> bool:
    """Return whether a folder of weights is in the published layout of a part, and not in ours."""
    return hasattr(spec.config, "from_published") and "format_version" not in _read_config(folder)


def hollow(spec: ComponentSpec, settings: Config) -> Any:
    """Make a part whose tensors take no memory until weights are put in their places."""
    import torch

    with torch.device("meta"):
        part = build(spec, settings)
    kept = set(part.state_dict())
    # What is no weight but made from the configuration (tables of positions) must have its values.
    made = any(buffer.is_meta and name not in kept for name, buffer in part.named_buffers()) or any(
        isinstance(value, torch.Tensor) and value.is_meta
        for module in part.modules()
        for value in vars(module).values()
    )
    return build(spec, settings) if made else part


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder; give the one that holds config.json and the weights.")
    return read_json(path) if path.exists() else {}


def _own_names(
    names: Collection[str], expected: Collection[str], target: type[PublishedLayout], settings: Config
) -> dict[str, str]:
    """Return the published name of each of the part's own: without the prefix that most of them have, then renamed."""
    candidates = [a + b for a in ("", "module.") for b in ("", *target.PREFIXES)]
    found: dict[str, dict[str, str]] = {}
    for prefix in candidates:
        short = {name.removeprefix(prefix): name for name in names if name.startswith(prefix)}
        renamed = target.rename(short.keys(), settings)
        found[prefix] = {renamed.get(name, name): theirs for name, theirs in short.items()}
    best = max(candidates, key=lambda prefix: len(found[prefix].keys() & set(expected)))
    return {n: theirs for n, theirs in found[best].items()
            if n in expected or not n.startswith(target.LEFT_OUT or ("\0",))}  # fmt: skip
