"""Read a video file piece by piece, at a constant frame rate, upright, in 8-bit RGB."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageOps

from vidgen.errors import SizeError, VideoError
from vidgen.video import pixels, source

__all__ = ["VideoReader"]

_IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"}
_DEFAULT_FPS = 16
# A frame counts as shown this share of its duration early: files round their timestamps.
_EARLY = 0.1


class VideoReader:
    """A video file as pieces of frames in bounded memory; iterate as often as wanted.

    A file of variable frame rate is resampled by its timestamps to its mean rate. The reader keeps
    no file open between calls, can be pickled, and `read` seeks, so a loader keeps one a file.

    Args:
        path: MP4, WebM, GIF, MOV or whatever else FFmpeg decodes, or a PNG, JPEG or WebP image.
        frames: At most this many frames; None reads to the end.
        start: First frame, counted at the resulting frame rate.
        fps: Resample to this rate by timestamps; None keeps the file's.
        size: (height, width): scale until it is covered, then cut out the middle.
        short_side: Scale until the shorter side has this many pixels, keeping the aspect.
        piece: Frames a piece.
        errors: What to do with a damaged file: ``refuse`` raises a VideoError where decoding fails
            (after the pieces that could be read), ``keep`` ends the video there.

    Attributes:
        fps: Frames a second of what is read.
        frames: How many frames will be read, as far as the file's index tells; None if it does not.
        height: Pixels, upright and resized.
        width: Pixels, upright and resized.
        metadata: What `Video.save` stored in the file (seed, prompt, ...), else empty.

    Raises:
        VideoError: The file is missing, empty, not a video or cannot be decoded.
        SizeError: A size, count or rate that is not positive.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        frames: int | None = None,
        start: int = 0,
        fps: float | Fraction | None = None,
        size: tuple[int, int] | None = None,
        short_side: int | None = None,
        piece: int = 16,
        errors: Literal["refuse", "keep"] = "refuse",
    ) -> None:
        if size is not None and short_side is not None:
            raise SizeError("give size=(height, width) or short_side=, not both")
        for name, value in {"frames": frames, "fps": fps, "short_side": short_side, "piece": piece}.items():
            if value is not None and not value > 0:
                raise SizeError(f"{name} must be positive, not {value}")
        if start < 0 or (size is not None and min(size) < 1):
            raise SizeError(f"start={start} must be 0 or more and size={size} positive")
        if errors not in ("refuse", "keep"):
            raise VideoError(f"errors={errors!r} is unknown: use 'refuse' or 'keep'")
        self.path = Path(path)
        self._wanted, self._start, self._piece, self._errors = frames, start, piece, errors
        source.require_file(self.path)
        self._still = self.path.suffix.lower() in _IMAGES
        self.metadata: dict[str, Any] = {}
        first = self._probe(fps)
        self._scaled, self._size = _target(first.shape[0], first.shape[1], size, short_side)
        self.height, self.width = self._size
        self.frames = self._count(start, frames)

    @property
    def fps(self) -> float:
        """Frames a second of what is read."""
        return float(self.rate)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of what is read."""
        return self._size

    def __repr__(self) -> str:
        frames = "?" if self.frames is None else self.frames
        return f"VideoReader({self.path.name!r}, {frames}x{self.height}x{self.width}, {self.fps:.5g} fps)"

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield pieces uint8 [n, H, W, 3] with 1 <= n <= piece."""
        pending: list[np.ndarray] = []
        try:
            for image in self._images(self._start, self._wanted):
                pending.append(image)
                if len(pending) == self._piece:
                    yield np.stack(pending)
                    pending = []
        except VideoError:
            if pending:  # what was read before the damage belongs to the caller
                yield np.stack(pending)
            raise
        if pending:
            yield np.stack(pending)

    def read(self, start: int = 0, frames: int | None = None) -> np.ndarray:
        """Return uint8 [T, H, W, 3] from any place in the file; seeks instead of decoding all before.

        Args:
            start: First frame, counted from the beginning of the file at this reader's rate.
            frames: At most this many frames; None reads to the end.
        """
        expected = self._count(start, frames)
        images = self._images(start, frames)
        if not expected:
            return np.stack(list(images))
        read, done = np.empty((expected, *self._size, 3), np.uint8), 0
        for image in images:
            if done == len(read):  # the index promised fewer
                read = np.concatenate([read, np.empty_like(read)])
            read[done] = image
            done += 1
        return read[:done]

    def _probe(self, fps: float | Fraction | None) -> np.ndarray:
        """Set the rate and return the first frame, upright, as it is in the file."""
        if self._still:
            self._timing, self.rate = None, source.exact_rate(fps or _DEFAULT_FPS)
            return _read_image(self.path)
        timing = source.scan(self.path)
        self._timing = timing
        self.rate = timing.rate if fps is None else source.exact_rate(fps)
        self._native = timing.steady and abs(self.rate / timing.rate - 1) < 1e-3
        with source.opened(self.path) as (container, stream):
            self.metadata = source.stored_metadata(container)
            try:
                for _, frame in source.decoded(container, stream):
                    return _upright(frame)
            except source.DamageError:
                pass
        raise VideoError(f"{self.path}: no frame can be decoded; the file is damaged, get a fresh copy")

    def _count(self, start: int, frames: int | None) -> int | None:
        if self._timing is None:
            return 1
        if self._timing.count is None or self._timing.end is None:
            return None
        total = self._timing.count
        if not self._native:
            shown = (self._timing.end - self._timing.start - _EARLY * self._timing.interval) * self.rate
            total = max(1, int(np.ceil(float(shown))))
        left = max(0, total - start)
        return left if frames is None else min(left, frames)

    def _position(self, seconds: float) -> float:
        """Return where a timestamp lies, in frames of the resulting rate."""
        assert self._timing is not None
        since = seconds - self._timing.start
        return round(since / self._timing.interval) if self._native else since * self.fps

    def _images(self, start: int, frames: int | None) -> Iterator[np.ndarray]:
        """Yield uint8 [H, W, 3], one for each tick of the resulting rate."""
        if self._timing is None:
            ticks: Iterator[Callable[[], np.ndarray]] = iter([partial(_read_image, self.path)][start:])
        else:
            ticks = self._ticks(start)
        done = 0
        last: Callable[[], np.ndarray] | None = None
        for tick in ticks:
            if tick is not last:  # a repeated frame is converted once
                image, last = self._fitted(tick()), tick
            yield image
            done += 1
            if done == frames:
                return
        if not done:
            raise VideoError(f"{self.path}: there is no frame {start}; {self!r} ends before it")

    def _fitted(self, image: np.ndarray) -> np.ndarray:
        return pixels.centre_crop(pixels.resize(image, *self._scaled), *self._size)

    def _ticks(self, start: int) -> Iterator[Callable[[], np.ndarray]]:
        """Yield, for each output frame from ``start`` on, what converts the source frame shown then."""
        assert self._timing is not None
        early = 0.5 if self._native else _EARLY * self._timing.interval * self.fps
        shown: Callable[[], np.ndarray] | None = None
        tick, read, position, lasts = start, 0, 0.0, 1.0
        with source.opened(self.path) as (container, stream):
            frames = source.decoded_from(container, stream, self.path, self._timing, start / self.fps)
            try:
                for seconds, frame in frames:
                    position = self._position(seconds)
                    while shown is not None and tick < position - early:
                        yield shown
                        tick += 1
                    shown, read = partial(_upright, frame), read + 1
                    if frame.duration and frame.time_base and not self._native:
                        lasts = float(frame.duration * frame.time_base) * self.fps
                    elif not self._native:
                        lasts = self._timing.interval * self.fps
                damage = self._cut_short()
            except source.DamageError as error:
                damage = str(error)
            while shown is not None and tick < position + lasts - early:
                yield shown
                tick += 1
        if damage and self._errors == "refuse":
            most = max(self._timing.promised, self._timing.count or 0)
            promised = f" of {most}" if most else ""
            kept = f"pass errors='keep' to keep the {read} frames before" if read else "get a fresh copy"
            raise VideoError(
                f"{self.path}: {damage} after {read}{promised} frames; the file is damaged: {kept}"
            )

    def _cut_short(self) -> str:
        assert self._timing is not None
        missing = self._timing.missing
        return f"the file ends {missing:.2f} s early," if missing else ""


def _target(
    height: int, width: int, size: tuple[int, int] | None, short_side: int | None
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (size to scale to, size to cut out of that)."""
    if size is not None:
        return pixels.covering_size(height, width, size), size
    if short_side is not None:
        height, width = pixels.short_side_size(height, width, short_side)
    return (height, width), (height, width)


def _read_image(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):  # 16-bit grey, which Pillow would clip instead of scaling
                grey = (np.asarray(image).astype(np.uint32) // 257).clip(0, 255).astype(np.uint8)
                return np.repeat(grey[..., None], 3, axis=-1)
            return pixels.over_black(np.asarray(image.convert("RGBA")))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise VideoError(
            f"{path}: not a readable image ({str(error).splitlines()[0]}); get a fresh copy"
        ) from error


def _upright(frame: Any) -> np.ndarray:
    return pixels.orient(pixels.rgb(frame), pixels.display_matrix(frame))
