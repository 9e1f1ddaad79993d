"""Small clips made for the tests, and the real ones where they are to be had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest


@pytest.fixture
def moving() -> Callable[..., np.ndarray]:
    """A function that renders smooth moving frames, uint8 [T, H, W, 3]."""

    def render(frames: int = 8, height: int = 48, width: int = 64) -> np.ndarray:
        t, y, x = np.meshgrid(*(np.linspace(0, 1, n) for n in (frames, height, width)), indexing="ij")
        waves = [np.sin(3 * x + 2 * t), np.cos(2 * y - 3 * t), np.sin(2 * x + 2 * y + 4 * t)]
        return (127.5 + 110 * np.stack(waves, axis=-1)).astype(np.uint8)

    return render


@pytest.fixture
def encode() -> Callable[..., None]:
    """A function that writes frames with chosen codec, timestamps, rotation and colour tags."""

    def write(
        path: Path,
        frames: Sequence[np.ndarray],
        *,
        codec: str = "libx264",
        pix_fmt: str = "yuv444p",
        times: Sequence[int] | None = None,
        time_base: Fraction = Fraction(1, 10),
        source: str = "rgb24",
        options: dict[str, str] | None = None,
        turn: tuple[int, bool, bool] | None = None,
        tags: dict[str, int] | None = None,
    ) -> None:
        container = av.open(str(path), "w", options={"movflags": "faststart"})  # the index comes first
        stream: Any = container.add_stream(codec, rate=1 / time_base)
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], pix_fmt
        stream.options = {"crf": "6"} if options is None else options
        stream.codec_context.time_base = time_base
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if turn is not None:
            stream.set_display_rotation(turn[0], hflip=turn[1], vflip=turn[2])
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format=source)
            picture.pts = index if times is None else times[index]
            picture.time_base = time_base
            for name, value in (tags or {}).items():
                setattr(picture, name, value)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
        container.close()

    return write


@pytest.fixture(scope="session")
def clips() -> Path:
    folder = Path(__file__).resolve().parents[4] / "shared" / "clips"
    if not folder.is_dir():
        pytest.skip("the real clips are not here: they belong in ../shared/clips beside the project")
    return folder
