"""``vidgen generate`` with guiders and prompt refiners."""

from __future__ import annotations

import pytest

from vidgen.video import Video

QUICK = ("--frames", "5", "--height", "32", "--width", "32", "--steps", "4", "--seed", "0")


@pytest.mark.parametrize(
    ("options", "evaluations"),
    [
        (("--guidance", "3"), 8),
        (("--guidance", "1"), 4),
        (("--guider", "cfg", "--guidance", "1"), 4),
        (("--guider", "cfg-interval", "-G", "low=0.4", "-G", "high=1"), 4 + 3),  # t = 1, 0.75, 0.5, 0.25
        (("--guider", "cfg-zero", "--guidance", "5", "-G", "fit=false", "-G", "zero_steps=2"), 4),
    ],
)
def test_guidance_costs_what_it_needs(vidgen, tmp_path, options, evaluations):
    out = tmp_path / "out.mp4"
    prompt = "a large red circle moving left on a black background"
    result = vidgen("generate", prompt, *options, "--scheduler", "euler", *QUICK, "-o", str(out))
    assert result.exit_code == 0, result.output
    assert int(Video.open(out).metadata["evaluations"]) == evaluations


def test_a_refiner_rewrites_and_says_what_it_left_out(vidgen, tmp_path):
    out = tmp_path / "out.mp4"
    options = ("--refiner", "kinetic", "-R", "background=navy")
    result = vidgen("generate", "a big scarlet ball spinning", *options, *QUICK, "-o", str(out))
    assert result.exit_code == 0, result.output
    assert "cannot read 'spinning'" in result.stderr
    notes = Video.open(out).metadata
    assert notes["prompt"] == "a big scarlet ball spinning"
    assert notes["refined"] == "a large red circle standing still on a navy background"
    vidgen("generate", "a big ball", "--refiner", "none", *QUICK, "-o", str(out))
    assert "refined" not in Video.open(out).metadata


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("-G", "low=0.1"), "-G sets fields of --guider"),
        (("--guider", "cfg", "-G", "low"), "-G reads FIELD=VALUE"),
        (("--guider", "cfg", "-G", "=1"), "-G reads FIELD=VALUE"),
        (("--guider", "cfg", "-G", "lwo=0.1"), "Did you mean 'low'"),
        (("--guider", "cfg-intrval"), "Did you mean 'cfg-interval'"),
        (("--guider", "cfg-rescaled", "-G", "rescale=2"), "rescale must lie between 0 and 1"),
        (("--refiner", "kinetics"), "Did you mean 'kinetic'"),
        (("--refiner", "instruct"), "needs a source"),
        (("-R", "size=small"), "-R sets fields of --refiner"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(refused, tmp_path, options, says):
    assert says in refused("generate", "a red circle", *options, *QUICK, "-o", str(tmp_path / "out.mp4"))
    assert not list(tmp_path.iterdir())


@pytest.fixture
def stages(tmp_path):
    path = tmp_path / "stages.toml"
    stage = 'kind = "text-to-image"\nheight = 32\nwidth = 32\nsteps = 1\nguidance = "cfg-zero"\n'
    path.write_text(f"[[stage]]\n{stage}[[stage]]\n{stage}")
    return str(path)


def test_a_chain_refines_its_prompts_and_each_stage_may_have_its_own(vidgen, tmp_path, stages):
    options = ("--stages", stages, "--seed", "0", "--keep", str(tmp_path / "kept"))
    own = ("--stage-prompt", "1=a tiny cobalt box", "--refiner", "kinetic", "-R", "background=navy")
    result = vidgen("chain", "a big scarlet ball", *options, *own, "-o", str(tmp_path / "out.mp4"))
    assert result.exit_code == 0, result.output
    notes = Video.open(tmp_path / "out.mp4").metadata
    assert notes["prompt"] == "a tiny cobalt box"
    assert notes["refined"] == "a small blue square standing still on a navy background"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--stage-prompt", "a ball"), "--stage-prompt reads N=PROMPT"),
        (("--stage-prompt", "1="), "--stage-prompt reads N=PROMPT"),
        (("--stage-prompt", "2=a ball"), "no stage 2; they count from 0 to 1"),
        (("--refiner", "kinetics"), "Did you mean 'kinetic'"),
        (("-R", "size=small"), "-R sets fields of --refiner"),
    ],
)
def test_what_is_wrong_with_a_chain_is_said_in_one_line(refused, tmp_path, stages, options, says):
    out = str(tmp_path / "out.mp4")
    assert says in refused("chain", "a red circle", "--stages", stages, *options, "-o", out)
