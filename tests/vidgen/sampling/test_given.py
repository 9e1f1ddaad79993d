"""What is given: where frames are put, how they fold to latents, and what fills the rest."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given as prop
from hypothesis import strategies as st
from PIL import Image

from vidgen.contract import LatentSpec
from vidgen.errors import ConfigError, SizeError
from vidgen.sampling.given import Given, as_video
from vidgen.size import Size
from vidgen.video import Video

SIZE = Size(9, 16, 24)


def spec(rule="causal", time=4, space=8):
    return LatentSpec(space="", channels=4, time_stride=time, space_stride=space, frame_rule=rule)


def clip(frames, level=200):
    return Video(np.full((frames, 16, 24, 3), level, np.uint8))


@pytest.mark.parametrize("picture", ["video", "array", "pil", "path"])
def test_pictures_of_all_kinds_cover_the_size(tmp_path, picture):
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, 20:] = 255
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    sources = {"video": Video(pixels[None]), "array": pixels, "pil": Image.fromarray(pixels), "path": path}
    found = as_video(sources[picture], SIZE)
    assert found.size == (1, 16, 24)
    assert found.numpy()[0, 8, 0, 0] < 10
    assert found.numpy()[0, 8, -1, 0] > 245


def test_what_is_no_picture_is_refused():
    with pytest.raises(ConfigError, match="not int"):
        as_video(7, SIZE)


def test_frames_are_put_where_they_belong():
    given = Given.frames({0: clip(2, 10), -3: clip(3, 250)}, SIZE)
    assert given.mask[0, :, 0, 0].tolist() == [True, True, *[False] * 4, True, True, True]
    assert given.video[0, 0, 0, 0] < -0.9
    assert given.video[0, -1, 0, 0] > 0.9


@pytest.mark.parametrize("parts", [{8: 2}, {-1: 2}, {9: 1}, {-10: 1}])
def test_frames_beyond_the_video_are_refused(parts):
    with pytest.raises(SizeError, match="do not fit a video of 9 frames"):
        Given.frames({at: clip(count) for at, count in parts.items()}, SIZE)


def test_masks_of_other_shapes_are_refused():
    with pytest.raises(ConfigError, match="boolean mask"):
        Given(torch.zeros(3, *SIZE), torch.zeros(1, *SIZE))


def test_pictures_of_all_kinds_are_the_same_picture(tmp_path):
    red = np.zeros((16, 24, 4), np.uint8)
    red[..., 0], red[:, :12, 3] = 255, 255
    Image.fromarray(red).save(tmp_path / "red.png")
    over_black = np.where(red[..., 3:] > 0, red[..., :3], 0)
    for picture in (tmp_path / "red.png", Image.fromarray(red), red, over_black):
        assert np.array_equal(as_video(picture, SIZE).numpy()[0], over_black)
    light = as_video(red[..., 3] > 0, SIZE).numpy()
    assert np.array_equal(light, as_video(red[..., 3], SIZE).numpy())
    assert light.shape == (1, 16, 24, 3)
    assert as_video(np.stack([over_black] * 3), SIZE).size == (3, 16, 24)


@pytest.mark.parametrize(
    ("rule", "frames", "share"),
    [
        ("causal", {0: 1}, [1, 0, 0]),
        ("causal", {0: 5}, [1, 1, 0]),
        ("causal", {0: 3}, [1, 0.5, 0]),
        ("causal", {-4: 4}, [0, 0, 1]),
        ("multiple", {0: 4}, [1, 0]),
    ],
)
def test_masks_fold_to_latents(rule, frames, share):
    size = SIZE if rule == "causal" else Size(8, 16, 24)
    given = Given.frames({at: clip(count) for at, count in frames.items()}, size)
    folded = given.fold(spec(rule))
    assert folded.shape == (4, len(share), 2, 3)
    assert folded.mean(dim=0)[:, 0, 0].tolist() == share


def test_a_region_folds_to_the_latents_under_it():
    mask = torch.zeros(1, *SIZE, dtype=torch.bool)
    mask[:, :, :8, :12] = True
    folded = Given(torch.zeros(3, *SIZE), mask).fold(spec())
    assert folded[0, 0].tolist() == [[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]]
    assert bool((folded == folded[:1]).all())


def test_the_rest_stands_still_from_the_nearest_given_frame():
    given = Given.frames({0: clip(1, 0), -1: clip(1, 255)}, SIZE)
    levels = given.filled()[0, :, 3, 3]
    assert levels.tolist() == [-1.0] * 5 + [1.0] * 4
    known = given.filled(torch.full((3, *SIZE), 0.25))
    assert known[0, :, 0, 0].tolist() == [-1.0, *[0.25] * 7, 1.0]


def test_what_is_never_given_takes_the_mean_colour():
    mask = torch.zeros(1, *SIZE, dtype=torch.bool)
    mask[..., :12] = True
    filled = Given(torch.full((3, *SIZE), 0.5), mask).filled()
    assert torch.equal(filled, torch.full((3, *SIZE), 0.5))


@prop(st.lists(st.booleans(), min_size=1, max_size=12))
def test_filling_takes_a_nearest_frame(pattern):
    count = len(pattern)
    video = torch.arange(count, dtype=torch.float32)[None, :, None, None].expand(3, -1, 2, 2).clone()
    mask = torch.tensor(pattern)[None, :, None, None].expand(1, -1, 2, 2).clone()
    filled = Given(video, mask).filled()[0, :, 0, 0]
    places = [i for i, one in enumerate(pattern) if one]
    for i, value in enumerate(filled.tolist()):
        if places:
            assert abs(value - i) == min(abs(i - place) for place in places)
        else:
            assert value == 0


@pytest.mark.parametrize(
    ("frames", "waits"),
    [({0: 5}, False), ({0: 9}, False), ({-4: 4}, True), ({0: 1, 8: 1}, True), ({0: 1}, False)],
)
def test_later_frames_wait_for_what_is_before_them(frames, waits):
    assert Given.frames({at: clip(count) for at, count in frames.items()}, SIZE).waits(spec()) == waits
