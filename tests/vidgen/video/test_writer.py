from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from vidgen.errors import SizeError, VideoError
from vidgen.video import Video, VideoWriter

Render = Callable[..., np.ndarray]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    assert a.shape == b.shape
    return float(10 * np.log10(255**2 / ((a.astype(float) - b) ** 2).mean()))


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (48, 63), (47, 64), (2, 2), (5, 1)])
@pytest.mark.parametrize(("suffix", "quality"), [(".mp4", 36), (".mov", 36), (".webm", 33), (".gif", 26)])
def test_round_trip(
    tmp_path: Path, moving: Render, suffix: str, quality: float, size: tuple[int, int]
) -> None:
    frames = moving(9, *size)
    path = Video.from_numpy(frames, fps=12.5).save(tmp_path / f"a{suffix}")
    back = Video.open(path)
    assert back.size == (9, *size)
    assert back.fps == pytest.approx(12.5, rel=0.01)
    if min(size) > 8:
        assert psnr(back.numpy(), frames) > quality
    assert os.listdir(tmp_path) == [path.name]


def test_npy_is_exact(tmp_path: Path, moving: Render) -> None:
    frames = moving(5)
    path = Video.from_numpy(frames).save(tmp_path / "a.npy")
    assert np.array_equal(np.load(path), frames)
    assert np.array_equal(Video.open(path, start=1, frames=3).numpy(), frames[1:4])


def test_flat_colours_survive(tmp_path: Path) -> None:
    """The colours of the kinetic world must come back as they were, in every format."""
    for colour in ((230, 30, 30), (30, 180, 50), (40, 70, 230), (245, 245, 245), (10, 10, 10)):
        frames = np.broadcast_to(np.uint8(colour), (3, 64, 64, 3))
        for suffix, tolerance in ((".mp4", 4), (".webm", 4), (".gif", 2), (".png", 0)):
            Video.from_numpy(frames).save(tmp_path / f"a{suffix}")
            back = Video.open(tmp_path / f"a{suffix}").numpy()
            assert np.abs(back.astype(int) - colour).max() <= tolerance, (colour, suffix)


def test_mp4_plays_everywhere_when_even(tmp_path: Path, moving: Render) -> None:
    Video.from_numpy(moving(3)).save(tmp_path / "a.mp4")
    context = av.open(str(tmp_path / "a.mp4")).streams.video[0].codec_context
    assert (context.name, context.pix_fmt, context.colorspace) == ("h264", "yuv420p", 1)


@pytest.mark.parametrize(("fps", "frames", "seconds"), [(16, 17, 17 / 16), (60, 30, 0.5), (50, 10, 0.2)])
def test_gif_delays(tmp_path: Path, moving: Render, fps: int, frames: int, seconds: float) -> None:
    """No delay under 0.02 s, which browsers would stretch, and the right length in all."""
    Video.from_numpy(moving(frames), fps=fps).save(tmp_path / "a.gif")
    image, delays = Image.open(tmp_path / "a.gif"), []
    for index in range(image.n_frames):
        image.seek(index)
        delays.append(image.info["duration"])
    assert sum(delays) == pytest.approx(1000 * seconds, abs=10)
    assert min(delays) >= 20
    assert image.info["loop"] == 0


