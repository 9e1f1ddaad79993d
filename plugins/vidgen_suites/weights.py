"""Files of weights for the networks that judge: found, and read without running what they hold."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vidgen.errors import CheckpointError

__all__ = ["read_tensors", "weights_file"]

USUAL = ("model.safetensors", "open_clip_model.safetensors", "open_clip_pytorch_model.bin")


def weights_file(path: str | Path) -> Path:
    """Return the file itself, or the one file of weights in a folder: of a usual name, else the only one.

    Raises:
        CheckpointError: For a folder without, or with several.
    """
    folder = Path(path)
    if not folder.is_dir():
        return folder
    usual = [folder / name for name in USUAL if (folder / name).exists()]
    found = usual or sorted(
        one for one in folder.iterdir() if one.suffix in (".safetensors", ".pth", ".pt", ".bin")
    )
    if len(found) == 1 or usual:
        return found[0]
    what = (
        f"several files of weights ({', '.join(one.name for one in found)})"
        if found
        else "no file of weights"
    )
    raise CheckpointError(f"{folder} holds {what}; name the file itself.")


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read the file of `weights_file`: safetensors, or a pickle of nothing but tensors.

    Raises:
        CheckpointError: For a file that is missing, damaged or holds more than tensors.
    """
    file = weights_file(path)
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"There is no file of weights {file}.") from None
    except (OSError, SafetensorError, RuntimeError, EOFError) as problem:
        raise CheckpointError(f"{file} is damaged or no file of weights: {problem}.") from problem
    except Exception as problem:  # pickle.UnpicklingError: it holds more than tensors
        raise CheckpointError(f"{file} holds more than tensors and is not opened: {problem}.") from problem
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(isinstance(one, Tensor) for one in loaded.values()):
        raise CheckpointError(f"{file} holds no table of tensors.")
    return loaded
