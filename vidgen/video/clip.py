"""A video in memory: uint8 frames, a frame rate, and what is known about how it was made."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from vidgen.errors import SizeError, VideoError
from vidgen.video import pixels
from vidgen.video.reader import VideoReader
from vidgen.video.source import exact_rate
from vidgen.video.writer import Encoder, VideoWriter

if TYPE_CHECKING:
    import torch

__all__ = ["Video", "side_by_side"]

_TOLERANCE = 1e-3


class Video:
    """Frames uint8 [T, H, W, 3] in RGB with a frame rate.

    Args:
        frames: uint8 [T, H, W, 3] with at least one frame; not copied.
        fps: Frames a second.
        metadata: What is known about it: seed, prompt, a note on random weights, ... Saved with it.

    Raises:
        VideoError: Another dtype or shape.

    Example:
        Video.open("clip.mp4", frames=33, short_side=256).resize(64, 64).save("small.gif")
    """

    def __init__(
        self,
        frames: np.ndarray,
        fps: float | Fraction = 16,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(frames, np.ndarray) or frames.dtype != np.uint8:
            kind = frames.dtype if isinstance(frames, np.ndarray) else type(frames).__name__
            raise VideoError(
                f"frames must be a uint8 array, not {kind}; "
                "use Video.from_tensor for [-1, 1], or (frames * 255).round().astype('uint8') for [0, 1]"
            )
        if frames.ndim != 4 or frames.shape[-1] != 3 or 0 in frames.shape:
            raise VideoError(f"frames must be [T, H, W, 3] without an empty side, not {frames.shape}")
        self._frames = frames
        self._rate = exact_rate(fps)
        self.metadata: dict[str, Any] = dict(metadata or {})

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        frames: int | None = None,
        start: int = 0,
        fps: float | Fraction | None = None,
        size: tuple[int, int] | None = None,
        short_side: int | None = None,
        errors: Literal["refuse", "keep"] = "refuse",
    ) -> Video:
        """Read a video or image file, upright, 8-bit RGB, at a constant frame rate.

        Args:
            path: MP4, WebM, GIF, MOV or whatever else FFmpeg decodes; PNG, JPEG, WebP; `save`'s NPY.
            frames: At most this many frames; None reads to the end.
            start: First frame, counted at the resulting frame rate.
            fps: Resample to this rate by timestamps; None keeps the file's.
            size: (height, width): scale until it is covered, then cut out the middle.
            short_side: Scale until the shorter side has this many pixels, keeping the aspect.
            errors: ``refuse`` a damaged file, or ``keep`` the frames before the damage.

        Raises:
            VideoError: The file is missing, empty, damaged or not a video.
        """
        path = Path(path)
        if path.suffix.lower() == ".npy":
            video = cls(_read_npy(path), fps or 16)[start : None if frames is None else start + frames]
            return _fit(video, size, short_side)
        reader = cls.stream(
            path, frames=frames, start=start, fps=fps, size=size, short_side=short_side, errors=errors
        )
        return cls(reader.read(start, frames), reader.rate, reader.metadata)

    @classmethod
    def stream(cls, path: str | os.PathLike[str], **options: Any) -> VideoReader:
        """Return a `VideoReader` (same keywords as `open`, and ``piece``), for bounded memory."""
        return VideoReader(path, **options)

    @classmethod
    def from_numpy(
        cls, frames: np.ndarray, fps: float | Fraction = 16, metadata: Mapping[str, Any] | None = None
    ) -> Video:
        """Wrap uint8 [T, H, W, 3], or grey [T, H, W] or [T, H, W, 1], or [T, H, W, 4] (over black)."""
        frames = np.asarray(frames)
        if frames.dtype == np.uint8:
            if frames.ndim == 4 and frames.shape[-1] == 4:
                frames = pixels.over_black(frames)
            elif frames.ndim == 4 and frames.shape[-1] == 1:
                frames = np.repeat(frames, 3, axis=-1)
            elif frames.ndim == 3:
                if frames.shape[-1] == 3:
                    raise VideoError(
                        f"frames {frames.shape} look like a single image; pass frames[None] as [T, H, W, 3]"
                    )
                frames = np.repeat(frames[..., None], 3, axis=-1)
        return cls(frames, fps, metadata)

    @classmethod
    def from_pil(
        cls,
        images: Sequence[Image.Image] | Image.Image,
        fps: float | Fraction = 16,
        metadata: Mapping[str, Any] | None = None,
    ) -> Video:
        """Wrap one Pillow image or several of one size; transparency is blended over black."""
        images = [images] if isinstance(images, Image.Image) else list(images)
        if not images:
            raise VideoError("a video needs at least one image")
        if len({image.size for image in images}) > 1:
            raise SizeError(
                f"images of several sizes {sorted({image.size for image in images})}; resize them"
            )
        return cls.from_numpy(
            np.stack([np.asarray(image.convert("RGBA")) for image in images]), fps, metadata
        )

    @classmethod
    def from_tensor(
        cls,
        tensor: torch.Tensor,
        fps: float | Fraction = 16,
        metadata: Mapping[str, Any] | None = None,
        *,
        clamp: bool = False,
    ) -> Video:
        """Wrap a float tensor [3, T, H, W] or [1, 3, T, H, W] in [-1, 1].

        Args:
            tensor: The video; up to 0.001 beyond [-1, 1] counts as rounding.
            fps: Frames a second.
            metadata: What is known about it.
            clamp: Cut values beyond [-1, 1] off, as fits the output of a decoder, instead of refusing.

        Raises:
            VideoError: NaN or infinite values, values out of range, another shape.
        """
        import torch

        if not isinstance(tensor, torch.Tensor):
            raise VideoError(
                f"expected a torch tensor, not {type(tensor).__name__}; from_numpy takes uint8 arrays"
            )
        if tensor.ndim == 5 and tensor.shape[0] == 1:
            tensor = tensor[0]
        if tensor.ndim != 4 or tensor.shape[0] != 3 or not tensor.is_floating_point():
            raise VideoError(
                f"expected a float tensor [3, T, H, W] or [1, 3, T, H, W], not {tensor.dtype} "
                f"{tuple(tensor.shape)}; for a batch make one Video a sample"
            )
        tensor = tensor.detach()
        frames = np.empty((tensor.shape[1], *tensor.shape[2:], 3), np.uint8)
        for index in range(len(frames)):  # a frame at a time: long videos need no second float copy
            frame = tensor[:, index].float().cpu()
            if not torch.isfinite(frame).all():
                raise VideoError(
                    f"frame {index} holds NaN or infinite values; lower the precision or guidance?"
                )
            low, high = frame.min().item(), frame.max().item()
            if not clamp and (low < -1 - _TOLERANCE or high > 1 + _TOLERANCE):
                raise VideoError(
                    f"frame {index} spans [{low:.3g}, {high:.3g}], expected [-1, 1]; "
                    "scale it, or pass clamp=True to cut it off"
                )
            coded = ((frame.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
            frames[index] = coded.permute(1, 2, 0).numpy()
        return cls(frames, fps, metadata)

    @property
    def frames(self) -> int:
        """Number of frames, T."""
        return self._frames.shape[0]

    @property
    def height(self) -> int:
        """Pixels."""
        return self._frames.shape[1]

    @property
    def width(self) -> int:
        """Pixels."""
        return self._frames.shape[2]

    @property
    def size(self) -> tuple[int, int, int]:
        """(T, H, W)."""
        return self.frames, self.height, self.width

    @property
    def fps(self) -> float:
        """Frames a second."""
        return float(self._rate)

    @property
    def duration(self) -> float:
        """Seconds."""
        return float(self.frames / self._rate)

    def __len__(self) -> int:
        return self.frames

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield frames uint8 [H, W, 3]."""
        return iter(self._frames)

    def __getitem__(self, index: int | slice) -> Video:
        """Return the frames as a Video: ``video[3]`` has one frame, a step of 2 halves the rate."""
        if isinstance(index, slice):
            step = 1 if index.step is None else index.step
            chosen = self._frames[index]
            if not len(chosen):
                raise VideoError(f"no frames in [{index.start}:{index.stop}:{step}] of {self.frames}")
            return Video(chosen, self._rate / abs(step), self.metadata)
        if not -self.frames <= index < self.frames:
            raise IndexError(f"frame {index} of {self.frames}")
        return Video(self._frames[index][None], self._rate, self.metadata)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Video):
            return NotImplemented
        return self._rate == other._rate and np.array_equal(self._frames, other._frames)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        notes = "".join(f", {key}={value!r}" for key, value in self.metadata.items())
        return f"Video({self.frames}x{self.height}x{self.width}, {self.fps:.5g} fps{notes})"

    def _repr_html_(self) -> str:
        """Return a small preview for a notebook: at most 256 pixels short side and 120 frames."""
        small = self[:120]
        if min(small.height, small.width) > 256:
            small = small.resize_short_side(256)
        data = io.BytesIO()
        title = f"<div>{_escaped(repr(self))}</div>"
        if self.frames == 1:
            Image.fromarray(small._frames[0]).save(data, "png")
            return f'{title}<img src="data:image/png;base64,{base64.b64encode(data.getvalue()).decode()}">'
        # Browsers play 4:2:0 only, which needs even sizes.
        small = small.resize(small.height + small.height % 2, small.width + small.width % 2)
        encoder = Encoder(data, "mp4", small._rate, crf=23)
        for frame in small:
            encoder.write(frame)
        encoder.finish()
        source = base64.b64encode(data.getvalue()).decode()
        return f'{title}<video controls autoplay loop muted src="data:video/mp4;base64,{source}"></video>'

    def numpy(self) -> np.ndarray:
        """Return the frames, uint8 [T, H, W, 3], without copying."""
        return self._frames

    def tensor(self, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Return [1, 3, T, H, W] in [-1, 1], float32 unless another dtype is asked for."""
        import torch

        # A copy: arrays from files and maps may be read-only, which torch does not know.
        frames = torch.from_numpy(np.moveaxis(self._frames, -1, 0).copy())[None]
        return frames.to(torch.float32).div_(127.5).sub_(1.0).to(dtype or torch.float32)

    def pil(self) -> list[Image.Image]:
        """Return the frames as Pillow images."""
        return [Image.fromarray(frame) for frame in self._frames]

    def resize(self, height: int, width: int) -> Video:
        """Return it at another size (antialiased bicubic); the aspect may change."""
        if height < 1 or width < 1:
            raise SizeError(f"cannot resize to {height}x{width}; both sides must be positive")
        resized = np.stack([pixels.resize(frame, height, width) for frame in self._frames])
        return Video(resized, self._rate, self.metadata)

    def resize_short_side(self, short_side: int) -> Video:
        """Return it with the shorter side at ``short_side`` pixels and the aspect kept."""
        return self.resize(*pixels.short_side_size(self.height, self.width, short_side))

    def crop(self, height: int, width: int, *, top: int | None = None, left: int | None = None) -> Video:
        """Cut out ``height`` x ``width`` pixels, from the middle unless ``top`` or ``left`` say where."""
        top = (self.height - height) // 2 if top is None else top
        left = (self.width - width) // 2 if left is None else left
        inside = 0 <= top <= self.height - height and 0 <= left <= self.width - width
        if height < 1 or width < 1 or not inside:
            raise SizeError(
                f"a crop of {height}x{width} at top={top}, left={left} "
                f"does not lie within {self.height}x{self.width}"
            )
        return Video(self._frames[:, top : top + height, left : left + width], self._rate, self.metadata)

    def save(self, path: str | os.PathLike[str], *, crf: int | None = None, strip: int | None = None) -> Path:
        """Write MP4, MOV, WebM, GIF, PNG, JPEG or NPY; the suffix chooses, see `VideoWriter`.

        Args:
            path: Target file; an old one is replaced only when the new one is whole.
            crf: H.264 or VP9 quality, lower is better; default 16 (H.264) or 20 (VP9).
            strip: PNG and JPEG: at most this many frames side by side, evenly taken; None takes all.

        Returns:
            The path.

        Raises:
            VideoError: Unknown suffix, unwritable folder, full disk.
        """
        with VideoWriter(path, self._rate, crf=crf, strip=strip, metadata=self.metadata) as writer:
            writer.write(self._frames)
        return writer.path


def side_by_side(videos: Sequence[Video], *, gap: int = 4) -> Video:
    """Put videos beside each other, scaled to the first one's height, for comparison.

    Args:
        videos: One or more of the same frame rate; shorter ones hold their last frame.
        gap: White pixels between two.

    Raises:
        VideoError: No videos, or several frame rates.
    """
    if not videos:
        raise VideoError("side_by_side needs at least one video")
    first = videos[0]
    rates = {round(video.fps, 3) for video in videos if video.frames > 1}
    if len(rates) > 1:
        raise VideoError(f"videos of several frame rates {sorted(rates)}; open them with one fps=")
    length = max(video.frames for video in videos)
    parts: list[np.ndarray] = []
    for video in videos:
        width = max(1, round(video.width * first.height / video.height))
        frames = video.resize(first.height, width).numpy()
        frames = frames[np.minimum(np.arange(length), len(frames) - 1)]
        if parts and gap:
            parts.append(np.full((length, first.height, gap, 3), 255, np.uint8))
        parts.append(frames)
    rate = next((video._rate for video in videos if video.frames > 1), first._rate)
    return Video(np.concatenate(parts, axis=2), rate, first.metadata)


def _fit(video: Video, size: tuple[int, int] | None, short_side: int | None) -> Video:
    if size is not None:
        return video.resize(*pixels.covering_size(video.height, video.width, size)).crop(*size)
    return video if short_side is None else video.resize_short_side(short_side)


def _read_npy(path: Path) -> np.ndarray:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise VideoError(f"{path}: not a readable NPY file ({str(error).splitlines()[0]})") from error


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