def test_png_strip(tmp_path: Path, moving: Render) -> None:
    frames = moving(10, 16, 20)
    video = Video.from_numpy(frames)
    strip = np.asarray(Image.open(video.save(tmp_path / "all.png")))
    assert np.array_equal(strip, np.concatenate(list(frames), axis=1))
    strip = np.asarray(Image.open(video.save(tmp_path / "some.png", strip=4)))
    assert np.array_equal(strip, np.concatenate([frames[i] for i in (0, 3, 6, 9)], axis=1))
    assert np.array_equal(Video.open(video[2].save(tmp_path / "one.png")).numpy()[0], frames[2])


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mov"])
def test_metadata_is_kept(tmp_path: Path, moving: Render, suffix: str) -> None:
    notes = {"prompt": "a 'red' \u00e9toile; x=1\\", "seed": 3, "weights": "random"}
    Video.from_numpy(moving(2), metadata=notes).save(tmp_path / f"a{suffix}")
    assert Video.open(tmp_path / f"a{suffix}").metadata == notes


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".npy"])
def test_pieces_equal_whole(tmp_path: Path, moving: Render, suffix: str) -> None:
    frames = moving(7)
    with VideoWriter(tmp_path / f"a{suffix}", fps=8) as writer:
        writer.write(frames[:3])
        writer.write(frames[3:])
    Video.from_numpy(frames, fps=8).save(tmp_path / f"b{suffix}")
    one, two = (tmp_path / f"{name}{suffix}" for name in "ab")
    if suffix == ".mp4":  # x264 does not promise the same bytes for the same frames
        assert Video.open(one).fps == Video.open(two).fps
        for path in (one, two):
            back = Video.open(path).numpy()
            assert all(psnr(a, b) > 36 for a, b in zip(back, frames, strict=True))
    else:
        assert one.read_bytes() == two.read_bytes()


def test_unknown_suffix_names_the_known(tmp_path: Path, moving: Render) -> None:
    with pytest.raises(VideoError, match=r"'\.avi'; use one of \.mp4, .*\.gif"):
        Video.from_numpy(moving(2)).save(tmp_path / "a.avi")
    (tmp_path / "d.mp4").mkdir()
    with pytest.raises(VideoError, match="folder"):
        Video.from_numpy(moving(2)).save(tmp_path / "d.mp4")


def test_failures_leave_the_old_file(tmp_path: Path, moving: Render) -> None:
    path = Video.from_numpy(moving(2)).save(tmp_path / "a.mp4")
    old = path.read_bytes()
    with pytest.raises(SizeError, match="follows one of"), VideoWriter(path) as writer:
        list(map(writer.write, [moving(2, 32, 32), moving(2, 32, 48)]))

    def interrupted() -> None:
        with VideoWriter(path) as writer:
            writer.write(moving(2))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(VideoError, match="at least one frame"), VideoWriter(path):
        pass
    with pytest.raises(VideoError, match="uint8"), VideoWriter(path) as writer:
        writer.write(moving(2).astype(np.float32))
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == ["a.mp4"]


FULL_DISK = """
import resource, sys
import numpy as np
from vidgen.errors import VideoError
from vidgen.video import Video
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
noise = np.random.default_rng(0).integers(0, 256, (30, 128, 128, 3), np.uint8)
try:
    Video.from_numpy(noise).save(sys.argv[1])
except VideoError as error:
    print(error)
    sys.exit(3)
"""


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif", ".png", ".npy"])
def test_full_disk_leaves_the_old_file(tmp_path: Path, moving: Render, suffix: str) -> None:
    """A limit on the file size stands in for a full disk: the system refuses to write on."""
    path = Video.from_numpy(moving(2, 16, 16)).save(tmp_path / f"a{suffix}")
    old = path.read_bytes()
    ended = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 3, ended.stderr
    assert "cannot be written (File too large)" in ended.stdout
    assert ended.stdout.count("\n") == 1
    assert path.read_bytes() == old
    assert os.listdir(tmp_path) == [path.name]


KILLED = """
import sys, time
import numpy as np
from vidgen.video import VideoWriter
with VideoWriter(sys.argv[1]) as writer:
    for index in range(100_000):
        writer.write(np.random.default_rng(index).integers(0, 256, (4, 64, 64, 3), np.uint8))
        if index == 20:
            print("writing", flush=True)
"""


@pytest.mark.parametrize("existing", [False, True])
def test_kill_leaves_no_half_file(tmp_path: Path, moving: Render, existing: bool) -> None:
    path = tmp_path / "a.mp4"
    if existing:
        Video.from_numpy(moving(2)).save(path)
    old = path.read_bytes() if existing else None
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=30)
    process.stdout.close()
    assert (path.read_bytes() if path.exists() else None) == old
