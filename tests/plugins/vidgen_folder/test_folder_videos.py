from __future__ import annotations

import gc
import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vidgen.creation import create
from vidgen.errors import ConfigError, VideoError
from vidgen.size import Size
from vidgen.video import Video
from vidgen_folder.config import FolderConfig
from vidgen_folder.data import FolderVideos

MakeClip = Callable[..., Path]


def frame_values(count: int) -> np.ndarray:
    """Give the grey level of each frame: 12 apart, so that a compressed frame still names itself."""
    return 10 + 12 * np.arange(count)


@pytest.fixture
def make_clip(tmp_path: Path) -> MakeClip:
    def make(name: str, frames: int = 12, height: int = 32, width: int = 48, left: int | None = None) -> Path:
        video = np.empty((frames, height, width, 3), np.uint8)
        video[:] = frame_values(frames)[:, None, None, None]
        if left is not None:  # the left half in one level, the right half as it was
            video[:, :, : width // 2] = left
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Video(video, 16).save(path, crf=4)
        return path

    return make


def numbers(video: np.ndarray) -> list[int]:
    """Read the numbers of the frames off their levels."""
    return np.rint((video.mean((1, 2, 3)) - 10) / 12).astype(int).tolist()


def folder(path: Path, **settings: object) -> FolderVideos:
    return FolderVideos(FolderConfig(path=str(path), **settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("decode", ["lazy", "memory"])
def test_plain_samples_are_runs_of_frames_from_each_file_in_turn(
    tmp_path: Path, make_clip: MakeClip, decode: str
) -> None:
    make_clip("b.mp4")
    make_clip("deep/a.mp4", frames=9)
    data = folder(tmp_path, decode=decode)
    starts = set()
    for index in range(12):
        sample = data.sample(index, Size(5, 16, 24))
        assert sample.video.shape == (5, 16, 24, 3)
        assert sample.video.dtype == np.uint8
        seen = numbers(sample.video)
        assert seen == list(range(seen[0], seen[0] + 5))
        starts.add((index % 2, seen[0]))
    assert [path.name for path in data.files] == ["b.mp4", "a.mp4"]
    assert len({start for file, start in starts if file == 0}) > 2
    assert max(start for file, start in starts if file == 1) <= 4


def test_both_ways_of_decoding_agree(tmp_path: Path, make_clip: MakeClip) -> None:
    make_clip("a.mp4", left=250)
    size = Size(4, 32, 48)
    for index in range(4):
        lazy, memory = (
            folder(tmp_path, decode=d, augment=True).sample(index, size) for d in ("lazy", "memory")
        )
        np.testing.assert_array_equal(lazy.video, memory.video)


def test_memory_keeps_frames_at_the_short_side(tmp_path: Path, make_clip: MakeClip) -> None:
    make_clip("a.mp4", height=32, width=64)
    make_clip("small.mp4", height=8, width=12)
    kept = folder(tmp_path, decode="memory", short_side=16)._decoded
    assert [kept[i].shape[1:3] for i in range(2)] == [(16, 32), (8, 12)]


def test_samples_follow_from_index_and_seed_alone(tmp_path: Path, make_clip: MakeClip) -> None:
    make_clip("a.mp4", left=250)
    make_clip("b.mp4", left=0)
    size = Size(4, 16, 16)
    first, again = folder(tmp_path, augment=True), folder(tmp_path, augment=True)
    drawn = [first.sample(index, size).video for index in range(8)]
    backwards = [again.sample(index, size).video for index in reversed(range(8))][::-1]
    np.testing.assert_array_equal(drawn, backwards)
    assert len({video.tobytes() for video in drawn}) > 4
    other = folder(tmp_path, augment=True, seed=1)
    assert any((other.sample(index, size).video != drawn[index]).any() for index in range(8))


def test_a_pickled_copy_gives_the_same_without_carrying_frames(tmp_path: Path, make_clip: MakeClip) -> None:
    make_clip("a.mp4", frames=20, height=64, width=64)
    data = folder(tmp_path, decode="memory", augment=True)
    packed = pickle.dumps(data)
    assert len(packed) < data._decoded[0].nbytes / 10
    copy = pickle.loads(packed)
    np.testing.assert_array_equal(
        copy.sample(3, Size(5, 16, 16)).video, data.sample(3, Size(5, 16, 16)).video
    )


def test_loader_processes_give_the_same_samples(tmp_path: Path, make_clip: MakeClip) -> None:
    from torch.utils.data import DataLoader, Dataset

    class Samples(Dataset[np.ndarray]):
        def __init__(self, data: FolderVideos) -> None:
            self.data = data

        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> np.ndarray:
            return self.data.sample(index, Size(5, 16, 16)).video

    make_clip("a.mp4")
    data = folder(tmp_path, augment=True)
    gc.collect()  # as vidgen.train does: a forked process must not free frames that had threads here
    for index, batch in enumerate(DataLoader(Samples(data), batch_size=1, num_workers=2)):
        np.testing.assert_array_equal(batch[0].numpy(), data.sample(index, Size(5, 16, 16)).video)


def test_augmented_samples_stride_and_reverse(tmp_path: Path, make_clip: MakeClip) -> None:
    make_clip("a.mp4", frames=16)
    data = folder(tmp_path, augment=True, max_stride=3, jitter=False)
    steps = set()
    for index in range(40):
        seen = np.diff(numbers(data.sample(index, Size(5, 16, 16)).video))
        assert len(set(seen)) == 1
        steps.add(int(seen[0]))
    assert steps == {-3, -2, -1, 1, 2, 3}


def test_strides_shrink_to_what_a_clip_holds(tmp_path: Path, make_clip: MakeClip) -> None:
    make_clip("a.mp4", frames=10)
    data = folder(tmp_path, augment=True, max_stride=9, jitter=False, reverse=False)
    for index in range(20):
        seen = numbers(data.sample(index, Size(5, 16, 16)).video)
        assert set(np.diff(seen)) <= {1, 2}
        assert max(seen) <= 9


def test_crops_move_flip_and_scale(tmp_path: Path, make_clip: MakeClip) -> None:
    make_clip("a.mp4", frames=2, left=250)  # white on the left, nearly black on the right
    data = folder(tmp_path, augment=True, jitter=False, scales=(0.3, 0.6))
    bright = [data.sample(i, Size(1, 8, 8)).video[0, :, :, 0] > 130 for i in range(60)]
    assert {bool(b.all()) for b in bright} == {True, False}  # a crop on the left, and others
    edges = [b for b in bright if b.any() and not b.all()]
    assert {bool(edge[0, 0]) for edge in edges} == {True, False}  # flipped and not
    still = folder(tmp_path, augment=True, jitter=False, flip=False, scales=(0.3, 0.6))
    plain = [still.sample(i, Size(1, 8, 8)).video[0, :, :, 0] > 130 for i in range(60)]
    assert all(b[0, 0] for b in plain if b.any() and not b.all())


def test_jitter_changes_colours_and_can_be_left(tmp_path: Path) -> None:
    video = np.full((4, 16, 16, 3), (200, 100, 50), np.uint8)
    Image.fromarray(video[0]).save(tmp_path / "a.png")
    means = np.array(
        [folder(tmp_path, augment=True).sample(i, Size(1, 8, 8)).video.mean((0, 1, 2)) for i in range(40)]
    )
    assert len(np.unique(means, axis=0)) > 20
    assert {tuple(np.argsort(mean)) for mean in means} != {(2, 1, 0)}
    calm = folder(tmp_path, augment=True, jitter=False).sample(0, Size(1, 8, 8)).video
    assert (calm == (200, 100, 50)).all()


def test_crops_are_never_smaller_than_the_wanted_size(tmp_path: Path) -> None:
    stripes = np.zeros((32, 32, 3), np.uint8)
    stripes[:, ::2] = 255  # any resizing would blur these
    Image.fromarray(stripes).save(tmp_path / "a.png")
    data = folder(tmp_path, augment=True, jitter=False, scales=(0.1, 0.2))
    for index in range(10):
        assert set(np.unique(data.sample(index, Size(1, 16, 16)).video)) == {0, 255}


def test_shrinking_is_antialiased(tmp_path: Path) -> None:
    lines = np.zeros((64, 64, 3), np.uint8)
    lines[:, ::4] = 200  # which no sampling of two neighbours in the middle of four would meet
    Image.fromarray(lines).save(tmp_path / "a.png")
    video = folder(tmp_path).sample(0, Size(1, 16, 16)).video
    assert np.abs(video[0, 2:-2, 2:-2].astype(int) - 50).max() <= 1


def test_short_clips_are_skipped_or_played_forth_and_back(tmp_path: Path, make_clip: MakeClip) -> None:
    make_clip("long.mp4", frames=9)
    make_clip("short.mp4", frames=3)
    data = folder(tmp_path)
    with pytest.warns(UserWarning, match=r"short\.mp4 \(3\)"):
        videos = [data.sample(i, Size(7, 16, 16)).video for i in range(4)]
    assert all(numbers(video)[-1] >= 6 for video in videos)
    with pytest.raises(VideoError, match=r"no clip has 20 frames \(the longest of 2: 9\)"):
        data.sample(0, Size(20, 16, 16))
    looped = folder(tmp_path, short="loop", include=("short*",)).sample(0, Size(7, 16, 16)).video
    assert numbers(looped) == [0, 1, 2, 1, 0, 1, 2]


def test_images_serve_single_frames_only_unless_stills_are_wanted(
    tmp_path: Path, make_clip: MakeClip
) -> None:
    Image.fromarray(np.full((20, 20, 3), 7, np.uint8)).save(tmp_path / "b.png")
    make_clip("a.mp4")
    data = folder(tmp_path)
    assert (data.sample(1, Size(1, 16, 16)).video == 7).all()
    assert not any((data.sample(i, Size(3, 16, 16)).video == 7).all() for i in range(4))
    assert (folder(tmp_path, stills=True).sample(1, Size(3, 16, 16)).video == 7).all()


def test_files_can_be_drawn_by_duration(tmp_path: Path, make_clip: MakeClip) -> None:
    make_clip("long.mp4", frames=18)
    make_clip("short.mp4", frames=2, left=250)
    share = {}
    for weight in ("equal", "duration"):
        data = folder(tmp_path, weight=weight, decode="memory", augment=True, jitter=False, scales=(1.0, 1.0))
        files = [data._draw(i, Size(1, 8, 8), 0)[0] for i in range(1000)]
        share[weight] = files.count(0) / 1000
    assert share["equal"] == pytest.approx(0.5, abs=0.06)
    assert share["duration"] == pytest.approx(0.9, abs=0.04)


def test_frame_rates_can_be_brought_to_one(tmp_path: Path, make_clip: MakeClip) -> None:
    make_clip("a.mp4", frames=16)
    assert numbers(folder(tmp_path, fps=8).sample(0, Size(8, 16, 16)).video) == list(range(0, 16, 2))


def test_patterns_choose_files(tmp_path: Path, make_clip: MakeClip) -> None:
    for name in ("a.mp4", "b.mp4", "bad/c.mp4", ".hidden.mp4"):
        make_clip(name, frames=2)
    assert [p.name for p in folder(tmp_path).files] == ["a.mp4", "b.mp4", "c.mp4"]
    assert [p.name for p in folder(tmp_path, exclude=("bad/*", "b.*")).files] == ["a.mp4"]
    assert [p.name for p in folder(tmp_path, include=("b.mp4",)).files] == ["b.mp4"]
    with pytest.raises(VideoError, match="leave none of its 3 files"):
        folder(tmp_path, include=("*.webm",))


def test_captions_come_from_text_files_before_tables(tmp_path: Path, make_clip: MakeClip) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        make_clip(name, frames=2)
    (tmp_path / "a.txt").write_text("one  red\nball\n")
    (tmp_path / "captions.csv").write_text('file,caption\na.mp4,"not this"\nb.mp4,"a dog, asleep"\n')
    data = folder(tmp_path)
    captions = ["one red ball", "a dog, asleep", ""]
    assert [data.sample(i, Size(1, 8, 8)).caption for i in range(3)] == captions
    (tmp_path / "other.jsonl").write_text(json.dumps({"file": "c.mp4", "caption": "a cat"}) + "\n\n")
    for decode in ("lazy", "memory"):
        data = folder(tmp_path, captions="other.jsonl", decode=decode)
        assert [data.caption(i, Size(1, 8, 8), 5) for i in range(3)] == ["", "", "a cat"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.jsonl", '{"file": "a.mp3", "caption": ""}', r"line 1: there is no file 'a.mp3' .*'a.mp4'"),
        ("c.jsonl", '\n{"file": "a.mp4"}', "line 2: 'file' and 'caption'"),
        ("c.jsonl", "a.mp4: a dog", "line 1: not JSON"),
        ("c.jsonl", "[1]", "line 1: must read"),
        ("c.csv", "a.mp4,a dog", "the first line must name the columns"),
        ("c.csv", "file,caption\na.mp4", "line 2: 'file' and 'caption'"),
        ("c.toml", "", "from a .jsonl or .csv file"),
    ],
)
def test_bad_caption_tables_are_refused(
    tmp_path: Path, make_clip: MakeClip, name: str, text: str, message: str
) -> None:
    make_clip("a.mp4", frames=2)
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        folder(tmp_path, captions=name)
    assert "\n" not in str(caught.value)


def test_folders_that_cannot_be_used_are_refused_in_one_line(tmp_path: Path, make_clip: MakeClip) -> None:
    with pytest.raises(ConfigError, match="path is empty"):
        FolderVideos()
    with pytest.raises(ConfigError, match="does not exist"):
        folder(tmp_path / "none")
    with pytest.raises(VideoError, match="holds no video or image"):
        folder(tmp_path)
    clip = make_clip("a.mp4", frames=2)
    with pytest.raises(ConfigError, match="is a file"):
        folder(clip)
    with pytest.raises(ConfigError, match="there is no file"):
        folder(tmp_path, captions="none.csv")


@pytest.mark.parametrize("decode", ["lazy", "memory"])
def test_unreadable_files_are_skipped_with_one_warning(
    tmp_path: Path, make_clip: MakeClip, decode: str
) -> None:
    (tmp_path / "bad.mp4").write_text("no video")
    (tmp_path / "bad.png").write_bytes(b"")
    with pytest.raises(VideoError, match=r"none of its files can be used.*bad\.mp4.*bad\.png"):
        folder(tmp_path, decode=decode)
    make_clip("good.mp4")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = folder(tmp_path, decode=decode)
    assert len(caught) == 1
    assert "skipped 2 of 3 files" in str(caught[0].message)
    assert [path.name for path in data.files] == ["good.mp4"]


def test_damage_inside_a_file_does_not_change_other_samples(tmp_path: Path, make_clip: MakeClip) -> None:
    make_clip("a.mp4")
    damaged = make_clip("b.mp4", frames=20)
    data, fresh = folder(tmp_path, augment=True), folder(tmp_path, augment=True)
    size = Size(3, 16, 16)
    before = {i: data.sample(i, size).video for i in range(10) if data._draw(i, size, 0)[0] == 0}
    damaged.write_bytes(b"lost")
    with pytest.warns(UserWarning, match=r"b\.mp4") as caught:
        after = [data.sample(i, size).video for i in range(10)]
    assert len(caught) == 1
    assert all((after[i] == video).all() for i, video in before.items())
    with pytest.warns(UserWarning, match=r"b\.mp4"):
        assert [fresh.sample(i, size).video.tobytes() for i in reversed(range(10))][::-1] == [
            video.tobytes() for video in after
        ]


def test_indices_have_a_range(tmp_path: Path, make_clip: MakeClip) -> None:
    make_clip("a.mp4", frames=2)
    data = folder(tmp_path, samples=5)
    assert len(data) == 5
    for index in (-1, 5):
        with pytest.raises(IndexError):
            data.sample(index, Size(1, 8, 8))


@pytest.mark.parametrize(
    "wrong",
    [
        {"scales": (0.5, 0.2)},
        {"scales": (0.0, 1.0)},
        {"samples": 0},
        {"max_stride": 0},
        {"fps": 0.0},
        {"seed": -1},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        FolderConfig(**wrong)  # type: ignore[arg-type]


def test_the_registry_knows_it(tmp_path: Path, make_clip: MakeClip) -> None:
    make_clip("a.mp4", frames=2)
    data = create("data_set", "folder", path=str(tmp_path), samples=3)
    assert isinstance(data, FolderVideos)
    assert len(data) == 3
