from __future__ import annotations

import pickle
import shutil
import struct
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from vidgen.errors import SizeError, VideoError
from vidgen.video import Video, VideoReader

Render = Callable[..., np.ndarray]
Encode = Callable[..., None]


def close(a: np.ndarray, b: np.ndarray) -> float:
    """Mean absolute difference of two arrays of the same shape, in 8-bit steps."""
    assert a.shape == b.shape
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def flat(value: tuple[int, int, int], count: int = 1) -> np.ndarray:
    return np.broadcast_to(np.uint8(value), (count, 32, 48, 3)).copy()


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True)])
def test_turns_upright(
    tmp_path: Path, moving: Render, encode: Encode, turn: int, flips: tuple[bool, bool]
) -> None:
    frames = moving(3)
    encode(tmp_path / "a.mp4", frames, turn=(turn, *flips))
    upright = np.rot90(frames, turn // 90, axes=(1, 2))  # counter-clockwise, as FFmpeg counts
    upright = upright[:, :, ::-1] if flips[0] else upright
    upright = upright[:, ::-1] if flips[1] else upright
    assert close(Video.open(tmp_path / "a.mp4").numpy(), upright) < 3


def test_ten_bits_become_eight(tmp_path: Path, moving: Render, encode: Encode) -> None:
    frames = moving(3)
    encode(tmp_path / "a.mp4", frames, pix_fmt="yuv444p10le")
    assert av.open(str(tmp_path / "a.mp4")).streams.video[0].codec_context.pix_fmt == "yuv444p10le"
    assert close(Video.open(tmp_path / "a.mp4").numpy(), frames) < 2


def test_full_range_is_not_stretched(tmp_path: Path, encode: Encode) -> None:
    encode(tmp_path / "a.mp4", flat((30, 30, 30), 2), pix_fmt="yuvj444p")
    assert abs(int(Video.open(tmp_path / "a.mp4").numpy()[0, 16, 24, 0]) - 30) <= 1


@pytest.mark.parametrize(("transfer", "white", "grey"), [(16, 0.581, 0.38), (18, 0.75, 0.38)])
def test_hdr_white_stays_near_white(
    tmp_path: Path, encode: Encode, transfer: int, white: float, grey: float
) -> None:
    """Reference white (203 nits) of PQ and HLG must come out bright, and highlights not clipped."""
    codes = [grey, white, 0.65 if transfer == 16 else 0.85, 0.75 if transfer == 16 else 1.0]
    frames = [np.full((32, 48, 3), round(code * 65535), np.uint16) for code in codes]
    tags = {"color_trc": transfer, "color_primaries": 9, "colorspace": 9, "color_range": 1}
    encode(tmp_path / "a.mp4", frames, pix_fmt="yuv420p10le", source="rgb48le", tags=tags)
    levels = Video.open(tmp_path / "a.mp4").numpy()[:, 16, 24].mean(axis=-1)
    assert 80 < levels[0] < 200
    assert 215 < levels[1] < 245
    assert levels[1] < levels[2] < levels[3] <= 255


def test_untagged_high_definition_is_bt709(tmp_path: Path) -> None:
    red = np.broadcast_to(np.uint8([200, 40, 40]), (720, 1280, 3))
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(red), format="rgb24")
    planes = picture.reformat(format="yuv444p", dst_colorspace="itu709", dst_color_range="MPEG").to_ndarray()
    container = av.open(str(tmp_path / "b.mp4"), "w")
    stream = container.add_stream("libx264", rate=10)
    stream.width, stream.height, stream.pix_fmt, stream.options = 1280, 720, "yuv444p", {"crf": "4"}
    untagged = av.VideoFrame.from_ndarray(planes, format="yuv444p")
    untagged.colorspace = 2
    container.mux(stream.encode(untagged))
    container.mux(stream.encode())
    container.close()
    assert np.abs(Video.open(tmp_path / "b.mp4").numpy()[0, 300, 600].astype(int) - [200, 40, 40]).max() <= 3


def test_variable_rate_is_resampled_by_timestamps(tmp_path: Path, encode: Encode) -> None:
    """Four frames at 0, 0.1, 0.2 and 0.8 s: the third is shown six times as long."""
    frames = np.concatenate([flat((v, v, v)) for v in (20, 90, 160, 230)])
    encode(tmp_path / "a.mp4", frames, times=[0, 1, 2, 8], time_base=Fraction(1, 10))
    levels = Video.open(tmp_path / "a.mp4", fps=10).numpy()[:, 16, 24, 0].astype(int)
    expected = [20, 90, *[160] * 6, 230]
    assert np.abs(levels[:9] - expected).max() <= 3
    native = Video.open(tmp_path / "a.mp4")
    assert native.duration == pytest.approx(len(levels) / 10, rel=0.1)


