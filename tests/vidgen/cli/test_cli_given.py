"""``vidgen generate`` with pictures and videos as prompts, and of any length."""

from __future__ import annotations

import numpy as np
import pytest

from vidgen.video import Video

PROMPT = "a large red circle moving left on a black background"
QUICK = ("--height", "32", "--width", "32", "--steps", "2", "--seed", "0")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    frames = np.full((9, 32, 32, 3), 60, np.uint8)
    frames[:, 8:24, 8:24] = 220
    Video(frames, fps=16).save(path)
    return str(path)


@pytest.fixture(scope="module")
def mask(tmp_path_factory):
    path = tmp_path_factory.mktemp("masks") / "mask.png"
    picture = np.zeros((1, 32, 32, 3), np.uint8)
    picture[:, :, :16] = 255
    Video(picture).save(path)
    return str(path)


@pytest.mark.parametrize(
    ("options", "frames"),
    [
        (("--video", "CLIP", "--extend", "forward", "--frames", "9"), 9 + 9 - 1),
        (("--video", "CLIP", "--loop", "--frames", "13"), 9 + 13 - 1 - 4),
        (("--video", "CLIP", "--strength", "0.5", "--frames", "9"), 9),
        (("--video", "CLIP", "--mask", "MASK", "--frames", "9"), 9),
        (("--video", "CLIP", "--connect", "CLIP", "--frames", "13"), 9 + 9 + 13 - 1 - 4),
        (("--given", "0=MASK", "--given", "-9=CLIP", "--frames", "17"), 17),
        (("--image", "CLIP", "--frames", "5"), 5),
        (("--frames", "23", "--chunk", "9"), 23),
    ],
)
def test_it_makes_what_was_asked(vidgen, tmp_path, clip, mask, options, frames):
    out = tmp_path / "out.mp4"
    options = [word.replace("CLIP", clip).replace("MASK", mask) for word in options]
    result = vidgen("generate", PROMPT, *options, *QUICK, "--output", str(out))
    assert result.exit_code == 0, result.output
    assert f"wrote {out} ({frames}x32x32, seed 0)" in result.output.replace("\n", "")
    assert len(Video.open(out)) == frames


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--loop",), "loop needs a video="),
        (("--video", "CLIP"), "Say what to do with video="),
        (("--video", "CLIP", "--loop", "--chunk", "9"), "leave out --video"),
        (("--connect", "CLIP"), "--connect takes --video"),
        (("--connect", "CLIP", "--video", "CLIP", "--loop"), "leave out what else is given"),
        (("--mask", "CLIP"), "mask needs a video="),
        (("--video", "CLIP", "--mask", "MASK", "--frames", "17"), "has 9 frames, fewer than 17x32x32"),
        (("--given", "CLIP"), "--given reads FRAME=FILE"),
        (("--given", "0=MASK", "--given", "0=CLIP"), "each frame once"),
        (("--given", "30=MASK"), "do not fit a video of 17 frames"),
        (("--mask", "MASK", "--chunk", "9"), "leave out --video"),
        (("--image", "nowhere.png"), "nowhere.png"),
        (("--frames", "20", "--chunk", "8"), "cannot make 8x32x32"),
    ],
)
def test_bad_calls_say_what_to_do_and_write_nothing(vidgen, tmp_path, clip, mask, options, words):
    out = tmp_path / "out.mp4"
    options = [word.replace("CLIP", clip).replace("MASK", mask) for word in options]
    result = vidgen("generate", PROMPT, *options, *QUICK, "--output", str(out))
    assert result.exit_code == 2
    assert words in result.output.replace("\n", " ")
    assert not list(tmp_path.iterdir())
