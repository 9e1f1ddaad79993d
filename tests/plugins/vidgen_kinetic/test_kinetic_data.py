from __future__ import annotations

import numpy as np
import pytest

import vidgen
from vidgen import Size
from vidgen.errors import ConfigError
from vidgen_kinetic.config import COLOURS, HELD_OUT, KineticConfig
from vidgen_kinetic.data import KineticWorld
from vidgen_kinetic.world import scenes_for_test

SIZE = Size(9, 64, 64)


def test_is_found_by_name() -> None:
    assert isinstance(vidgen.create("data_set", "kinetic", samples=5), KineticWorld)
    assert vidgen.create("metric", "kinetic").facts("a red cross") == {"colour": "red", "shape": "cross"}


def test_a_sample_follows_from_seed_index_and_size() -> None:
    one, same, other = (KineticWorld(KineticConfig(seed=seed)).sample(7, SIZE) for seed in (1, 1, 2))
    assert (one.video == same.video).all()
    assert one.caption == same.caption
    assert not (one.video == other.video).all()
    assert one.video.dtype == np.uint8
    assert one.video.shape == (*SIZE, 3)


def test_video_shows_its_caption_in_any_wording() -> None:
    world = KineticWorld()
    scorer = vidgen.create("metric", "kinetic")
    for index in range(20):
        video = world.sample(index, SIZE).video
        captions = {world.caption(index, SIZE, draw) for draw in range(20)}
        assert len(captions) > 5
        assert all(scorer.score(video, text)["all"] for text in captions)


def test_plain_captions_are_the_fixed_sentence() -> None:
    world = KineticWorld(KineticConfig(paraphrase=False))
    assert world.sample(0, SIZE).caption.startswith("a ")
    assert "ing" in world.sample(0, SIZE).caption
    assert "ing" not in world.sample(0, Size(1, 64, 64)).caption


def test_test_split_goes_through_the_held_out_scenes() -> None:
    world = KineticWorld(KineticConfig(split="test", samples=224))
    facts = [(s.size, s.colour, s.shape, s.motion, s.background) for s in scenes_for_test()]
    drawn = [world.scene(index, SIZE) for index in range(len(world))]
    assert [(s.size, s.colour, s.shape, s.motion, s.background) for s in drawn] == facts
    assert len({s.place for s in drawn}) == 224


def test_bounds() -> None:
    with pytest.raises(IndexError):
        KineticWorld(KineticConfig(samples=3)).sample(3, SIZE)
    with pytest.raises(ConfigError, match="samples"):
        KineticConfig(samples=0)


def test_a_crowd_hides_nothing_of_what_its_caption_says() -> None:
    plain, crowd = (KineticWorld(KineticConfig(objects=count)) for count in (1, 4))
    for index in range(10):
        one, many = plain.sample(index, SIZE), crowd.sample(index, SIZE)
        assert one.caption == many.caption
        colour = np.array(COLOURS[plain.scene(index, SIZE).colour], np.uint8)
        inside = (one.video == colour).all(-1)  # the topmost object, drawn last, is whole
        assert inside.any()
        assert (many.video[inside] == colour).all()
        assert (one.video != many.video).any()
    assert (crowd.sample(3, SIZE).video == crowd.sample(3, SIZE).video).all()
    with pytest.raises(ConfigError, match="objects"):
        KineticConfig(objects=0)


def test_only_some_shapes_and_never_a_held_out_triple() -> None:
    world = KineticWorld(KineticConfig(shapes=("cross", "triangle")))
    scenes = [world.scene(index, SIZE) for index in range(300)]
    assert {scene.shape for scene in scenes} == {"cross", "triangle"}
    assert not {(s.colour, s.shape, s.motion) for s in scenes} & HELD_OUT
    for bad in ((), ("star",)):
        with pytest.raises(ConfigError, match="shapes"):
            KineticConfig(shapes=bad)


def test_only_some_motions_and_what_cannot_be_drawn_is_refused() -> None:
    world = KineticWorld(KineticConfig(motions=("circling", "growing"), shapes=("cross",)))
    scenes = [world.scene(index, SIZE) for index in range(300)]
    assert {scene.motion for scene in scenes} == {"circling", "growing"}
    assert {scene.shape for scene in scenes} == {"cross"}
    assert not {(s.colour, s.shape, s.motion) for s in scenes} & HELD_OUT
    with pytest.raises(ConfigError, match="as an image"):
        world.scene(0, Size(1, 64, 64))
    with pytest.raises(ConfigError, match="motions"):
        KineticConfig(motions=("hopping",))