def test_resampling_keeps_times(tmp_path: Path, encode: Encode) -> None:
    frames = np.concatenate([flat((10 * v, 10 * v, 10 * v)) for v in range(20)])
    encode(tmp_path / "a.mp4", frames)
    half = Video.open(tmp_path / "a.mp4", fps=5)
    assert half.fps == 5
    assert np.abs(half.numpy()[:, 16, 24, 0].astype(int) - np.arange(0, 200, 20)).max() <= 3
    assert Video.open(tmp_path / "a.mp4", fps=20).frames == 40
    assert VideoReader(tmp_path / "a.mp4", fps=20).frames == 40


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif"])
@pytest.mark.parametrize(("start", "count"), [(0, 5), (7, 6), (29, 4), (31, None), (33, 9)])
def test_random_access_equals_whole(
    tmp_path: Path, moving: Render, name: str, start: int, count: int | None
) -> None:
    path = Video.from_numpy(moving(36, 32, 32), fps=12).save(tmp_path / name)
    whole = Video.open(path)
    assert whole.frames == 36
    end = None if count is None else start + count
    part = Video.open(path, start=start, frames=count)
    assert np.array_equal(part.numpy(), whole.numpy()[start:end])
    assert np.array_equal(VideoReader(path).read(start, count), part.numpy())


def test_seeking_with_many_keyframes(tmp_path: Path, moving: Render, encode: Encode) -> None:
    encode(tmp_path / "a.mp4", moving(40), options={"crf": "10", "g": "7", "bf": "2"})
    whole = Video.open(tmp_path / "a.mp4").numpy()
    reader = VideoReader(tmp_path / "a.mp4")
    for start in range(40):
        assert np.array_equal(reader.read(start, 3), whole[start : start + 3]), start


@pytest.mark.parametrize("piece", [1, 3, 100])
def test_streaming_equals_whole(tmp_path: Path, moving: Render, piece: int) -> None:
    path = Video.from_numpy(moving(10), fps=12).save(tmp_path / "a.mp4")
    reader = Video.stream(path, piece=piece, short_side=24)
    pieces = list(reader)
    assert max(len(part) for part in pieces) <= piece
    whole = Video.open(path, short_side=24).numpy()
    assert whole.shape == (10, 24, 32, 3) == (reader.frames, *reader.size, 3)
    assert np.array_equal(np.concatenate(pieces), whole)
    assert np.array_equal(np.concatenate(list(pickle.loads(pickle.dumps(reader)))), whole)


def test_size_covers_and_cuts_the_middle(tmp_path: Path, moving: Render) -> None:
    frames = moving(2, 40, 80)
    path = Video.from_numpy(frames).save(tmp_path / "a.npy")
    assert np.array_equal(Video.open(path, size=(40, 40)).numpy(), frames[:, :, 20:60])
    path = Video.from_numpy(frames).save(tmp_path / "a.mp4")
    assert Video.open(path, size=(17, 23)).size == (2, 17, 23)


def test_unknown_frame_count(tmp_path: Path, moving: Render) -> None:
    path = Video.from_numpy(moving(9), fps=12).save(tmp_path / "a.webm")
    assert av.open(str(path)).streams.video[0].frames == 0
    assert VideoReader(path).frames == Video.open(path).frames == 9


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".tif"])
def test_image_is_one_frame(tmp_path: Path, moving: Render, suffix: str) -> None:
    frame = moving(1)[0]
    Image.fromarray(frame).save(tmp_path / f"a{suffix}", **({"lossless": True} if suffix == ".webp" else {}))
    video = Video.open(tmp_path / f"a{suffix}", fps=8)
    assert np.array_equal(video.numpy()[0], frame)
    assert video.fps == 8


def test_photo_is_turned_by_its_tag(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif)
    assert Video.open(tmp_path / "a.jpg").size == (1, 40, 20)


def music(path: Path) -> None:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(struct.pack("<h", 0) * 4000)


