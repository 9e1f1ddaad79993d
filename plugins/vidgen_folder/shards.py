"""Tar files in WebDataset's form: files that share a name up to its first dot are one sample."""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

from vidgen.errors import ConfigError, VideoError
from vidgen_folder.files import IMAGES, VIDEOS

__all__ = ["Entry", "find_tars", "read_index"]

_ROW = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A sample in a tar file.

    Attributes:
        tar: The tar file.
        name: Of the clip or image in it.
        place: Its first byte and length.
        texts: First byte and length of what may hold the caption, by suffix (`.txt`, `.json`).
    """

    tar: Path
    name: str
    place: tuple[int, int]
    texts: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def suffix(self) -> str:
        """The suffix of the clip or image, in lower case."""
        return Path(self.name).suffix.lower()

    @property
    def is_image(self) -> bool:
        """Whether it is a single picture."""
        return self.suffix in IMAGES

    def read(self, place: tuple[int, int]) -> bytes:
        """Return some bytes of the tar file.

        Raises:
            VideoError: When the file ends before them.
        """
        with self.tar.open("rb") as file:
            file.seek(place[0])
            data = file.read(place[1])
        if len(data) < place[1]:
            raise VideoError(f"{self.tar}: ends within {self.name}; get a fresh copy")
        return data


def find_tars(path: str) -> list[Path]:
    """Return the tar files of a folder, a glob pattern or a numbered row such as ``clips-{000..099}.tar``, in order.

    Raises:
        ConfigError: When there is none, or one of a row is missing.
    """
    if not path:
        raise ConfigError("WebDatasetConfig.path is empty; set it to tar files, such as path='clips/*.tar'.")
    place = Path(path).expanduser()
    row = _ROW.search(str(place))
    if row:
        first, last = row.groups()
        numbers = [f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
        tars = [Path(_ROW.sub(number, str(place), count=1)) for number in numbers]
        missing = [tar for tar in tars if not tar.is_file()]
        if missing or not tars:
            raise ConfigError(f"WebDatasetConfig.path: {missing[0] if missing else path} does not exist.")
        return tars
    if place.is_file():
        return [place]
    root, pattern = (place, "*.tar") if place.is_dir() else (place.parent, place.name)
    tars = sorted(tar for tar in root.glob(pattern) if tar.is_file())
    if not tars:
        raise ConfigError(f"WebDatasetConfig.path: {path} names no tar file; give a folder, a glob or a row.")
    return tars


def read_index(tar: Path) -> list[Entry]:
    """Return the samples of a tar file, in its order; only its headers are read.

    Raises:
        VideoError: When it is compressed, cut short or no tar file.
    """
    clips: dict[str, tuple[str, tuple[int, int]]] = {}
    texts: dict[str, dict[str, tuple[int, int]]] = {}
    try:
        with tarfile.open(tar, "r:") as members:
            for member in members:
                base = member.name.rpartition("/")[2]
                if not member.isfile() or base.startswith((".", "__")):
                    continue
                key = member.name[: len(member.name) - len(base)] + base.partition(".")[0]
                place, suffix = (member.offset_data, member.size), Path(base).suffix.lower()
                if suffix in VIDEOS | IMAGES:
                    clips.setdefault(key, (member.name, place))
                elif suffix in (".txt", ".json"):
                    texts.setdefault(key, {})[suffix] = place
    except (tarfile.TarError, OSError) as problem:
        raise VideoError(
            f"{tar}: no tar file that can be read ({problem}); a compressed one must be unpacked (gunzip), "
            "a damaged one fetched again"
        ) from problem
    size = tar.stat().st_size
    cut = [name for name, (first, length) in clips.values() if first + length > size]
    if cut:
        raise VideoError(f"{tar}: ends within {cut[0]}; get a fresh copy")
    return [Entry(tar, name, place, texts.get(key, {})) for key, (name, place) in clips.items()]
