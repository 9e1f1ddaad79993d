"""Write a video file piece by piece; the file appears under its name only when it is whole."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import av
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from vidgen.errors import SizeError, VideoError
from vidgen.video.source import exact_rate

__all__ = ["VideoWriter"]

_CRF = {"libx264": 16, "libvpx-vp9": 20}
_CODECS = {"mp4": "libx264", "mov": "libx264", "webm": "libvpx-vp9"}
_SUFFIXES = (".mp4", ".mov", ".webm", ".gif", ".png", ".jpg", ".jpeg", ".npy")
_GIF_FASTEST = 50  # browsers slow delays under 0.02 s down to 0.1 s


class VideoWriter:
    """Write uint8 frames to MP4, MOV, WebM, GIF, PNG, JPEG or NPY in bounded memory.

    The bytes go to a hidden temporary file in the same folder, which takes the final name in one
    step at the end: a full disk, an exception or a kill leaves an old file as it was.

    MP4 and MOV are H.264: yuv420p for even sizes, yuv444p for odd ones, which keeps the exact size
    (VLC, mpv and FFmpeg play it; some browsers do not). GIFs share one palette made from all frames
    and are thinned to 50 frames a second, the fastest that browsers show. Several frames in a PNG or
    JPEG stand side by side.

    Args:
        path: Target; its suffix chooses the format. Missing folders are made.
        fps: Frames a second.
        crf: H.264 or VP9 quality, lower is better; default 16 (H.264) or 20 (VP9).
        strip: For PNG and JPEG, at most this many frames, evenly taken; None takes all.
        metadata: JSON-able values stored in the file (MP4, MOV, WebM, PNG).

    Raises:
        VideoError: Unknown suffix, unwritable folder, full disk.

    Example:
        with VideoWriter("out.mp4", fps=16) as writer:
            for piece in pieces:
                writer.write(piece)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: float | Fraction = 16,
        *,
        crf: int | None = None,
        strip: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        format = format_of(self.path)
        if strip is not None and strip < 1:
            raise SizeError(f"strip must be at least 1, not {strip}")
        rate, comment = exact_rate(fps), stored_comment(metadata)
        # A link stays a link: what it points to is replaced.
        self._final = self.path.resolve()
        self._temporary = self._final.with_name(f".{self._final.name}.{uuid.uuid4().hex[:8]}.tmp")
        self._open = True
        with self._refusing():
            if self._final.is_dir():
                raise VideoError(f"{self.path}: is a folder; give a file name such as out.mp4")
            self._final.parent.mkdir(parents=True, exist_ok=True)
            self._file = _Output(open(self._temporary, "wb"))  # noqa: SIM115 (closed by close or abort)
            self._sink: Encoder | _Spool
            if format in _CODECS:
                self._sink = Encoder(self._file, format, rate, crf=crf, comment=comment)
            else:
                self._sink = _Spool(self._file, _finisher(format, rate, strip, comment))

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def write(self, frames: np.ndarray) -> None:
        """Append uint8 [n, H, W, 3] frames of the same size as those before.

        Raises:
            SizeError: Other shape than before.
            VideoError: Not uint8, or the file cannot be written.
        """
        if not self._open:
            raise VideoError(f"{self.path}: already closed; open a new VideoWriter")
        with self._refusing():
            if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape[1:]:
                raise VideoError(f"frames must be uint8 [T, H, W, 3], not {frames.dtype} {frames.shape}")
            for frame in frames:
                self._sink.write(frame)

    def close(self) -> None:
        """Finish the file and give it its name; refuses a video without frames."""
        if not self._open:
            return
        with self._refusing():
            self._sink.finish()
            self._file.sync()
            os.replace(self._temporary, self._final)
            self._open = False

    def abort(self) -> None:
        """Drop everything written; a file that had the name before stays as it was."""
        if not self._open:
            return
        self._open = False
        with contextlib.suppress(AttributeError, OSError, av.FFmpegError):
            self._sink.drop()
        with contextlib.suppress(AttributeError, OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._temporary.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """Drop the temporary file on any failure; say system errors in one line."""
        try:
            yield
        except (OSError, av.FFmpegError) as error:
            cause = getattr(getattr(self, "_file", None), "error", None) or error
            self.abort()
            why = str(getattr(cause, "strerror", None) or cause).splitlines()[0]
            raise VideoError(
                f"{self.path}: cannot be written ({why}); an older file there is untouched; "
                "free some space or choose another folder"
            ) from cause
        except BaseException:
            self.abort()
            raise


class _Output:
    """A file that remembers its first error, which FFmpeg's own report would hide."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = self.error or error
            raise

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def sync(self) -> None:
        """Flush to the disk and close; a full disk may show only here."""
        if self.error:
            raise self.error
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def close(self) -> None:
        self._file.close()


class Encoder:
    """H.264 or VP9 into an open binary file, frame by frame."""

    def __init__(
        self, file: Any, format: str, rate: Fraction, *, crf: int | None = None, comment: str = ""
    ) -> None:
        self._container = av.open(file, "w", format=format)
        self._codec, self._rate, self._crf = _CODECS[format], rate, crf
        if comment:
            self._container.metadata["comment"] = comment
        self._stream: Any = None
        self._count = 0

    def write(self, frame: np.ndarray) -> None:
        """Append one uint8 [H, W, 3] frame."""
        height, width = frame.shape[:2]
        if self._stream is None:
            self._stream = self._begin(height, width)
        _require_size((height, width), (self._stream.height, self._stream.width))
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(
            format=self._stream.pix_fmt, dst_colorspace="itu709", dst_color_range="MPEG", threads=1
        )
        picture.pts, picture.time_base = self._count, 1 / self._rate
        self._count += 1
        self._container.mux(self._stream.encode(picture))

    def finish(self) -> None:
        """Write what is pending and the index."""
        _require_frames(self._count)
        self._container.mux(self._stream.encode())
        self._container.close()

    def drop(self) -> None:
        """Let the encoder go."""
        self._container.close()

    def _begin(self, height: int, width: int) -> Any:
        stream: Any = self._container.add_stream(self._codec, rate=self._rate)
        stream.height, stream.width = height, width
        # 4:2:0 H.264 cannot have odd sizes; VP9 can.
        odd = (height % 2 or width % 2) and self._codec == "libx264"
        stream.pix_fmt = "yuv444p" if odd else "yuv420p"
        options = {"crf": str(_CRF[self._codec] if self._crf is None else self._crf)}
        if self._codec == "libvpx-vp9":
            options |= {"b": "0", "deadline": "good", "cpu-used": "4", "row-mt": "1"}
        stream.options = options
        context = stream.codec_context
        context.colorspace = context.color_primaries = context.color_trc = 1  # BT.709
        context.color_range = 1  # limited
        return stream


class _Frames(Sequence[np.ndarray]):
    """Frames in an open file, read one at a time: a memory map would count as resident memory."""

    def __init__(self, file: Any, shape: tuple[int, ...]) -> None:
        self._file, self.shape = file, shape

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        size = math.prod(self.shape[1:])
        self._file.seek(range(len(self))[index] * size)
        return np.frombuffer(self._file.read(size), np.uint8).reshape(self.shape[1:])


Finisher = Callable[[Any, _Frames], None]


class _Spool:
    """Frames kept in an unnamed file on disk, for formats that need all of them at once."""

    def __init__(self, file: Any, finisher: Finisher) -> None:
        self._file, self._finisher = file, finisher
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 (closed by finish or drop)
        self._shape: tuple[int, ...] = ()
        self._count = 0

    def write(self, frame: np.ndarray) -> None:
        self._shape = self._shape or frame.shape
        _require_size(frame.shape, self._shape)
        self._spool.write(frame.tobytes())
        self._count += 1

    def finish(self) -> None:
        _require_frames(self._count)
        self._spool.flush()
        self._finisher(self._file, _Frames(self._spool, (self._count, *self._shape)))
        self._spool.close()

    def drop(self) -> None:
        self._spool.close()


def format_of(path: Path) -> str:
    """Return the format that a suffix names, for instance ``mp4``."""
    if path.suffix.lower() not in _SUFFIXES:
        raise VideoError(f"{path}: unknown suffix {path.suffix!r}; use one of {', '.join(_SUFFIXES)}")
    return path.suffix.lower()[1:]


def stored_comment(metadata: Mapping[str, Any] | None) -> str:
    """Return metadata as the JSON comment that `VideoReader` understands."""
    if not metadata:
        return ""
    try:
        return json.dumps({"vidgen": dict(metadata)})
    except (TypeError, ValueError) as error:
        raise VideoError(f"metadata must hold only JSON values: {error}") from error


def _finisher(format: str, rate: Fraction, strip: int | None, comment: str) -> Finisher:
    def gif(file: Any, frames: _Frames) -> None:
        _write_gif(file, frames, rate)

    def npy(file: Any, frames: _Frames) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": frames.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for frame in frames:
            file.write(frame.tobytes())

    def image(file: Any, frames: _Frames) -> None:
        shown = [frames[index] for index in _evenly(len(frames), strip or len(frames))]
        picture = Image.fromarray(np.concatenate(shown, axis=1))
        if format == "png":
            info = PngInfo()
            if comment:
                info.add_text("comment", comment)
            picture.save(file, "png", pnginfo=info)
        else:
            picture.save(file, "jpeg", quality=95)

    return {"gif": gif, "npy": npy}.get(format, image)


def _evenly(total: int, count: int) -> list[int]:
    """Return at most ``count`` of ``total`` indices, evenly spaced, the first and the last among them."""
    if count >= total:
        return list(range(total))
    return np.rint(np.linspace(0, total - 1, count)).astype(int).tolist()


def _write_gif(file: Any, frames: _Frames, rate: Fraction) -> None:
    """Write uint8 [T, H, W, 3] as a GIF with one palette for the whole clip."""
    if rate > _GIF_FASTEST:
        ticks = math.ceil(len(frames) * _GIF_FASTEST / rate)
        chosen = [int(tick * rate / _GIF_FASTEST) for tick in range(ticks)]
        rate = Fraction(_GIF_FASTEST)
    else:
        chosen = list(range(len(frames)))
    palette = _palette(frames)
    colours = np.full((256, 4), 255, np.uint8)
    table = np.array(palette.getpalette("RGB"), np.uint8).reshape(-1, 3)
    colours[: len(table), 1:] = table  # ARGB
    container = av.open(file, "w", format="gif")
    stream: Any = container.add_stream("gif", rate=100)
    stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "pal8"
    # A GIF counts in hundredths of a second: rounding the times keeps the delays right on average.
    times = [round(tick * 100 / rate) for tick in range(len(chosen) + 1)]
    delays = {begins: ends - begins for begins, ends in itertools.pairwise(times)}
    for index, source in enumerate(chosen):
        coded = Image.fromarray(frames[source]).quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
        paletted: Any = (np.asarray(coded), colours)
        picture = av.VideoFrame.from_ndarray(paletted, format="pal8")
        picture.pts, picture.time_base = times[index], Fraction(1, 100)
        _mux_gif(container, stream.encode(picture), delays)
    _mux_gif(container, stream.encode(), delays)
    container.close()


def _mux_gif(container: Any, packets: list[Any], delays: Mapping[int, int]) -> None:
    for packet in packets:
        packet.duration = delays[packet.pts]  # else the last frame flashes by
        container.mux(packet)


def _palette(frames: Sequence[np.ndarray]) -> Image.Image:
    """Choose 256 colours from at most 32 evenly taken frames, about 30,000 pixels in all."""
    indices = _evenly(len(frames), 32)
    step = max(1, math.ceil(math.sqrt(len(indices) * frames[0][..., 0].size / 30_000)))
    mosaic = np.concatenate([frames[index][::step, ::step] for index in indices], axis=1)
    return Image.fromarray(mosaic).quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1)


def _require_size(size: tuple[int, ...], first: tuple[int, ...]) -> None:
    if size != first:
        raise SizeError(
            f"a frame of {size[0]}x{size[1]} follows one of {first[0]}x{first[1]}; resize them to one size"
        )


def _require_frames(count: int) -> None:
    if not count:
        raise VideoError("a video needs at least one frame; write some before closing")
