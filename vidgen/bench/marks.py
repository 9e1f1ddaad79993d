"""Marks of parts: digests that change with a configuration and with what stands in the files it names. No torch here.

A path alone would keep rows of weights that have been trained anew since, and two machines may keep other files under
one name. Files of weights are sampled, tensor by tensor, so that a plan of gigabytes is marked in no time.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from vidgen.bench.store import digest
from vidgen.checkpoint import pretrained_folder
from vidgen.errors import VidgenError
from vidgen.registry import list_components
from vidgen.tensors import read_header

__all__ = ["FIELDS", "contents", "contents_of", "mark_of"]

FIELDS = ("weights", "pretrained", "source", "tokenizer")
"""Fields of these names, or that end in such a word (``clip_weights``), may name a tag, a file or a folder."""
BLOCK = 1024
PARTS = 64


def mark_of(kind: str, data: Mapping[str, Any]) -> str:
    """Return a digest of a part as plain data: its name and settings, and the content of the files that they name."""
    return digest(kind, data, *contents_of(data, kind))


def contents_of(data: Any, kind: str = "") -> list[str]:
    """Return digests of the files that plain data names in `FIELDS`, however deep; none for names of nothing here.

    Args:
        data: Plain data.
        kind: Of the parts in it: of a whole pipeline's folder that part's own counts alone.
    """
    return [contents(path) for text in _named(data) if (path := _place(text, kind)) is not None]


def contents(path: Path) -> str:
    """Return a digest of a file, or of all files in a folder but hidden ones.

    Every tensor of safetensors files and every 64th of another file counts by its first, middle and last kilobyte, and
    whole where it is small.
    """
    if path.is_file():
        return _content(path)
    files = [one for one in sorted(path.rglob("*")) if one.is_file()]
    names = {one: one.relative_to(path) for one in files}
    return digest(
        {
            name.as_posix(): _content(one)
            for one, name in names.items()
            if not any(part.startswith(".") for part in name.parts)
        }
    )


def _named(data: Any) -> Iterator[str]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            if isinstance(value, str) and str(key).rpartition("_")[2] in FIELDS:
                yield value
            else:
                yield from _named(value)
    elif isinstance(data, (list, tuple)):
        for one in data:
            yield from _named(one)


def _place(text: str, kind: str) -> Path | None:
    """Return where a tag or path leads; None for what is neither."""
    if text in list_components("pretrained"):
        try:
            root = pretrained_folder(text)
        except VidgenError:  # its rows will say so
            return None
    elif text and os.path.exists(text):  # which takes texts that are no names of files, unlike Path.exists
        root = Path(text)
    else:
        return None
    own = root / kind
    return own if kind and not (root / "config.json").exists() and own.is_dir() else root


def _content(path: Path) -> str:
    found = sha256()
    try:
        with path.open("rb") as file:
            for first, last in _spans(path):
                middle = (first + last - BLOCK) // 2
                starts = (first, middle, last - BLOCK)
                whole = last - first <= len(starts) * BLOCK
                for begin in (first,) if whole else starts:
                    file.seek(begin)
                    found.update(file.read(last - first if whole else BLOCK))
    except OSError as problem:  # what is wrong is told when it is read
        return str(problem.errno)
    return found.hexdigest()[:16]


def _spans(path: Path) -> list[tuple[int, int]]:
    """Return the pieces of a file that are sampled, as beginning and end: the header and tensors, or equal parts."""
    size = path.stat().st_size
    places: list[list[int]] = []
    if path.suffix == ".safetensors":
        with contextlib.suppress(VidgenError):  # a damaged one
            places = [
                one["data_offsets"] for name, one in read_header(path).items() if name != "__metadata__"
            ]
    begin = size - max((last for _, last in places), default=0)
    step = 3 * BLOCK if places else max(3 * BLOCK, -(-size // PARTS))
    head = [(at, min(begin, at + step)) for at in range(0, begin, step)]
    return [*head, *((begin + first, begin + last) for first, last in places)]
