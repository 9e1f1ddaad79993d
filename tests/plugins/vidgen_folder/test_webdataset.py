"""WebDataset tar files: what comes out is what went in, whatever the process."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import tarfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidgen.creation import create
from vidgen.errors import ConfigError, VideoError
from vidgen.size import Size
from vidgen.video import Video, VideoReader


@pytest.fixture
def pack(tmp_path):
    """Write a tar file of clips (name -> number of frames and grey level) and other files."""

    def clip(frames: int, level: int, suffix: str) -> bytes:
        path = tmp_path / f"made{suffix}"
        video = np.full((frames, 32, 48, 3), level, np.uint8)
        if frames == 1:
            Image.fromarray(video[0]).save(path)
        else:
            Video(video + 8 * np.arange(frames, dtype=np.uint8)[:, None, None, None], 16).save(path, crf=4)
        return path.read_bytes()

    def pack(name: str, **members: object) -> Path:
        path = tmp_path / name
        with tarfile.open(path, "w") as tar:
            for key, value in members.items():
                inside = key.replace("__", "/").replace("_dot_", ".")
                data = clip(*value, Path(inside).suffix) if isinstance(value, tuple) else str(value).encode()
                info = tarfile.TarInfo(inside)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        return path

    return pack


@pytest.fixture
def shards(pack, tmp_path):
    pack("clips-000.tar", a_dot_mp4=(6, 20), a_dot_txt="a  dark\nclip", b_dot_json=json.dumps({"caption": "bright"}),
         b_dot_webm=(6, 150), note_dot_txt="nobody's")  # fmt: skip
    pack("clips-001.tar", deep__a_dot_mp4=(6, 90), deep__a_dot_txt="in a folder", c_dot_png=(1, 240))
    return tmp_path


def tars(path, **settings):
    return create("data_set", "webdataset", path=str(path), **settings)


@pytest.mark.parametrize("pattern", ["", "*.tar", "clips-{000..001}.tar"])
def test_samples_and_captions_come_in_turn_from_all_shards(shards, pattern):
    data = tars(shards / pattern)
    clips = [data.sample(i, Size(4, 16, 24)) for i in range(3)]
    assert [clip.caption for clip in clips] == ["a dark clip", "bright", "in a folder"]
    for clip, level in zip(clips, (20, 150, 90), strict=True):
        assert clip.video.shape == (4, 16, 24, 3)
        seen = clip.video.mean((1, 2, 3))
        assert abs((seen[0] - level) / 8 - round((seen[0] - level) / 8)) < 0.4
        assert np.diff(seen) == pytest.approx([8, 8, 8], abs=1.5)
    images = [data.sample(i, Size(1, 16, 24)) for i in range(4)]
    assert images[3].video.mean() == pytest.approx(240, abs=2)
    assert [data.caption(i, Size(1, 16, 24), 7) for i in range(4)] == [image.caption for image in images]


def test_a_sample_follows_from_its_index_in_every_process(shards):
    first = tars(shards, augment=True)
    second = pickle.loads(pickle.dumps(tars(shards, augment=True)))
    for index in (7, 3, 50_000, 7):
        left, right = first.sample(index, Size(3, 16, 16)), second.sample(index, Size(3, 16, 16))
        assert np.array_equal(left.video, right.video)
        assert left.caption == right.caption == first.caption(index, Size(3, 16, 16), 0)
    assert not np.array_equal(first.sample(0, Size(3, 16, 16)).video, first.sample(3, Size(3, 16, 16)).video)
    with pytest.raises(IndexError):
        first.sample(100_000, Size(3, 16, 16))


def test_short_clips_are_skipped_or_looped(pack, tmp_path):
    path = pack("s.tar", short_dot_mp4=(2, 20), long_dot_mp4=(9, 90))
    size = Size(5, 16, 24)
    assert all(tars(path).sample(i, size).video.mean() > 80 for i in range(6))
    assert tars(path, short="loop").sample(0, size).video.mean() < 40
    with pytest.raises(VideoError, match="no clip of 12 frames"):
        tars(path).sample(0, Size(12, 16, 24))


def test_a_damaged_clip_is_left_out_with_a_warning(pack):
    path = pack("d.tar", bad_dot_mp4="no video", good_dot_mp4=(5, 90))
    data = tars(path)
    with pytest.warns(UserWarning, match=r"d\.tar: bad\.mp4"):
        assert data.sample(0, Size(3, 16, 24)).video.mean() > 80
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data.sample(0, Size(3, 16, 24))


def test_what_cannot_be_used_says_why(pack, tmp_path):
    with pytest.raises(ConfigError, match="path is empty"):
        create("data_set", "webdataset")
    with pytest.raises(ConfigError, match="names no tar file"):
        tars(tmp_path / "no*.tar")
    whole = pack("w-0.tar", a_dot_mp4=(6, 20))
    with pytest.raises(ConfigError, match=r"w-1\.tar does not exist"):
        tars(tmp_path / "w-{0..1}.tar")
    compressed = tmp_path / "z.tar"
    compressed.write_bytes(gzip.compress(whole.read_bytes()))
    with pytest.raises(VideoError, match="gunzip"):
        tars(compressed)
    cut = tmp_path / "cut.tar"
    cut.write_bytes(whole.read_bytes()[:900])
    with pytest.raises(VideoError, match=r"fresh copy|fetched again"):
        tars(cut)
    with pytest.raises(VideoError, match="no video or image"):
        tars(pack("t.tar", a_dot_txt="alone"))
    with pytest.raises(VideoError, match="caption of a"):
        tars(pack("j.tar", a_dot_mp4=(6, 20), a_dot_json="[1]")).sample(0, Size(2, 16, 16))


def test_images_stand_still_where_they_may(pack):
    path = pack("i.tar", a_dot_png=(1, 200))
    assert tars(path, stills=True).sample(0, Size(3, 16, 16)).video.mean() == pytest.approx(200, abs=2)
    with pytest.raises(VideoError, match="stills=true"):
        tars(path).sample(0, Size(3, 16, 16))


def test_a_caption_is_that_of_the_clip_that_decodes(pack, monkeypatch):
    path = pack("c.tar", bad_dot_mp4=(6, 20), bad_dot_txt="bad", list_dot_mp4=(6, 90), list_dot_json="[1, 2]",
                good_dot_mp4=(6, 150), good_dot_txt="good")  # fmt: skip
    data, read = tars(path), VideoReader.read

    def fails_in_the_dark(reader, start, count):
        frames = read(reader, start, count)
        if frames.mean() < 80:
            raise VideoError("it does not decode")
        return frames

    monkeypatch.setattr(VideoReader, "read", fails_in_the_dark)
    for index in range(3):
        sample = data.sample(index, Size(3, 16, 16))
        assert sample.video.mean() > 140
        assert sample.caption == data.caption(index, Size(3, 16, 16), index) == "good"
    assert not data.rewords
