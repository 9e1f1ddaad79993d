from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidgen.errors import VideoError
from vidgen_kinetic.config import ATTRIBUTES, BACKGROUNDS, COLOURS, MOTIONS, SHAPES, SIZES, STILL
from vidgen_kinetic.scorer import KineticScorer, Reading
from vidgen_kinetic.world import Scene, caption, render

SCORER = KineticScorer()
NOTHING = Reading()
unit = st.floats(0, 1)
scenes = st.builds(
    Scene,
    size=st.sampled_from(sorted(SIZES)),
    colour=st.sampled_from(sorted(COLOURS)),
    shape=st.sampled_from(SHAPES),
    motion=st.sampled_from(MOTIONS),
    background=st.sampled_from(sorted(BACKGROUNDS)),
    place=st.tuples(unit, unit),
)
grids = st.tuples(st.sampled_from([9, 17, 33]), st.sampled_from([(64, 64), (48, 80), (80, 48)]))


def truth(scene: Scene) -> dict[str, str]:
    return {name: getattr(scene, name) for name in ATTRIBUTES}


def superellipse(power: float) -> np.ndarray:
    """Nine frames of a white figure between circle (2) and square (large powers)."""
    steps = (np.arange(64 * 8) + 0.5) / 8 - 32
    inside = np.abs(steps[:, None] / 12) ** power + np.abs(steps[None] / 12) ** power <= 1
    mask = inside.reshape(64, 8, 64, 8).mean((1, 3))
    return np.repeat((10 + 235 * mask).astype(np.uint8)[None, ..., None], 9, 0).repeat(3, 3)


@settings(max_examples=80, deadline=None)
@given(scene=scenes, grid=grids)
def test_reads_rendered_truth(scene: Scene, grid: tuple[int, tuple[int, int]]) -> None:
    frames, (height, width) = grid
    assert asdict(SCORER.read(render(scene, frames, height, width))) == truth(scene)


@settings(max_examples=30, deadline=None)
@given(scene=scenes, seed=st.integers(0, 2**32 - 1))
def test_reads_noisy_and_tinted_truth(scene: Scene, seed: int) -> None:
    rng = np.random.default_rng(seed)
    video = render(scene, 17, 64, 64) + rng.normal(0, 8, (17, 64, 64, 3)) + rng.choice([-12, 12], 3)
    assert asdict(SCORER.read(np.clip(video, 0, 255).astype(np.uint8))) == truth(scene)


@settings(max_examples=20, deadline=None)
@given(scene=scenes)
def test_images_have_no_motion(scene: Scene) -> None:
    video = render(scene, 1, 48, 80)
    assert asdict(SCORER.read(video)) == {**truth(scene), "motion": "none"}
    assert SCORER.score(video, caption(scene, image=True))["all"]
    assert not SCORER.score(video, caption(scene))["motion"]


@pytest.mark.parametrize("level", [0, 110, 255])
def test_nothing_on_plain_grey(level: int) -> None:
    assert SCORER.read(np.full((9, 64, 64, 3), level, np.uint8)) == NOTHING


def test_nothing_on_noise() -> None:
    rng = np.random.default_rng(0)
    for frames in (1, 9, 17):
        assert SCORER.read(rng.integers(0, 256, (frames, 64, 64, 3), dtype=np.uint8)) == NOTHING


@pytest.mark.parametrize("second", ["red", "cyan"])
def test_nothing_on_two_objects(second: str) -> None:
    left = Scene(size="small", colour="red", shape="circle", motion=STILL, background="grey", place=(0, 0.5))
    right = Scene(
        size="small", colour=second, shape="square", motion=STILL, background="grey", place=(1, 0.5)
    )
    video = render(left, 9, 64, 64)
    video[:, :, 32:] = render(right, 9, 64, 64)[:, :, 32:]
    assert SCORER.read(video) == NOTHING


def test_nothing_when_the_object_is_often_away() -> None:
    scene = Scene(size="large", colour="white", shape="circle", motion=STILL, background="black")
    video = render(scene, 17, 64, 64)
    video[::4] = 10
    assert SCORER.read(video) == NOTHING


@settings(max_examples=30, deadline=None)
@given(scene=scenes.filter(lambda scene: scene.motion != STILL), seed=st.integers(0, 1000))
def test_frozen_and_shuffled_frames_do_not_show_the_motion(scene: Scene, seed: int) -> None:
    video = render(scene, 17, 64, 64)
    frozen = np.repeat(video[seed % 17][None], 17, 0)
    assert SCORER.read(frozen).motion == STILL
    shuffled = video[np.random.default_rng(seed).permutation(17)]
    assert SCORER.read(shuffled).motion == "none"


def test_reversed_time_reads_as_the_opposite() -> None:
    scene = Scene(size="small", colour="green", shape="cross", motion="moving up", background="navy")
    assert SCORER.read(render(scene, 17, 64, 64)[::-1]).motion == "moving down"


def test_half_a_move_is_no_answer() -> None:
    scene = Scene(size="small", colour="green", shape="cross", motion="moving left", background="navy")
    assert SCORER.read(render(scene, 33, 64, 64)[8:24]).motion == "none"


@pytest.mark.parametrize(
    ("power", "shape"),
    [(2, "circle"), (2.3, "circle"), (3.5, "none"), (4, "none"), (8, "square"), (50, "square")],
)
def test_between_square_and_circle_is_no_answer(power: float, shape: str) -> None:
    assert SCORER.read(superellipse(power)).shape == shape


def test_wrong_colours_and_radii_are_no_answer() -> None:
    scene = Scene(size="small", colour="white", shape="circle", motion=STILL, background="black")
    video = render(scene, 9, 64, 64)
    assert SCORER.read(video // 2).colour == "none"
    doubled = np.kron(video, np.ones((1, 2, 2, 1), np.uint8))
    assert SCORER.read(doubled).size == "small"
    assert SCORER.read(doubled[:, 16:112, 16:112]).size == "none"  # radius 0.173: between the words
    assert SCORER.read(doubled[:, 24:104, 24:104]).size == "large"


def test_two_coloured_object_has_no_colour() -> None:
    scene = Scene(size="large", colour="red", shape="square", motion=STILL, background="black")
    video = render(scene, 9, 64, 64)
    other = render(Scene(**{**asdict(scene), "colour": "cyan"}), 9, 64, 64)
    video[:, :, 32:] = other[:, :, 32:]
    assert SCORER.read(video).colour == "none"


def test_score_answers_for_what_was_asked() -> None:
    scene = Scene(size="small", colour="red", shape="circle", motion="growing", background="navy")
    video = render(scene, 9, 64, 64)
    assert SCORER.score(video, "a tiny red disc expanding against navy") == dict.fromkeys(
        (*ATTRIBUTES, "all"), True
    )
    assert SCORER.score(video, "a red square") == {"colour": True, "shape": False, "all": False}


def test_bad_input_is_refused() -> None:
    good = np.zeros((3, 64, 64, 3), np.uint8)
    with pytest.raises(VideoError, match="T, H, W, 3"):
        SCORER.read(good[0])
    with pytest.raises(VideoError, match="uint8"):
        SCORER.read(good.astype(np.float32))
    with pytest.raises(VideoError, match="knows no word"):
        SCORER.score(good, "two cats dancing")
