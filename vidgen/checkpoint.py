"""Weights on disk: one folder a part (``config.json`` and safetensors), strict loads, atomic writes."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidgen.config import Config
from vidgen.errors import CheckpointError, UnknownNameError, closest
from vidgen.parts import build
from vidgen.registry import find, list_components
from vidgen.spec import ComponentSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

__all__ = [
    "FORMAT_VERSION",
    "atomic_file",
    "atomic_folder",
    "default_pretrained",
    "digest",
    "load_part",
    "load_tensors",
    "load_weights",
    "part_folder",
    "pretrained_folder",
    "read_part_config",
    "recover_folder",
    "save_part",
]

FORMAT_VERSION = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name beside it, then put it in place; clear what killed processes left of it.

    Several processes may write it at once, on several machines too; the last one stays.

    Raises:
        CheckpointError: When it cannot be written.
    """
    from safetensors import SafetensorError

    mine = f".{path.name}.{platform.node()}"
    new = path.with_name(f"{mine}-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f"{glob.escape(mine)}-*"):
            if not _is_at_work(left):
                left.unlink(missing_ok=True)
        new.touch()
        allowed = new.stat().st_mode
        yield new
        new.chmod(allowed)  # safetensors files are the writer's alone
        new.replace(path)
    except (OSError, SafetensorError) as problem:
        raise CheckpointError(f"{path} could not be written: {problem}.") from problem
    finally:
        with contextlib.suppress(OSError):
            new.unlink()


@contextlib.contextmanager
def atomic_folder(folder: str | Path, *signs: str) -> Iterator[Path]:
    """Write a whole folder under a temporary name beside it, then put it in place.

    Only a folder that holds one of the signs (``config.json``, ``recipe.toml``, or further file names) is replaced.

    A failure or a kill on the way leaves the old folder as it was (see `recover_folder` for a kill between the two
    renames at the end).

    Raises:
        CheckpointError: When the place cannot be written, or holds something that vidgen did not write.
    """
    folder = Path(folder)
    recover_folder(folder)
    ours = any((folder / name).exists() for name in (CONFIG, "recipe.toml", *signs))
    if folder.exists() and not ours and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(
            f"{folder} exists and was not written by vidgen; choose another folder or remove it."
        )
    new, old = (folder.with_name(f".{folder.name}.{role}-{os.getpid()}") for role in ("new", "old"))
    try:
        new.mkdir(parents=True)
        yield new
        _open_to_readers(new)
        try:
            if folder.exists():
                folder.rename(old)
            new.rename(folder)
        except BaseException:  # Ctrl-C between the two as well
            if old.exists() and not folder.exists():
                old.rename(folder)
            raise
    except OSError as problem:
        raise CheckpointError(
            f"{folder} could not be written ({problem.strerror or problem}); it is as it was."
        ) from problem
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def recover_folder(folder: Path) -> None:
    """Put right what a killed `atomic_folder` left: finish what was whole, drop what was not.

    A process killed between its two renames leaves no folder but both the old and the (whole) new one beside it.
    """
    name = glob.escape(folder.name)
    for old in sorted(folder.parent.glob(f".{name}.old-*")):
        new = folder.with_name(old.name.replace(".old-", ".new-"))
        if not folder.exists() and not _is_at_work(old):
            (new if new.exists() else old).rename(folder)
    for left in [*folder.parent.glob(f".{name}.old-*"), *folder.parent.glob(f".{name}.new-*")]:
        if not _is_at_work(left):
            shutil.rmtree(left, ignore_errors=True)


def _open_to_readers(folder: Path) -> None:
    """Let those read a folder's files who may read the folder; safetensors files are the writer's alone at first."""
    allowed = folder.stat().st_mode & 0o666
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(path.stat().st_mode | allowed)


def _is_at_work(left: Path) -> bool:
    """Return whether the process that a temporary folder or file is named after is another one that still runs."""
    number = left.name.rpartition("-")[2]
    if not number.isdigit() or int(number) == os.getpid():  # in a container a restart has the same number
        return not number.isdigit()
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def save_part(part: nn.Module, folder: Path, spec: ComponentSpec) -> None:
    """Write a part into a folder that exists: its configuration, its tensors if it has any, and what it saves itself.

    A part with a method ``save_files(folder)`` writes what is no tensor there, such as a tokenizer; its configuration
    finds that again (see `Config.located`).
    """
    from safetensors.torch import save_file

    settings: Config = part.config  # type: ignore[assignment]
    head = {"format_version": FORMAT_VERSION, "kind": spec.kind, "name": spec.name}
    (folder / CONFIG).write_text(json.dumps({**head, "config": settings.to_dict()}, indent=2) + "\n")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in part.state_dict().items()}
    try:
        save_file(_without_shared(tensors), folder / WEIGHTS, metadata={"format": "pt"})
    except Exception as problem:
        raise CheckpointError(f"{folder / WEIGHTS} could not be written: {problem}.") from problem
    if hasattr(part, "save_files"):
        part.save_files(folder)  # type: ignore[operator]


