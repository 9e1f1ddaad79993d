"""WebDataset tar files as a data set: any sample by its index, read where it stands in its file."""

from __future__ import annotations

import contextlib
import json
import tempfile
import warnings
from collections.abc import Iterator

import numpy as np

from vidgen.data import DataSet, Sample
from vidgen.errors import VideoError
from vidgen.size import Size
from vidgen.video import VideoReader
from vidgen_folder.config import WebDatasetConfig
from vidgen_folder.cut import draw_cut
from vidgen_folder.shards import Entry, find_tars, read_index

__all__ = ["WebDataset"]

_DRAWS = 64


class WebDataset(DataSet):
    """The clips and images of tar files, cut to any size.

    The headers of all tar files are read once here; a clip is opened when it is first drawn. A sample follows from the
    seed, its index and its size alone, in every process.

    Args:
        config: Which tar files, and how samples are cut.

    Raises:
        ConfigError: When there are no such files.
        VideoError: When one is damaged, or none holds a clip or image.
    """

    def __init__(self, config: WebDatasetConfig | None = None) -> None:
        self.config = config or WebDatasetConfig()
        self.entries = [entry for tar in find_tars(self.config.path) for entry in read_index(tar)]
        if not self.entries:
            raise VideoError(f"{self.config.path}: holds no video or image (mp4, webm, jpg, png, ...).")
        self._lengths: dict[int, int] = {}
        self._moving = [number for number, entry in enumerate(self.entries) if not entry.is_image]

    def __len__(self) -> int:
        """Return `config.samples`."""
        return self.config.samples

    def sample(self, index: int, size: Size) -> Sample:
        """Cut the sample of an index.

        Raises:
            IndexError: If the index is not in [0, len(self)).
            VideoError: If no clip is long enough, or none can be decoded.
        """
        reason = ""
        for number, rng in self._draws(index, size.frames):
            entry = self.entries[number]
            try:
                with self._opened(entry) as reader:
                    cut = draw_cut(self.config, self._length(number), size.frames, rng)
                    first = int(cut.frames.min())
                    frames = reader.read(first, int(cut.frames.max()) - first + 1)
                    if len(frames) <= int(cut.frames.max()) - first:
                        raise VideoError(f"{entry.tar}: {entry.name} ends before its index says")
                    return Sample(cut.apply(frames[cut.frames - first], size), self._caption(entry))
            except VideoError as problem:
                reason = str(problem)
        raise VideoError(
            f"{self.config.path}: {_DRAWS} draws met no clip of {size.frames} frames{reason and f' ({reason})'}; "
            "ask for fewer, or set short='loop' to play clips forth and back, stills=true for images."
        )

    def _draws(self, index: int, frames: int) -> Iterator[tuple[int, np.random.Generator]]:
        """Yield numbers of clips that serve for a length, and a source of chance: those of the index, in turn."""
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in [0, {len(self)})")
        still = frames == 1 or self.config.stills
        numbers = range(len(self.entries)) if still else self._moving
        for draw in range(_DRAWS if numbers else 0):
            rng = np.random.default_rng((self.config.seed, index, draw))
            number = numbers[int(rng.integers(len(numbers))) if draw else index % len(numbers)]
            length = self._length(number)
            if self.entries[number].is_image or length >= (frames if self.config.short == "skip" else 1):
                yield number, rng

    def _length(self, number: int) -> int:
        """Return the frames of a clip; 0 for one that cannot be opened, with a warning."""
        if number not in self._lengths:
            try:
                with self._opened(self.entries[number]) as reader:
                    count = reader.frames
                    self._lengths[number] = sum(map(len, reader)) if count is None else count
            except VideoError as problem:
                self._lengths[number] = 0
                warnings.warn(f"{self.config.path}: a clip is left out: {problem}", stacklevel=4)
        return self._lengths[number]

    @contextlib.contextmanager
    def _opened(self, entry: Entry) -> Iterator[VideoReader]:
        """Put a clip into a file of its own while it is read, for decoders want to seek."""
        with tempfile.NamedTemporaryFile(suffix=entry.suffix) as file:
            file.write(entry.read(entry.place))
            file.flush()
            try:
                yield VideoReader(file.name, fps=self.config.fps, piece=4)
            except VideoError as problem:
                raise VideoError(str(problem).replace(file.name, f"{entry.tar}: {entry.name}")) from problem

    def _caption(self, entry: Entry) -> str:
        try:
            if ".txt" in entry.texts:
                return " ".join(entry.read(entry.texts[".txt"]).decode("utf-8-sig").split())
            if ".json" in entry.texts:
                fields = json.loads(entry.read(entry.texts[".json"]))
                return " ".join(str(fields.get(self.config.caption_field, "")).split())
        except (ValueError, AttributeError) as problem:
            raise VideoError(
                f"{entry.tar}: the caption of {entry.name} cannot be read ({problem})"
            ) from problem
        return ""
