"""A folder of videos and images as a data set, decoded sample by sample or once into memory."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vidgen.data import DataSet, Sample
from vidgen.errors import VideoError
from vidgen.size import Size
from vidgen.video import VideoReader
from vidgen_folder.config import FolderConfig
from vidgen_folder.cut import Cut, draw_cut, resize
from vidgen_folder.files import IMAGES, find_files, read_captions

__all__ = ["FolderVideos"]

_PIECE = 4  # full-size frames held at a time while decoding into memory
_DRAWS = 64
_NAMED = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clip:
    reader: VideoReader  # keeps no file open, so it can be pickled
    frames: int
    caption: str

    @property
    def path(self) -> Path:
        return self.reader.path

    @property
    def seconds(self) -> float:
        return self.frames / self.reader.fps

    def suits(self, frames: int, config: FolderConfig) -> bool:
        """Say whether samples of this many frames may be cut from it."""
        if frames > 1 and self.path.suffix.lower() in IMAGES:
            return config.stills
        return self.frames >= frames or config.short == "loop"


class FolderVideos(DataSet):
    """The videos and images of a folder, cut to any size.

    All files are opened once here, to learn their lengths; those that cannot be read are skipped with one
    warning. With `decode="memory"` they are decoded here too, so that forked loader processes share them;
    a copy by pickling decodes its clips again when they are first used.

    Args:
        config: Which files, and how samples are cut from them.

    Raises:
        ConfigError: No such folder, or a caption table that cannot be used.
        VideoError: No file in it can be used.
    """

    def __init__(self, config: FolderConfig | None = None) -> None:
        self.config = config or FolderConfig()
        files = find_files(self.config)
        captions = read_captions(self.config, files)
        self._clips: list[_Clip] = []
        self._decoded: dict[int, np.ndarray] = {}
        self._suiting: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self._damaged: set[int] = set()
        problems: list[str] = []
        for path in files:
            try:
                self._add(path, captions.get(path, ""))
            except VideoError as error:
                problems.append(str(error))
        if not self._clips:
            raise VideoError(f"{self.config.path}: none of its files can be used: {_first(problems)}")
        if problems:
            _warn(f"{self.config.path}: skipped {len(problems)} of {len(files)} files: {_first(problems)}")

    def __len__(self) -> int:
        """Return `config.samples`."""
        return self.config.samples

    def __getstate__(self) -> dict[str, Any]:
        """Leave decoded frames out: they are large, and decoded again where needed."""
        return {**self.__dict__, "_decoded": {}}

    @property
    def files(self) -> list[Path]:
        """The files in use, in order."""
        return [clip.path for clip in self._clips]

    def sample(self, index: int, size: Size) -> Sample:
        """Cut the sample of an index.

        Raises:
            IndexError: If the index is not in [0, len(self)).
            VideoError: If no file is long enough, or none can be decoded.
        """
        reason = ""
        # Draws do not depend on what was found damaged before, so every process agrees on every sample.
        for draw in range(_DRAWS):
            number, cut = self._draw(index, size, draw)
            try:
                frames = self._frames(number, cut.frames)
            except VideoError as error:
                reason = str(error)
                if number not in self._damaged:
                    self._damaged.add(number)
                    _warn(f"{self.config.path}: samples are skipped where a file is damaged: {reason}")
                continue
            return Sample(cut.apply(frames, size), self._clips[number].caption)
        raise VideoError(f"{self.config.path}: {_DRAWS} draws met only damaged files: {reason}")

    def _add(self, path: Path, caption: str) -> None:
        reader = VideoReader(path, fps=self.config.fps, piece=_PIECE)
        count = reader.frames
        if self.config.decode == "memory":
            decoded = self._decode(reader)
            self._decoded[len(self._clips)], count = decoded, len(decoded)
        if count is None:  # the file has no index
            count = sum(len(piece) for piece in reader)
        self._clips.append(_Clip(reader=reader, frames=count, caption=caption))

    def _decode(self, reader: VideoReader) -> np.ndarray:
        """Decode all of a clip, uint8 `[T, H, W, 3]`, never holding more than a piece at full size."""
        scale = min(1.0, self.config.short_side / min(reader.size))
        height, width = (max(1, round(side * scale)) for side in reader.size)
        return np.concatenate([resize(piece, height, width) for piece in reader])

    def _draw(self, index: int, size: Size, draw: int) -> tuple[int, Cut]:
        """Return the number of a clip and what to cut from it."""
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} is not in [0, {len(self)})")
        numbers, shares = self._suiting_clips(size.frames)
        rng = np.random.default_rng((self.config.seed, index, draw))
        if self.config.augment or self.config.weight == "duration" or draw:
            number = int(rng.choice(numbers, p=shares))
        else:
            number = int(numbers[index % len(numbers)])
        return number, draw_cut(self.config, self._clips[number].frames, size.frames, rng)

    def _suiting_clips(self, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers of the clips that serve for a length, and the chance of each."""
        if frames not in self._suiting:
            config, videos = self.config, [c for c in self._clips if c.path.suffix.lower() not in IMAGES]
            numbers = [i for i, clip in enumerate(self._clips) if clip.suits(frames, config)]
            if not numbers:
                longest = max((clip.frames for clip in videos), default=0)
                raise VideoError(
                    f"{config.path}: no clip has {frames} frames (the longest of {len(videos)}: {longest}); "
                    "ask for fewer, or set short='loop' to play clips forth and back, stills=true for images."
                )
            short = [f"{clip.path.name} ({clip.frames})" for clip in videos if not clip.suits(frames, config)]
            if short:
                _warn(f"{config.path}: left out, because shorter than {frames} frames: {_first(short)}")
            timed = config.weight == "duration"
            weights = np.array([self._clips[i].seconds if timed else 1.0 for i in numbers])
            self._suiting[frames] = np.array(numbers), weights / weights.sum()
        return self._suiting[frames]

    def _frames(self, number: int, chosen: np.ndarray) -> np.ndarray:
        """Return the chosen frames of a clip, uint8 `[T, H, W, 3]`."""
        if self.config.decode == "memory":
            if number not in self._decoded:
                self._decoded[number] = self._decode(self._clips[number].reader)
            return _taken(self._decoded[number], chosen)
        start = int(chosen.min())
        read = self._clips[number].reader.read(start, int(chosen.max()) - start + 1)
        if len(read) <= int(chosen.max()) - start:
            raise VideoError(f"{self._clips[number].path}: ends before its index says; get a fresh copy")
        return _taken(read, chosen - start)


def _taken(frames: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Take frames, `[T, H, W, 3]`; evenly spaced ones, as they nearly always are, without a copy."""
    steps = np.diff(chosen)
    if not len(steps) or steps[0] == 0 or (steps != steps[0]).any():
        return frames[chosen]
    if steps[0] > 0:
        return frames[chosen[0] : chosen[-1] + 1 : steps[0]]
    return frames[chosen[-1] : chosen[0] + 1 : -steps[0]][::-1]


def _first(items: list[str]) -> str:
    more = f"; and {len(items) - _NAMED} more" if len(items) > _NAMED else ""
    return "; ".join(items[:_NAMED]) + more


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)
