"""The tensors of a folder that somebody else wrote: found, named without being read, and read one at a time.

Safetensors (in one file or in shards with their index), else one pickle, which is read with ``weights_only=True``.
No torch until a tensor is read.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidgen.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Tensors", "fingerprint", "open_tensors", "read_json", "variant_of"]

WEIGHTS = ("model.safetensors", "diffusion_pytorch_model.safetensors", "weights.safetensors")
"""Usual names of the one file of weights; other safetensors files beside it are left alone."""
PICKLES = ("*.ckpt", "*.bin", "*.pt", "*.pth")
WRAPPERS = ("ema_state_dict", "state_dict", "gen_model", "module", "model")
"""Keys under which training scripts nest the tensors, the one to be preferred first."""
LONGEST_HEADER = 100_000_000
SAMPLE = 4096
"""Bytes of a tensor that `fingerprint` looks at."""


class Tensors:
    """The tensors of a folder.

    Args:
        places: The safetensors file that holds each of them.
        loaded: Or they themselves, out of a pickle.
    """

    def __init__(self, places: Mapping[str, Path], loaded: Mapping[str, Tensor] | None = None) -> None:
        self._places, self._loaded = dict(places), dict(loaded or {})
        self._open: dict[Path, Any] = {}

    def keys(self) -> Collection[str]:
        """Return their names."""
        return self._loaded.keys() or self._places.keys()

    def read(self, name: str) -> Tensor:
        """Read one of them from the disk.

        Raises:
            CheckpointError: When the file is damaged.
        """
        from safetensors import SafetensorError, safe_open

        if self._loaded:
            return self._loaded[name]
        path = self._places[name]
        try:
            if path not in self._open:
                self._open[path] = safe_open(path, framework="pt")
            tensor: Tensor = self._open[path].get_tensor(name)
        except (OSError, SafetensorError) as problem:
            raise _damaged(path, problem) from problem
        return tensor


def open_tensors(folder: Path) -> Tensors:
    """Find the tensors of a folder: the file of a usual name, else its shards, else the one pickle.

    Raises:
        CheckpointError: For a folder without weights, with several pickles, or with a shard missing; for damaged files.
    """
    files = safetensors_files(folder)
    if not files:
        return Tensors({}, _unpickled(folder))
    places: dict[str, Path] = {}
    for path in files:
        names = read_header(path).keys() - {"__metadata__"}
        twice = sorted(places.keys() & names)
        if twice:
            raise CheckpointError(
                f"{folder} holds {twice[0]!r} in several files; keep one set of weights there."
            )
        places.update(dict.fromkeys(names, path))
    return Tensors(places)


def safetensors_files(folder: Path) -> list[Path]:
    """Return the safetensors files that make up the weights of a folder, none where there are none.

    Raises:
        CheckpointError: When an index names a file that is not there.
    """
    usual = [folder / name for name in WEIGHTS if (folder / name).exists()]
    if usual:
        return usual[:1]
    for index in sorted(folder.glob("*.safetensors.index.json")):
        table = read_json(index).get("weight_map")
        if not isinstance(table, dict):
            raise CheckpointError(f"{index} holds no weight_map; fetch it again.")
        files = sorted({folder / Path(str(name)).name for name in table.values()})
        missing = [path.name for path in files if not path.exists()]
        if missing:
            raise CheckpointError(
                f"{folder} lacks {len(missing)} of {len(files)} files of weights, such as {missing[0]}: "
                "the download is not complete; fetch it again."
            )
        return files
    return sorted(folder.glob("*.safetensors"))


def variant_of(folder: Path) -> str | None:
    """Return the word in the names of a folder's weights, `fp16` of ``model.fp16.safetensors``, for transformers."""
    names = [path.name.split(".") for path in folder.glob("model*.safetensors")]
    words = sorted({parts[1].split("-")[0] for parts in names if len(parts) > 2})
    return words[0] if words and all(len(parts) > 2 for parts in names) else None


def read_header(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file: dtype, shape and place of each tensor.

    Raises:
        CheckpointError: When the file is damaged or shorter than its header says.
    """
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > LONGEST_HEADER:
                raise ValueError(f"a header of {length} bytes")
            header: dict[str, Any] = json.loads(file.read(length))
        end = max(
            (entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0
        )
        if path.stat().st_size < 8 + length + end:
            raise ValueError(f"it has {path.stat().st_size} of {8 + length + end} bytes")
    except (OSError, ValueError, struct.error, KeyError, TypeError, AttributeError) as problem:
        raise _damaged(path, problem) from problem
    return header


def fingerprint(folder: Path) -> str:
    """Return eight hexadecimal digits that identify the weights of a folder, whatever their names; no torch.

    It looks at the shape and the first bytes of every tensor of safetensors files, at the beginning of a pickle.

    Raises:
        CheckpointError: As `open_tensors`.
    """
    marks = []
    for path in safetensors_files(folder) or _pickles(folder):
        with path.open("rb") as file:
            if path.suffix != ".safetensors":
                marks.append(hashlib.sha256(file.read(1_000_000)).digest())
                continue
            header = read_header(path)
            (length,) = struct.unpack("<Q", file.read(8))
            for name, entry in header.items():
                if name == "__metadata__":
                    continue
                first, last = entry["data_offsets"]
                file.seek(8 + length + first)
                content = file.read(min(last - first, SAMPLE))
                marks.append(hashlib.sha256(f"{entry['dtype']}{entry['shape']}".encode() + content).digest())
    return hashlib.sha256(b"".join(sorted(marks))).hexdigest()[:8]


def read_json(path: Path) -> dict[str, Any]:
    """Read a file of fields.

    Raises:
        CheckpointError: When it is missing, damaged, or no table.
    """
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; is the download complete?") from None
    except (OSError, ValueError) as problem:
        raise CheckpointError(f"{path} cannot be read: {problem}.") from problem
    if not isinstance(data, dict):
        raise CheckpointError(f"{path} must hold a table of fields, not {type(data).__name__}.")
    return data


def _pickles(folder: Path) -> list[Path]:
    found = sorted(path for pattern in PICKLES for path in folder.glob(pattern))
    if len(found) != 1:
        what = ", ".join(path.name for path in found)
        raise CheckpointError(
            f"{folder} holds several checkpoints ({what}); put the one to be read into a folder of its own."
            if found
            else f"{folder} holds no weights: no *.safetensors, {', '.join(PICKLES)}."
        )
    return found


def _unpickled(folder: Path) -> dict[str, Tensor]:
    import torch

    (path,) = _pickles(folder)
    try:
        return _unwrapped(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, EOFError) as problem:
        raise _damaged(path, problem) from problem
    except CheckpointError:
        raise
    except Exception as problem:  # pickle.UnpicklingError: it holds more than tensors
        raise CheckpointError(
            f"{path} holds more than tensors and is not opened; convert it to safetensors ({problem})."
        ) from problem


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
    raise CheckpointError(f"A checkpoint is a table of tensors, not {type(loaded).__name__}.")


def _damaged(path: Path, problem: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is damaged or no file of weights: {problem}.")
