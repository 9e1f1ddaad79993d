"""Reading parts from folders in the layout that their system was published in.

Such a folder holds ``config.json`` with that system's own field names and its weights with its own tensor names, as
safetensors (also in several files) or a pickle, which is read with ``weights_only=True``.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, cast

from vidgen.checkpoint import digest, load_tensors
from vidgen.config import Config
from vidgen.errors import CheckpointError, ConfigError, closest
from vidgen.parts import build, load_target
from vidgen.registry import find, list_components

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PublishedConfig", "PublishedLayout", "load_published", "translate"]

WEIGHTS = ("model.safetensors", "diffusion_pytorch_model.safetensors", "weights.safetensors")
"""Usual names of the one file of weights; other safetensors files beside it are left alone."""
PICKLES = ("*.ckpt", "*.bin", "*.pt", "*.pth")
WRAPPERS = ("ema_state_dict", "state_dict", "gen_model", "module", "model")
"""Keys under which training scripts nest the tensors, the one to be preferred first."""


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


def load_published(kind: str, name: str, folder: str | Path, **changes: Any) -> Any:
    """Read a part from a folder in its system's published layout, strictly.

    Args:
        kind: One of the four interfaces.
        name: The part's name.
        folder: With ``config.json`` and ``*.safetensors`` or one ``.ckpt``, ``.bin``, ``.pt`` or ``.pth``.
        **changes: Fields of our configuration to change, such as the spaces that a denoiser was trained on.

    Returns:
        The part in evaluation mode and float32, with `published_forward`.

    Raises:
        CheckpointError: For a folder without weights, and for names or shapes that differ.
        ConfigError: For a part without a published layout, and for settings that are not implemented.
    """
    spec, folder = find(kind, name), Path(folder)
    target = load_target(spec)
    if not (isinstance(target, type) and issubclass(target, PublishedLayout)):
        able = [n for n in list_components(spec.kind) if hasattr(find(spec.kind, n).config, "from_published")]
        raise ConfigError(
            f"{spec.kind} {name!r} has no published layout; those that have: {', '.join(able) or 'none'}."
        )
    data = _read_config(folder)
    tensors = read_tensors(folder)
    settings = cast("type[PublishedConfig]", spec.config).from_published(data, tensors.keys())
    part = build(spec, cast("Config", settings).replace(**changes))
    found = _own(tensors, set(part.state_dict()), target)
    load_tensors(part, found, folder)
    if hasattr(part.config, "space") and not part.config.space:
        part.config = part.config.replace(space=f"{name}-{digest(found)}")
    part.origin = str(folder)
    return part


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder; give the one that holds config.json and the weights.")
    if not path.exists():
        return {}
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError) as problem:
        raise CheckpointError(f"{path} cannot be read: {problem}.") from problem
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} must hold a table of fields, not {type(data).__name__}.")
    return data


def read_tensors(folder: Path) -> dict[str, Tensor]:
    """Read a folder's weights: the file of a usual name, else all safetensors files (shards), else the one pickle.

    Raises:
        CheckpointError: For a folder without weights or with several pickles, and for damaged files.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    usual = [folder / name for name in WEIGHTS if (folder / name).exists()]
    files = usual[:1] or sorted(folder.glob("*.safetensors"))
    pickles = sorted(path for pattern in PICKLES for path in folder.glob(pattern))
    if not files and len(pickles) != 1:
        what = ", ".join(path.name for path in pickles)
        raise CheckpointError(
            f"{folder} holds several checkpoints ({what}); put the one to be read into a folder of its own."
            if pickles
            else f"{folder} holds no weights: no *.safetensors, {', '.join(PICKLES)}."
        )
    tensors: dict[str, Tensor] = {}
    for path in files or pickles:
        try:
            loaded = (
                load_file(path)
                if files
                else _unwrapped(torch.load(path, map_location="cpu", weights_only=True))
            )
        except (OSError, SafetensorError, RuntimeError, EOFError) as problem:
            raise CheckpointError(f"{path} is damaged or no file of weights: {problem}.") from problem
        except Exception as problem:  # pickle.UnpicklingError: it holds more than tensors
            raise CheckpointError(
                f"{path} holds more than tensors and is not opened; convert it to safetensors ({problem})."
            ) from problem
        twice = sorted(tensors.keys() & loaded.keys())
        if twice:
            raise CheckpointError(
                f"{folder} holds {twice[0]!r} in several files; keep one set of weights there."
            )
        tensors.update(loaded)
    return tensors


def _unwrapped(loaded: Any) -> dict[str, Tensor]:
    """Return the tensors of a training checkpoint, whatever they are nested in."""
    import torch

    while isinstance(loaded, Mapping):
        inner = next(
            (loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), Mapping) and loaded[key]), None
        )
        if inner is None:
            return {str(name): value for name, value in loaded.items() if isinstance(value, torch.Tensor)}
        loaded = inner
    raise CheckpointError(f"a checkpoint is a table of tensors, not {type(loaded).__name__}")


def _own(
    tensors: Mapping[str, Tensor], expected: set[str], target: type[PublishedLayout]
) -> dict[str, Tensor]:
    """Return the part's own tensors, without the prefix under which most of its names are found."""
    candidates = [a + b for a in ("", "module.") for b in ("", *target.PREFIXES)]
    found: dict[str, dict[str, Tensor]] = {
        prefix: {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
        for prefix in candidates
    }
    best = max(candidates, key=lambda prefix: len(found[prefix].keys() & expected))
    return {n: t.float() if t.is_floating_point() else t for n, t in found[best].items()
            if n in expected or not n.startswith(target.LEFT_OUT or ("\0",))}  # fmt: skip
