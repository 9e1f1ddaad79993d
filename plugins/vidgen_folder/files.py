"""Find the videos and images of a folder, and their captions."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from vidgen.errors import ConfigError, VideoError, closest
from vidgen_folder.config import FolderConfig

__all__ = ["IMAGES", "VIDEOS", "find_files", "read_captions"]

VIDEOS = frozenset(
    {".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"}
    | {".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv"}
)
IMAGES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_TABLES = ("captions.jsonl", "captions.csv")


def find_files(config: FolderConfig) -> list[Path]:
    """List the wanted videos and images below a folder, in an order that does not depend on the file system.

    Raises:
        ConfigError: Without a folder.
        VideoError: For a folder without anything wanted.
    """
    if not config.path:
        raise ConfigError("FolderConfig.path is empty; set it to a folder of videos, such as path='clips'.")
    folder = Path(config.path).expanduser()
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ConfigError(f"FolderConfig.path: {folder} {what}; give the folder that holds the videos.")
    known: list[Path] = []
    for root, folders, names in os.walk(folder, followlinks=False):
        folders[:] = [name for name in folders if not name.startswith(".")]
        # Names with a leading dot are hidden, or unfinished files of a writer.
        paths = (Path(root, name) for name in names if not name.startswith("."))
        known += [path for path in paths if path.suffix.lower() in VIDEOS | IMAGES]
    if not known:
        raise VideoError(f"{folder}: holds no video or image; put some there (MP4, WebM, GIF, PNG, ...).")
    wanted = [
        path
        for path in known
        if _matches(path, folder, config.include) and not _matches(path, folder, config.exclude)
    ]
    if not wanted:
        raise VideoError(f"{folder}: include and exclude leave none of its {len(known)} files; loosen them.")
    return sorted(wanted, key=lambda path: path.relative_to(folder).as_posix())


def read_captions(config: FolderConfig, files: list[Path]) -> dict[Path, str]:
    """Read the captions of files; a file that nobody captioned has none here.

    Raises:
        ConfigError: For a table that is missing, malformed, or names a file that does not exist.
    """
    folder = Path(config.path).expanduser()
    if config.captions:
        return _read_table(folder / Path(config.captions).expanduser(), folder)
    captions: dict[Path, str] = {}
    for name in _TABLES:
        if (folder / name).is_file():
            captions = _read_table(folder / name, folder)
            break
    for path in files:
        beside = path.with_suffix(".txt")
        if beside.is_file():
            captions[path] = " ".join(_read_text(beside).split())
    return captions


def _matches(path: Path, folder: Path, patterns: tuple[str, ...]) -> bool:
    below = path.relative_to(folder).as_posix()
    return any(fnmatch(path.name, pattern) or fnmatch(below, pattern) for pattern in patterns)


def _read_table(table: Path, folder: Path) -> dict[Path, str]:
    if not table.is_file():
        raise ConfigError(
            f"FolderConfig.captions: there is no file {table}; give a .jsonl or .csv file, or ''."
        )
    captions: dict[Path, str] = {}
    for line, row in _rows(table):
        name, caption = row.get("file"), row.get("caption")
        if not isinstance(name, str) or not isinstance(caption, str):
            raise ConfigError(f"{table}, line {line}: 'file' and 'caption' must both stand there, as text.")
        path = folder / name
        if not path.is_file():
            present = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
            raise ConfigError(
                f"{table}, line {line}: there is no file {name!r} in {folder}.{closest(name, present)} "
                "Correct or remove the line."
            )
        captions[path] = " ".join(caption.split())
    return captions


def _rows(table: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """Yield (line number, row) of a table."""
    lines = _read_text(table).splitlines()
    if table.suffix.lower() == ".csv":
        reader = csv.DictReader(lines)
        if not {"file", "caption"} <= set(reader.fieldnames or ()):
            raise ConfigError(f"{table}: the first line must name the columns: file,caption.")
        for values in reader:
            yield reader.line_num, dict(values)
        return
    if table.suffix.lower() != ".jsonl":
        raise ConfigError(f"{table}: captions come from a .jsonl or .csv file.")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ConfigError(f"{table}, line {number}: not JSON ({error}); one object a line.") from error
        if not isinstance(row, dict):
            raise ConfigError(f'{table}, line {number}: must read {{"file": ..., "caption": ...}}.')
        yield number, row


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text ({str(error).splitlines()[0]}).") from error
