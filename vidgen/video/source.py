"""A video file on disk: open it safely, decode it, and learn when its frames are shown."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from vidgen.errors import VideoError

__all__ = [
    "DamageError",
    "Timing",
    "decoded",
    "decoded_from",
    "exact_rate",
    "opened",
    "require_file",
    "scan",
    "stored_metadata",
]

_TEXT_ART = {"ansi", "bintext", "idf", "xbin"}  # FFmpeg draws plain text files as a video
_FALLBACK_RATE = Fraction(16)


class DamageError(VideoError):
    """Decoding stopped before the end of the file; the text says why, without the path."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """When the frames of a file are shown: from its packets, nothing is decoded for it."""

    rate: Fraction  # frames a second
    start: float  # seconds
    interval: float  # mean seconds from a frame to the next
    count: int | None
    promised: int  # frames by the header, 0 if it does not say
    end: float | None  # seconds, of the last frame's end
    steady: bool  # constant frame rate: frame i is shown at start + i * interval
    missing: float  # seconds that the header promises and the packets do not hold


def exact_rate(fps: float | Fraction) -> Fraction:
    """Return a frame rate as a small fraction; refuses what is not a positive number."""
    real = isinstance(fps, (int, float, Fraction, np.number)) and np.isfinite(float(fps))
    rate = Fraction(fps).limit_denominator(10_000) if real else Fraction(0)
    if rate <= 0:
        raise VideoError(f"fps must be a positive number, not {fps!r}")
    return rate


def require_file(path: Path) -> None:
    """Refuse what is not a readable, non-empty file."""
    if path.is_dir():
        raise VideoError(f"{path}: is a folder; give the path of one video file")
    if not path.exists():
        raise VideoError(f"{path}: no such file; check the path")
    if not os.access(path, os.R_OK):
        raise VideoError(f"{path}: may not be read; check its permissions")
    if path.stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty; get a fresh copy")


def _reason(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error).splitlines()[0].rstrip(". ")


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a container and its first real video stream."""
    try:
        # Only local files: a playlist disguised as a video must not reach the network.
        container = av.open(os.path.abspath(path), options={"protocol_whitelist": "file"})
    except (av.FFmpegError, UnicodeError) as error:
        raise VideoError(
            f"{path}: not a video that can be read ({_reason(error)}); "
            "give an MP4, WebM, GIF or MOV file, or get a fresh copy if it should be one"
        ) from error
    with container:
        # A cover picture inside a music file is a video stream for FFmpeg, not for us.
        streams = [stream for stream in container.streams.video if not _is_cover(stream)]
        if not streams:
            kinds = sorted({stream.type for stream in container.streams})
            raise VideoError(
                f"{path}: holds no video, only {', '.join(kinds) or 'nothing'}; give a video file"
            )
        stream = streams[0]
        context = stream.codec_context
        if context is None:
            raise VideoError(f"{path}: FFmpeg has no decoder for its video; convert it to H.264 MP4")
        if context.name in _TEXT_ART:
            raise VideoError(f"{path}: is a text file; give an MP4, WebM, GIF or MOV file")
        yield container, stream


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & type(stream.disposition).attached_pic)


def decoded(container: Any, stream: Any) -> Iterator[tuple[float | None, Any]]:
    """Yield (seconds or None, frame); a DamageError says why decoding stopped."""
    try:
        for packet in container.demux(stream):
            if packet.is_corrupt:
                raise DamageError("decoding fails (data missing)")
            for frame in packet.decode():
                yield frame.time, frame
    except (av.FFmpegError, MemoryError) as error:
        raise DamageError(f"decoding fails ({_reason(error)})") from error