def test_bad_files_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("hello")
    (tmp_path / "notes.txt").write_text("hello\nworld\n" * 50)
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (tmp_path / "a.npy").write_bytes(b"junk")
    (tmp_path / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    music(tmp_path / "sound.wav")
    said = {
        "empty.mp4": "empty",
        "text.mp4": "not a video",
        "notes.txt": "text file|not a video",
        "photo.png": "not a readable image",
        "a.npy": "not a readable NPY",
        "playlist.mp4": "not a video|no video|no frame",
        "sound.wav": "only audio",
        "missing.mp4": "no such file",
        ".": "folder",
    }
    for name, expected in said.items():
        with pytest.raises(VideoError, match=expected) as caught:
            Video.open(tmp_path / name)
        assert "\n" not in str(caught.value), name


def test_wrong_keywords_are_refused(tmp_path: Path, moving: Render) -> None:
    path = Video.from_numpy(moving(4)).save(tmp_path / "a.mp4")
    for keywords in ({"frames": 0}, {"start": -1}, {"fps": 0}, {"size": (0, 4)}, {"short_side": -3}):
        with pytest.raises(SizeError):
            Video.open(path, **keywords)
    with pytest.raises(SizeError, match="not both"):
        Video.open(path, size=(8, 8), short_side=8)
    with pytest.raises(VideoError, match="no frame 9"):
        Video.open(path, start=9)
    with pytest.raises(TypeError):
        Video.open(path, shortside=3)
    with pytest.raises(VideoError, match="'refuse' or 'keep'"):
        Video.open(path, errors="ignore")


@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
def test_cut_file_is_refused_or_kept(tmp_path: Path, encode: Encode, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), np.uint8)
    whole = tmp_path / name
    if name == "a.mp4":
        encode(whole, noise)
    else:
        Video.from_numpy(noise, fps=10).save(whole)
    data = whole.read_bytes()
    (tmp_path / f"cut{name}").write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match="damaged: pass errors='keep'"):
        Video.open(tmp_path / f"cut{name}")
    kept = Video.open(tmp_path / f"cut{name}", errors="keep")
    assert 5 < kept.frames < 40
    assert np.array_equal(kept.numpy()[:5], Video.open(whole, frames=5).numpy())


class TestRealClips:
    def test_counts_rates_and_sizes_are_those_in_the_names(self, clips: Path) -> None:
        seen = 0
        for path in sorted(clips.glob("*_*x*_*fps_*f.*")):
            _, size, rate, count = path.stem.split("_")
            width, height = map(int, size.split("x"))
            reader = Video.stream(path)
            assert (reader.frames, reader.height, reader.width) == (int(count[:-1]), height, width)
            assert reader.fps == pytest.approx(float(rate[:-3]), abs=0.006)
            seen += 1
        assert seen >= 6

    def test_webm_without_a_count(self, clips: Path) -> None:
        video = Video.open(clips / "squirrel_1920x1080_60fps_60f.webm", short_side=64)
        assert (video.frames, video.fps) == (60, 60.0)

    def test_rotated(self, clips: Path) -> None:
        video = Video.open(clips / "rotated_90.mov")
        with av.open(str(clips / "rotated_90.mov")) as container:
            stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
        assert video.size[1:] == (568, 320)
        assert close(video.numpy()[0], np.rot90(stored, -1)) < 1

    def test_seek_in_a_long_clip(self, clips: Path) -> None:
        path = clips / "stream_480x360_29.98fps_90f.mp4"
        whole = Video.open(path, short_side=32).numpy()
        reader = Video.stream(path, short_side=32)
        for start in (1, 44, 71, 89):
            assert np.array_equal(reader.read(start, 4), whole[start : start + 4])

    def test_corrupted(self, clips: Path) -> None:
        path = clips / "bad" / "corrupted.mp4"
        with pytest.raises(VideoError, match="after 28 of 50 frames; the file is damaged"):
            Video.open(path, short_side=16)
        assert Video.open(path, short_side=16, errors="keep").frames == 28
        assert Video.open(path, short_side=16, frames=20).frames == 20  # the damage is not met
        pieces = iter(Video.stream(path, short_side=16, piece=10))
        assert [len(next(pieces)) for _ in range(3)] == [10, 10, 8]
        with pytest.raises(VideoError, match="28 of 50"):
            next(pieces)

    @pytest.mark.parametrize("name", ["empty.mp4", "text.mp4", "truncated.mp4"])
    def test_bad(self, clips: Path, name: str) -> None:
        for errors in ("refuse", "keep"):
            with pytest.raises(VideoError) as caught:
                Video.open(clips / "bad" / name, errors=errors)
            assert name in str(caught.value)
            assert "\n" not in str(caught.value)

    def test_every_truncation_is_noticed(self, clips: Path, tmp_path: Path) -> None:
        source = (clips / "stream_480x360_29.98fps_90f.mp4").read_bytes()
        for share in (0.2, 0.5, 0.8, 0.95):
            (tmp_path / "cut.mp4").write_bytes(source[: int(len(source) * share)])
            with pytest.raises(VideoError):
                Video.open(tmp_path / "cut.mp4", short_side=16)

    def test_odd_names(self, clips: Path, tmp_path: Path) -> None:
        for name in ("a b:c%03d.mov", "-x.mov", "http:a.mov"):
            shutil.copy(clips / "rotated_90.mov", tmp_path / name)
            assert Video.open(tmp_path / name).frames == 3
