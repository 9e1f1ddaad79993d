from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidgen_kinetic.config import (
    BACKGROUNDS,
    COLOURS,
    HELD_OUT,
    MOTIONS,
    SHAPES,
    SIZES,
    STILL,
    SYNONYMS,
    held_out,
)
from vidgen_kinetic.scorer import KineticScorer
from vidgen_kinetic.world import (
    Scene,
    caption,
    coverage,
    draw_scene,
    paraphrase,
    path,
    render,
    scenes_for_test,
)

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
grids = st.tuples(st.sampled_from([1, 9, 17, 33]), st.sampled_from([(64, 64), (48, 80), (80, 48)]))
AREA = {"circle": np.pi, "square": 4, "triangle": 2, "cross": 20 / 9}


def weights(scene: Scene, video: np.ndarray) -> np.ndarray:
    """How much of each pixel the object covers, from its colours alone: [T, H, W]."""
    ground, colour = (np.array(rgb, float) for rgb in (BACKGROUNDS[scene.background], COLOURS[scene.colour]))
    return (video - ground) @ (colour - ground) / np.square(colour - ground).sum()


def test_exactly_28_triples_are_held_out() -> None:
    full = {"still": "standing still"} | {way: f"moving {way}" for way in ("left", "right", "up", "down")}
    by_hand = {
        (colour, shape, full.get(motion, motion))
        for (c, colour), (s, shape), (m, motion) in product(
            enumerate(["red", "green", "blue", "yellow", "purple", "orange", "cyan", "white"]),
            enumerate(["circle", "square", "triangle", "cross"]),
            enumerate(["left", "right", "up", "down", "still", "growing", "shrinking", "circling"]),
        )
        if (3 * c + 5 * s + 7 * m) % 10 == 0
    }
    assert by_hand == HELD_OUT
    assert len(by_hand) == 28


def test_training_draws_every_triple_but_the_held_out_ones() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter((s.colour, s.shape, s.motion) for s in (draw_scene(rng) for _ in range(8000)))
    assert len(drawn) == 256 - 28
    assert not set(drawn) & HELD_OUT


def test_training_images_never_show_a_held_out_triple_at_rest() -> None:
    rng = np.random.default_rng(0)
    for scene in (draw_scene(rng, image=True) for _ in range(1000)):
        assert not held_out(scene.colour, scene.shape, STILL)


def test_there_are_224_test_scenes() -> None:
    scenes = scenes_for_test()
    assert len(set(scenes)) == len(scenes) == 224
    assert {(s.colour, s.shape, s.motion) for s in scenes} == HELD_OUT


@settings(max_examples=60, deadline=None)
@given(scene=scenes, grid=grids)
def test_object_is_whole_in_every_frame(scene: Scene, grid: tuple[int, tuple[int, int]]) -> None:
    frames, (height, width) = grid
    video = render(scene, frames, height, width)
    assert video.shape == (frames, height, width, 3)
    radius = SIZES[scene.size] * min(height, width) * path(scene.motion, frames)[2]
    # A shape cut by the frame's edge, by its box or by a wrong radius would miss area.
    assert weights(scene, video).sum((1, 2)) == pytest.approx(AREA[scene.shape] * radius**2, rel=0.05)


@pytest.mark.parametrize("shape", SHAPES)
def test_edges_agree_with_supersampling(shape: str) -> None:
    fine = 16
    steps = (np.arange(32 * fine) + 0.5) / fine
    x, y = np.meshgrid(steps - 15.3, steps - 16.6)
    inside = {
        "circle": x**2 + y**2 <= 100,
        "square": np.maximum(abs(x), abs(y)) <= 10,
        "triangle": (abs(x) <= (y + 10) / 2) & (y <= 10),
        "cross": (np.minimum(abs(x), abs(y)) <= 10 / 3) & (np.maximum(abs(x), abs(y)) <= 10),
    }[shape]
    reference = inside.reshape(32, fine, 32, fine).mean((1, 3))
    pixels = (np.arange(32) + 0.5).astype(np.float32)
    drawn = coverage(
        shape, pixels[None] - np.float32(15.3), pixels[:, None] - np.float32(16.6), np.float32(10)
    )
    error = np.abs(drawn - reference)
    assert error.mean() < 0.002
    assert error.max() < 0.1


@pytest.mark.parametrize(
    ("motion", "way"),
    [
        ("moving left", (-0.4, 0)),
        ("moving right", (0.4, 0)),
        ("moving up", (0, -0.4)),
        ("moving down", (0, 0.4)),
    ],
)
@pytest.mark.parametrize("frames", [9, 33])
def test_moves_cross_as_much_whatever_the_length(motion: str, way: tuple[float, float], frames: int) -> None:
    scene = Scene(
        size="small", colour="white", shape="circle", motion=motion, background="black", place=(0.2, 0.9)
    )
    mass = weights(scene, render(scene, frames, 48, 80))[[0, -1]]
    rows, columns = np.mgrid[:48, :80]
    place = [(float((m * columns).sum() / m.sum()), float((m * rows).sum() / m.sum())) for m in mass]
    moved = np.subtract(place[1], place[0]) / 48
    assert moved == pytest.approx(np.array(way), abs=0.01)


def test_circling_is_one_turn_and_growing_mirrors_shrinking() -> None:
    dx, dy, scale = path("circling", 17)
    assert np.hypot(dx, dy) == pytest.approx(np.full(17, 0.16))
    assert np.unwrap(np.arctan2(dy, dx))[-1] - np.arctan2(dy, dx)[0] == pytest.approx(2 * np.pi, abs=1e-4)
    assert (scale == 1).all()
    growing, shrinking = path("growing", 9)[2], path("shrinking", 9)[2]
    assert growing[[0, 4, -1]] == pytest.approx([0.6, 1.0, 1.4])
    assert shrinking == pytest.approx(growing[::-1])


def test_caption_is_the_one_fixed_sentence() -> None:
    scene = Scene(size="large", colour="red", shape="circle", motion="moving left", background="black")
    assert caption(scene) == "a large red circle moving left on a black background"
    assert caption(scene, image=True) == "a large red circle on a black background"


@settings(max_examples=200, deadline=None)
@given(scene=scenes, seed=st.integers(0, 10**6), image=st.booleans())
def test_paraphrases_keep_every_fact(scene: Scene, seed: int, image: bool) -> None:
    text = paraphrase(scene, np.random.default_rng(seed), image=image)
    facts = {name: getattr(scene, name) for name in ("size", "colour", "shape", "motion", "background")}
    if image:
        del facts["motion"]
    assert KineticScorer().facts(text) == facts


def test_no_synonym_means_two_things() -> None:
    uses = Counter(synonym for synonyms in SYNONYMS.values() for synonym in synonyms)
    assert set(uses.values()) == {1}