def decoded_from(
    container: Any, stream: Any, path: Path, timing: Timing, seconds: float
) -> Iterator[tuple[float, Any]]:
    """Yield (seconds, frame) from the last frame that is shown by ``seconds`` after the start."""
    wanted = timing.start + seconds
    if seconds > 0:
        early = wanted - 0.5 * timing.interval
        try:
            container.seek(int(early / stream.time_base), stream=stream, backward=True)
            frames = _timed(decoded(container, stream), timing)
            first = next(frames, None)
        except (av.FFmpegError, DamageError):
            first = None
        if first is not None and first[1].pts is not None and first[0] <= early + 1e-6:
            yield first
            yield from frames
            return
        # Without a usable index (GIF, some streams) everything before is decoded and skipped.
        with opened(path) as (fresh, video):
            yield from _timed(decoded(fresh, video), timing)
        return
    yield from _timed(decoded(container, stream), timing)


def _timed(frames: Iterator[tuple[float | None, Any]], timing: Timing) -> Iterator[tuple[float, Any]]:
    last = timing.start - timing.interval
    for seconds, frame in frames:
        last = last + timing.interval if seconds is None else seconds
        yield last, frame


def scan(path: Path) -> Timing:
    """Read all packets (without decoding) for the timestamps, the count and what is missing."""
    times: list[float] = []
    untimed, ends, last_duration, corrupt = 0, 0.0, 0.0, False
    with opened(path) as (container, stream):
        declared = stream.average_rate or stream.guessed_rate or _FALLBACK_RATE
        promised, seconds = stream.frames, (container.duration or 0) / 1e6
        offset = (container.start_time or 0) / 1e6
        try:
            for packet in container.demux():
                corrupt |= packet.is_corrupt
                if packet.pts is None or packet.is_discard:
                    untimed += packet.size > 0 and packet.stream_index == stream.index and packet.pts is None
                    continue
                begins = float(packet.pts * packet.time_base)
                lasts = float((packet.duration or 0) * packet.time_base)
                ends = max(ends, begins + lasts - offset)
                if packet.stream_index == stream.index:
                    times.append(begins)
                    last_duration = lasts if begins >= max(times) else last_duration
        except av.FFmpegError:
            pass  # decoding meets the same place and says how much could be read
    if untimed or len(times) < 2:
        interval = float(1 / declared)
        count = len(times) + untimed or None
        start = min(times, default=0.0)
        end = start + (last_duration if len(times) == 1 and last_duration else (count or 0) * interval)
        return Timing(
            rate=declared,
            start=start,
            interval=interval,
            count=count,
            promised=promised,
            end=end,
            steady=True,
            missing=0.0,
        )
    shown = np.sort(np.array(times))
    if corrupt:  # cut off between frames that are stored out of order: what follows the gap is lost
        steps = np.diff(shown)
        gaps = np.flatnonzero(steps > 1.5 * np.median(steps))
        shown = shown[: gaps[0] + 1] if len(gaps) and gaps[0] > 0 else shown
    interval = float(shown[-1] - shown[0]) / (len(shown) - 1)
    even = shown[0] + interval * np.arange(len(shown))
    steady = bool(np.abs(shown - even).max() < 0.4 * interval)
    end = float(shown[-1]) + (last_duration or interval)
    mean = 1 / interval if steady else len(shown) / (end - shown[0])
    rate = declared if abs(float(declared) / mean - 1) < 0.01 else exact_rate(mean)
    missing = seconds - ends
    return Timing(
        rate=rate,
        start=float(shown[0]),
        interval=interval,
        count=len(shown),
        promised=promised,
        end=end,
        steady=steady,
        missing=missing if missing > max(0.1 * seconds, 2 * interval) else 0.0,
    )


def stored_metadata(container: Any) -> dict[str, Any]:
    """Return what `VideoWriter` stored in the file, empty for files of others."""
    comment = next((v for k, v in container.metadata.items() if k.lower() == "comment"), "")
    try:
        stored = json.loads(comment)["vidgen"]
    except (ValueError, KeyError, TypeError):
        return {}
    return stored if isinstance(stored, dict) else {}
