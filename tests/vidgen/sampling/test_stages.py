"""Chains: stages in order, each from the one before, at its own size."""

from __future__ import annotations

import numpy as np
import pytest

import vidgen
import vidgen.errors
from vidgen.errors import ConfigError, RecipeError
from vidgen.sampling.stages import CASCADE, _resampled
from vidgen.video import Video

PROMPT = "a large red circle moving left on a black background"
SMALL = (
    {"kind": "text-to-image", "height": 32, "width": 32, "steps": 2},
    {"kind": "image-to-video", "frames": 5, "steps": 2},
    {"kind": "video-to-video", "height": 48, "width": 64, "strength": 0.5, "steps": 4},
    {"kind": "video-to-video", "frames": 9, "strength": 0.25, "steps": 4},
)


def test_stages_follow_each_other_and_are_kept_on_request(tmp_path):
    made = vidgen.chain(SMALL)(PROMPT, seed=3, keep=tmp_path, show_progress=False)
    assert made.size == (9, 48, 64)
    assert made.metadata["seed"] == 3
    assert made.fps == pytest.approx(32)  # twice as many steps between frames in the same time
    names = ["0-text-to-image.png", "1-image-to-video.mp4", "2-video-to-video.mp4", "3-video-to-video.mp4"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    image, first = (Video.open(tmp_path / name).numpy()[0].astype(float) for name in names[:2])
    assert np.abs(image - first).mean() < 4
    again = vidgen.chain(SMALL)(PROMPT, seed=3, show_progress=False)
    assert np.abs(again.numpy().astype(float) - made.numpy()).mean() < 0.5


def test_every_stage_may_have_a_prompt_and_a_model_of_its_own(tmp_path):
    seen = []

    class Watched:
        def __init__(self, pipe):
            self.pipe = pipe

        def __call__(self, text, **options):
            seen.append(text)
            return self.pipe(text, **options)

    vidgen.load().save(tmp_path / "mine")
    stages = [
        {**SMALL[0], "model": str(tmp_path / "mine")},
        {**SMALL[1], "prompt": "{prompt}, slowly"},
        {**SMALL[2]},
    ]
    chain = vidgen.chain(stages)
    assert chain.pipes[0] is not chain.pipes[1]
    assert chain.pipes[1] is chain.pipes[2]
    chain.pipes = tuple(map(Watched, chain.pipes))
    chain("a ball", prompts={2: "a cube"}, seed=0, show_progress=False)
    assert seen == ["a ball", "a ball, slowly", "a cube"]
    with pytest.raises(ConfigError, match="no stage 3; they count from 0 to 2"):
        chain("a ball", prompts={3: "a cube"})


def test_a_stage_is_guided_as_a_call_is(tmp_path):
    guided = [1, "cfg-zero", {"name": "cfg-interval", "scale": 5, "high": 0.8}]
    read = [vidgen.StageConfig(kind="text-to-video", guidance=one).guidance for one in guided]
    assert read[0] == 1.0
    assert [one["name"] for one in read[1:]] == ["cfg-zero", "cfg-interval"]
    assert (read[2]["scale"], read[2]["high"]) == (5.0, 0.8)
    path = tmp_path / "stages.toml"
    path.write_text(
        '[[stage]]\nkind = "text-to-image"\nheight = 32\nwidth = 32\nsteps = 2\n'
        'guidance = { name = "cfg-interval", low = 0.0001, high = 0.001 }\n'
    )
    made = vidgen.chain(path)(PROMPT, seed=0, show_progress=False)
    assert made.metadata["evaluations"] == 2  # no time lies in the interval
    alone = vidgen.load()(
        PROMPT, frames=1, height=32, width=32, steps=2, guidance=1, seed=0, show_progress=False
    )
    assert np.array_equal(made.numpy(), alone.numpy())
    for wrong, words in ((float("nan"), "finite"), ("cfg-intervall", "cfg-interval"), (True, "guider")):
        with pytest.raises(vidgen.errors.VidgenError, match=words):
            vidgen.StageConfig(kind="text-to-video", guidance=wrong)


def test_more_frames_are_blended_and_last_as_long():
    levels = np.array([0, 100, 200], np.uint8)[:, None, None, None]
    clip = Video(np.broadcast_to(levels, (3, 8, 8, 3)).copy(), fps=10)
    smooth = _resampled(clip, vidgen.StageConfig(kind="video-to-video", frames=5))
    assert smooth.numpy()[:, 0, 0, 0].tolist() == [0, 50, 100, 150, 200]
    assert smooth.fps == 20
    one = _resampled(clip[:1], vidgen.StageConfig(kind="video-to-video", frames=5))
    assert (len(one), one.fps) == (5, 10)
    large = _resampled(clip, vidgen.StageConfig(kind="video-to-video", height=16, width=24))
    assert large.size == (3, 16, 24)


def test_the_shipped_chain_ends_at_33x128x128():
    assert [stage.kind for stage in CASCADE] == [
        "text-to-image",
        "image-to-video",
        "video-to-video",
        "video-to-video",
    ]
    assert (CASCADE[2].height, CASCADE[2].width, CASCADE[3].frames) == (128, 128, 33)


def test_chains_are_read_from_files(tmp_path):
    path = tmp_path / "stages.toml"
    path.write_text('[[stage]]\nkind = "text-to-image"\nheight = 32\nwidth = 32\nsteps = 1\n')
    assert vidgen.chain(path)(PROMPT, seed=0, show_progress=False).size == (1, 32, 32)
    for text in ("[other]\n", '[[stage]]\nkind = "text-to-image"\n[[stages]]\nkind = "image-to-video"\n'):
        path.write_text(text)
        with pytest.raises(RecipeError, match=r"tables \[\[stage\]\]"):
            vidgen.chain(path)


def test_what_all_stages_do_is_said_in_the_call_and_what_each_does_in_the_stage():
    chain = vidgen.chain([{"kind": "text-to-image", "height": 32, "width": 32}])
    evaluations = [
        chain(PROMPT, seed=np.int64(0), steps=steps, guidance=1.0, show_progress=False).metadata[
            "evaluations"
        ]
        for steps in (2, 3)
    ]
    assert evaluations == [2, 3]
    for wrong in ({"height": 64}, {"image": "a.png"}, {"seed": "a"}):
        with pytest.raises(ConfigError, match=r"stage's own|whole number as seed"):
            chain(PROMPT, **wrong)
    with pytest.raises(ConfigError, match="one prompt"):
        chain(None)


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        ([], "begins with"),
        ([{"kind": "image-to-video"}], "begins with text-to-image"),
        ([{"kind": "text-to-gif"}], "text-to-image"),
        ([{"kind": "text-to-image", "frames": 5}], "makes 1 frame"),
        ([{"kind": "text-to-video", "strength": 0.0}], r"in \(0, 1\]"),
        ([{"kind": "text-to-video", "height": 0}], "height is at least 1"),
        ([{"kind": "text-to-video", "frames": -5}], "frames is at least 1"),
        ([{"kind": "text-to-video", "model": "nowhere"}], "nowhere"),
    ],
)
def test_chains_that_make_no_sense_are_refused(stages, words):
    with pytest.raises((ConfigError, vidgen.errors.VidgenError), match=words):
        vidgen.chain(stages)
