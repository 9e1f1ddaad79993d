"""Pictures and videos as prompts: given frames come back, results are put together right, bad calls are refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import vidgen
from vidgen.errors import ConfigError, SizeError
from vidgen.sampling.given import Given
from vidgen.video import Video

PROMPT = "a large red circle moving left on a black background"
QUICK = {"height": 32, "width": 32, "steps": 4, "seed": 0, "guidance": 1.0, "show_progress": False}


@pytest.fixture(scope="module")
def pipe():
    return vidgen.load()


@pytest.fixture(scope="module")
def clip():
    data = vidgen.create("data_set", "kinetic")
    return Video(data.sample(5, vidgen.Size(17, 32, 32)).video, fps=16)


def difference(left, right):
    return np.abs(left.numpy().astype(float) - right.numpy().astype(float)).mean()


def through(pipe, video):
    """What the autoencoder alone makes of a clip."""
    return pipe.reconstruct(video)


def test_the_first_frame_is_the_image(pipe, clip):
    made = pipe(PROMPT, image=clip.numpy()[0], frames=9, **QUICK)
    assert made.size == (9, 32, 32)
    assert difference(made[:1], through(pipe, clip[:1])) < 1
    free = pipe(PROMPT, frames=9, **QUICK)
    assert difference(free[:1], clip[:1]) > 5


def test_forward_and_backward(pipe, clip):
    forward = pipe(PROMPT, video=clip, extend="forward", frames=17, **QUICK)
    assert len(forward) == 17 + (17 - 5)
    assert forward[:17] == clip
    backward = pipe(PROMPT, video=clip, extend="backward", frames=17, **QUICK)
    assert len(backward) == 17 + (17 - 8)
    assert backward[len(backward) - 17 :] == clip


def test_loop_and_connect(pipe, clip):
    loop = pipe(PROMPT, video=clip, loop=True, frames=17, **QUICK)
    assert loop[:17] == clip
    assert len(loop) == 17 + (17 - 1 - 4)
    both = pipe.connect(clip, clip[:9], PROMPT, frames=17, **QUICK)
    assert both[:17] == clip
    assert both[len(both) - 9 :] == clip[:9]
    assert len(both) == 17 + 9 + (17 - 1 - 4)


def test_given_frames_are_kept_whatever_the_denoiser_can(clip):
    """`sora-dit` gives frames their own time, the inpainting `opensora-plan` reads them beside, others are blended."""
    for name, settings in (("sora-dit", {}), ("opensora-plan", {"inpaint": True}), ("latte", {})):
        parts = vidgen.create("denoiser", f"{name}/tiny", latent_channels=16, text_width=192, **settings)
        pipe = vidgen.compose(
            autoencoder="sora-vae@kinetic",
            denoiser=parts,
            text_encoder="words@kinetic",
            scheduler="euler",
            foreign=True,
        )
        with pytest.warns(UserWarning, match="Random weights"):
            made = pipe(PROMPT, given={0: clip[:5]}, frames=9, **QUICK)
        assert difference(made[:5], through(pipe, clip[:5])) < 1, name


def test_frames_that_come_after_new_ones_are_kept_as_well(pipe, clip):
    made = pipe(PROMPT, given={0: clip[:1], -4: clip[13:]}, frames=13, **{**QUICK, "steps": 8})
    assert difference(made[9:], clip[13:]) < difference(made[4:8], clip[13:]) + 10
    assert difference(made[9:], clip[13:]) < 6


@pytest.mark.parametrize("at", [8, 16, -1])
def test_a_single_key_frame_comes_back_although_its_latent_holds_others(pipe, clip, at):
    """As the autoencoder gives it back where it stands: one frame of another clip after frames of this one."""
    caption = vidgen.create("data_set", "kinetic").sample(5, vidgen.Size(17, 32, 32)).caption
    made = pipe(caption, given={0: clip[:1], at: clip[at]}, frames=17, **{**QUICK, "steps": 8})
    assert difference(made[at], clip[at]) < difference(through(pipe, clip)[at], clip[at]) + 3
    other = Video(clip.numpy()[:, ::-1, :, ::-1].copy())
    made = pipe(PROMPT, given={0: clip[:1], at: other[at]}, frames=17, **{**QUICK, "steps": 8})
    mixed = made.numpy().copy()
    mixed[at] = other.numpy()[at]
    assert difference(made[at], other[at]) < difference(through(pipe, Video(mixed))[at], other[at]) + 3


def test_a_region_is_kept(pipe, clip):
    mask = torch.zeros(1, 9, 32, 32, dtype=torch.bool)
    mask[..., :16] = True
    given = Given(clip[:9].tensor()[0], mask)
    made = pipe(PROMPT, given=given, frames=9, **QUICK)
    left = made.numpy()[:, :, :8].astype(float)
    assert np.abs(left - through(pipe, clip[:9]).numpy()[:, :, :8]).mean() < 6
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[:, :16] = 255
    again = pipe([PROMPT, PROMPT], video=clip, mask=[picture, Image.fromarray(picture)], frames=9, **QUICK)
    assert difference(again[0], made) < 1
    assert np.abs(again[1].numpy()[:, :, :8] - left).mean() < 1


def test_strength_says_how_much_is_made_anew(pipe, clip):
    prompt = vidgen.create("data_set", "kinetic").sample(5, vidgen.Size(17, 32, 32)).caption
    little, much = (
        difference(pipe(prompt, video=clip, strength=strength, **QUICK), clip) for strength in (0.2, 1.0)
    )
    assert little < much
    assert little < 6


def test_a_batch_takes_one_picture_each(pipe, clip):
    frames = [clip.numpy()[0], clip.numpy()[0][::-1].copy()]
    made = pipe([PROMPT, PROMPT], image=frames, frames=5, **QUICK)
    assert all(
        difference(one[:1], through(pipe, Video(frame[None]))) < 1
        for one, frame in zip(made, frames, strict=True)
    )
    with pytest.raises(ConfigError, match="3 values of image for 2 prompts"):
        pipe([PROMPT, PROMPT], image=[frames[0]] * 3, frames=5, **QUICK)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"extend": "forward"}, ConfigError, "extend needs a video="),
        ({"strength": 0.5}, ConfigError, "strength needs a video="),
        ({"video": "clip"}, ConfigError, "Say what to do with video="),
        ({"video": "clip", "loop": True, "strength": 0.5}, ConfigError, "not loop and strength at once"),
        ({"video": "clip", "extend": "sideways"}, ConfigError, "'forward' or 'backward'"),
        ({"video": "clip", "strength": 0.0}, ConfigError, r"lies in \(0, 1\]"),
        ({"video": "clip", "image": "clip", "loop": True}, ConfigError, "Give one of image and video"),
        ({"mask": "clip"}, ConfigError, "mask needs a video="),
        ({"video": "clip", "mask": "clip", "loop": True}, ConfigError, "not loop and mask at once"),
        ({"video": "clip", "mask": "clip", "frames": 33}, SizeError, "The video has 17 frames, fewer than"),
        ({"video": "clip", "strength": 0.5, "frames": 33}, SizeError, "fewer than 33x32x32"),
        ({"video": "clip", "extend": "forward", "frames": 1}, SizeError, "leave nothing to make"),
        ({"given": {"0": "clip"}}, ConfigError, "by frame such as"),
        ({"given": 3}, ConfigError, "by frame such as"),
        ({"negative": 3}, ConfigError, "A negative prompt is a string"),
        ({"seed": 1.5}, ConfigError, "A seed is a whole number"),
        ({"given": {20: "clip"}}, SizeError, "do not fit a video of 17 frames"),
        ({"image": 3}, ConfigError, "not int"),
    ],
)
def test_calls_that_make_no_sense_are_refused(pipe, clip, options, error, words):
    def real(value):
        if value == "clip":
            return clip
        return {at: real(one) for at, one in value.items()} if isinstance(value, dict) else value

    with pytest.raises(error, match=words):
        pipe(PROMPT, **{**QUICK, **{name: real(value) for name, value in options.items()}})


def test_pictures_are_for_all_prompts_of_a_batch_or_for_none(pipe, clip):
    for images in ([None, clip[:1]], [clip[:1], None]):
        with pytest.raises(ConfigError, match="for every prompt of a batch, or for none"):
            pipe([PROMPT, PROMPT], image=images, frames=5, **QUICK)


def test_a_video_keeps_its_frame_rate_unless_another_is_asked_for(pipe, clip):
    fast = Video(clip.numpy(), fps=25)
    ways = (
        {"extend": "forward"},
        {"extend": "backward"},
        {"loop": True},
        {"strength": 0.5},
        {"mask": clip[:1]},
    )
    for way in ways:
        assert pipe(PROMPT, video=fast, frames=17, **way, **QUICK).fps == 25
        assert pipe(PROMPT, video=fast, frames=17, fps=8, **way, **QUICK).fps == 8
    assert pipe.connect(fast, fast, PROMPT, frames=17, **QUICK).fps == 25
    with pytest.raises(ConfigError, match="16 and 25 frames a second; give fps="):
        pipe.connect(fast, clip, PROMPT, frames=17, **QUICK)
    with pytest.raises(ConfigError, match="16 and 25 frames a second; give fps="):
        pipe([PROMPT, PROMPT], video=[fast, clip], strength=0.5, frames=17, **QUICK)
    assert pipe.connect(fast, clip, PROMPT, frames=17, fps=20, **QUICK).fps == 20


def test_what_was_sampled_says_its_seed_and_prompt_and_the_whole_is_written(pipe, clip, tmp_path):
    old = Video(clip.numpy(), 16, {"seed": 99, "prompt": "another", "source": "camera"})
    for where in ("forward", "backward"):
        made = pipe(PROMPT, video=old, extend=where, frames=17, **QUICK)
        assert (made.metadata["seed"], made.metadata["prompt"]) == (0, PROMPT)
    made = pipe.connect(old, old, PROMPT, frames=17, output=tmp_path / "both.npy", **QUICK)
    assert (made.metadata["seed"], made.metadata["prompt"]) == (0, PROMPT)
    assert Video.open(tmp_path / "both.npy", fps=16) == made
    for wrong in ({"given": {0: clip[:1]}}, {"image": clip[:1]}):
        with pytest.raises(ConfigError, match="no further pictures"):
            pipe.connect(old, old, PROMPT, frames=17, **wrong, **QUICK)


def test_padding_and_given_frames_do_not_go_together(pipe, clip):
    with pytest.raises(SizeError, match="need a size that fits, such as 17x32x32"):
        pipe(PROMPT, video=clip, extend="backward", frames=15, fit="pad", **QUICK)
