from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from PIL import Image

from vidgen.errors import SizeError, VideoError
from vidgen.video import Video, side_by_side

Render = Callable[..., np.ndarray]


def test_numbers(moving: Render) -> None:
    video = Video.from_numpy(moving(12, 20, 30), fps=Fraction(30000, 1001), metadata={"seed": 4})
    assert (video.frames, video.height, video.width, len(video)) == (12, 20, 30, 12)
    assert video.fps == pytest.approx(29.97, abs=1e-3)
    assert video.duration == pytest.approx(12 / 29.97, rel=1e-3)
    assert repr(video) == "Video(12x20x30, 29.97 fps, seed=4)"


def test_grey_and_alpha(moving: Render) -> None:
    grey = moving(3)[..., 0]
    assert np.array_equal(Video.from_numpy(grey).numpy(), np.stack([grey] * 3, axis=-1))
    assert np.array_equal(Video.from_numpy(grey[..., None]).numpy(), np.stack([grey] * 3, axis=-1))
    half = np.full((2, 4, 4, 4), 128, np.uint8)
    assert set(Video.from_numpy(half).numpy().ravel().tolist()) == {64}


@pytest.mark.parametrize(
    "frames",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((2, 8, 8, 3), np.int64),
        np.zeros((2, 3, 8, 8), np.uint8),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
        np.zeros((8, 8), np.uint8),
    ],
)
def test_other_arrays_are_refused(frames: np.ndarray) -> None:
    with pytest.raises(VideoError):
        Video.from_numpy(frames)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_bad_rates_are_refused(moving: Render, fps: float) -> None:
    with pytest.raises(VideoError, match="positive"):
        Video.from_numpy(moving(2), fps=fps)


def test_tensor_round_trip_is_exact() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 7, 9, 3), np.uint8)
    tensor = Video.from_numpy(frames).tensor()
    assert tensor.shape == (1, 3, 3, 7, 9)
    assert tensor.dtype == torch.float32
    assert tensor.is_contiguous()
    assert (tensor.min() >= -1, tensor.max() <= 1) == (True, True)
    for back in (tensor, tensor[0]):
        assert np.array_equal(Video.from_tensor(back).numpy(), frames)
    assert Video.from_numpy(frames).tensor(torch.bfloat16).dtype == torch.bfloat16
    ends = Video.from_numpy(np.uint8([[[[0, 255, 0]]]])).tensor()
    assert ends.flatten().tolist() == [-1.0, 1.0, -1.0]


def test_bad_tensors_are_refused() -> None:
    tensor = torch.zeros(1, 3, 2, 4, 4)
    for value, said in ((float("nan"), "NaN"), (float("inf"), "NaN or inf"), (1.5, "clamp=True")):
        spoilt = tensor.clone()
        spoilt[0, 0, 1, 2, 2] = value
        with pytest.raises(VideoError, match=f"frame 1 .*{said}"):
            Video.from_tensor(spoilt)
    with pytest.raises(VideoError, match="NaN"):
        Video.from_tensor(tensor / 0, clamp=True)
    assert Video.from_tensor(tensor + 1.5, clamp=True).numpy().max() == 255
    assert Video.from_tensor(tensor + 1.0005).numpy().max() == 255
    for other in (tensor[0, 0], tensor.byte(), torch.zeros(2, 3, 1, 4, 4), torch.zeros(4, 2, 4, 4)):
        with pytest.raises(VideoError, match="expected a float tensor"):
            Video.from_tensor(other)


def test_pil_round_trip(moving: Render) -> None:
    frames = moving(3)
    video = Video.from_pil(Video.from_numpy(frames).pil(), fps=5)
    assert (np.array_equal(video.numpy(), frames), video.fps) == (True, 5.0)
    assert Video.from_pil(Image.new("L", (4, 6))).size == (1, 6, 4)
    with pytest.raises(SizeError):
        Video.from_pil([Image.new("RGB", (4, 4)), Image.new("RGB", (4, 6))])
    with pytest.raises(VideoError):
        Video.from_pil([])


def test_slices(moving: Render) -> None:
    frames = moving(8)
    video = Video.from_numpy(frames, fps=16, metadata={"seed": 1})
    assert np.array_equal(video[2:5].numpy(), frames[2:5])
    assert np.array_equal(video[-1].numpy(), frames[-1:])
    assert (video[::2].fps, video[::2].metadata) == (8.0, {"seed": 1})
    assert np.array_equal(np.stack(list(video)), frames)
    with pytest.raises(IndexError):
        video[8]
    with pytest.raises(VideoError, match="no frames"):
        video[5:5]


def test_resize_and_crop(moving: Render) -> None:
    frames = moving(2, 40, 60)
    video = Video.from_numpy(frames)
    assert video.resize(10, 30).size == (2, 10, 30)
    assert video.resize_short_side(20).size == (2, 20, 30)
    assert np.array_equal(video.crop(20, 30).numpy(), frames[:, 10:30, 15:45])
    assert np.array_equal(video.crop(20, 30, top=0, left=30).numpy(), frames[:, :20, 30:])
    checker = np.indices((64, 64)).sum(0) % 2 * 255
    fine = Video.from_numpy(np.repeat(checker[None, ..., None], 3, axis=-1).astype(np.uint8))
    small = fine.resize(16, 16).numpy()[0, 2:-2, 2:-2]
    assert np.abs(small.astype(int) - 127).max() < 8  # without antialiasing it would be 0 or 255
    for bad in ((41, 10), (10, 61), (0, 10)):
        with pytest.raises(SizeError):
            video.crop(*bad)
    with pytest.raises(SizeError):
        video.resize(0, 10)


def test_side_by_side(moving: Render) -> None:
    a, b = Video.from_numpy(moving(4, 20, 30), fps=8), Video.from_numpy(moving(6, 40, 60), fps=8)
    both = side_by_side([a, b], gap=2)
    assert both.size == (6, 20, 62)
    assert np.array_equal(both.numpy()[5, :, :30], a.numpy()[3])
    assert np.array_equal(both.numpy()[:, :, 32:], b.resize(20, 30).numpy())
    with pytest.raises(VideoError, match="frame rates"):
        side_by_side([a, Video.from_numpy(moving(4), fps=9)])
    with pytest.raises(VideoError, match="at least one"):
        side_by_side([])


def test_notebook_preview(moving: Render) -> None:
    html = Video.from_numpy(moving(5, 33, 35), metadata={"prompt": "<b>"})._repr_html_()
    data = base64.b64decode(re.search(r"data:video/mp4;base64,([^\"]+)", html)[1])
    stream = av.open(io.BytesIO(data)).streams.video[0]
    assert (stream.frames, stream.codec_context.pix_fmt) == (5, "yuv420p")
    assert "&lt;b&gt;" in html
    assert "data:image/png" in Video.from_numpy(moving(1))._repr_html_()


def test_import_needs_no_torch() -> None:
    code = "import sys, vidgen.video; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("wrong", [np.zeros((3, 1, 2, 2)), [1, 2], None])
def test_from_tensor_refuses_what_is_no_tensor(wrong):
    with pytest.raises(VideoError, match="torch tensor"):
        Video.from_tensor(wrong)


@pytest.mark.parametrize("fps", ["x", None, 0, -1, float("nan")])
def test_wrong_rates_are_refused(fps):
    with pytest.raises(VideoError, match="fps"):
        Video.from_numpy(np.zeros((1, 2, 2, 3), np.uint8), fps=fps)