def _without_shared(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give tensors that share memory (tied weights) a copy each, as safetensors wants."""
    seen: set[int] = set()
    result = {}
    for name, tensor in tensors.items():
        pointer = tensor.untyped_storage().data_ptr()
        result[name] = tensor.clone() if pointer in seen else tensor
        seen.add(pointer)
    return result


def read_part_config(spec: ComponentSpec, folder: Path) -> Config:
    """Read a part's configuration without importing torch.

    Raises:
        CheckpointError: When the folder holds no such part, another part, or a newer format.
    """
    path = folder / CONFIG
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError:
        raise CheckpointError(
            f"{folder} holds no {CONFIG}; a part's folder has {CONFIG} and {WEIGHTS}."
        ) from None
    except (OSError, ValueError) as problem:
        raise CheckpointError(f"{path} cannot be read: {problem}.") from problem
    if not isinstance(data, dict) or not {"format_version", "kind", "name", "config"} <= data.keys():
        raise CheckpointError(f"{path} was not written by vidgen; load_published reads other layouts.")
    if data["format_version"] > FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format {data['format_version']}, newer than {FORMAT_VERSION}: upgrade vidgen."
        )
    if (data["kind"], data["name"]) != (spec.kind, spec.name):
        raise CheckpointError(
            f"{folder} holds {data['kind']} {data['name']!r}, not {spec.kind} {spec.name!r}."
        )
    return spec.config.from_dict(data["config"]).located(folder)


def pretrained_folder(tag: str) -> Path:
    """Return the folder of shipped weights; raises `UnknownNameError` for a tag that nobody registered."""
    spec = find("pretrained", tag)
    return Path(build(spec, spec.preset()))


def part_folder(kind: str, weights: str | Path) -> Path:
    """Return the folder of a part's weights, given a registered tag or a folder (of the part or of a pipeline).

    Raises:
        UnknownNameError: When it is neither, with close matches.
    """
    text = str(weights)
    if not Path(text).exists():
        recover_folder(Path(text))
    if text in list_components("pretrained"):
        root = pretrained_folder(text)
    elif Path(text).is_dir():
        root = Path(text)
    else:
        tags = list_components("pretrained")
        raise UnknownNameError(
            f"There are no weights {text!r}: neither a folder nor a tag.{closest(text, tags)} Tags: {', '.join(tags)}."
        )
    return root if (root / CONFIG).exists() else root / kind


def load_part(spec: ComponentSpec, weights: str | Path) -> Any:
    """Make a part with the configuration and the tensors of a tag or folder, in evaluation mode, in float32."""
    folder = part_folder(spec.kind, weights)
    part = build(spec, read_part_config(spec, folder))
    load_weights(part, folder / WEIGHTS)
    part.origin = str(weights)
    return part


def load_weights(part: nn.Module, path: Path) -> None:
    """Load a safetensors file into a part, strictly.

    Raises:
        CheckpointError: For a missing or damaged file, and for names or shapes that differ; the first few are named.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing; is the folder complete?") from None
    except (OSError, SafetensorError) as problem:
        raise CheckpointError(
            f"{path} is damaged or no safetensors file ({problem}); fetch or write it again."
        ) from problem
    load_tensors(part, tensors, path)


def load_tensors(part: nn.Module, tensors: Mapping[str, Tensor], path: Path, *, assign: bool = False) -> None:
    """Put tensors into a part, strictly; `path` is where they came from, `assign` makes them the part's own memory.

    Raises:
        CheckpointError: For names or shapes that differ; the first few are named.
    """
    expected = part.state_dict()
    missing, unexpected = sorted(expected.keys() - tensors.keys()), sorted(tensors.keys() - expected.keys())
    shapes = [n for n in expected.keys() & tensors.keys() if expected[n].shape != tensors[n].shape]
    for what, names in (
        ("lacks", missing),
        ("has unknown", unexpected),
        ("has other shapes for", sorted(shapes)),
    ):
        if names:
            some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            raise CheckpointError(
                f"{path} {what} {some}: it was made for another configuration of this part."
            )
    part.load_state_dict(tensors, strict=True, assign=assign)


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return eight hexadecimal digits that identify weights (names, shapes and values in bfloat16)."""
    import torch

    mark = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().to(torch.bfloat16).contiguous()
        mark.update(f"{name}{tuple(tensor.shape)}".encode())
        mark.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    return mark.hexdigest()[:8]


def default_pretrained() -> Path:
    """Return the folder of the shipped default model: the ``pretrained`` component that declares itself the default.

    Raises:
        UnknownNameError: When no plugin ships one, or several claim to.
    """
    tags = [
        t for t in list_components("pretrained") if getattr(find("pretrained", t).preset(), "default", False)
    ]
    if len(tags) != 1:
        claims = (
            f"several claim to be it: {', '.join(tags)}"
            if tags
            else "no plugin ships one (see `vidgen plugins`)"
        )
        raise UnknownNameError(f"There is no single default model: {claims}; name a tag or a folder.")
    return pretrained_folder(tags[0])
