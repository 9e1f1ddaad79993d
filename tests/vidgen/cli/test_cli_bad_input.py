"""Mistakes as users make them: one line, exit code 2, nothing written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import tomli_w

PARTS = {
    "autoencoder": "sora-vae/tiny",
    "denoiser": "sora-dit/tiny",
    "text_encoder": "words/tiny",
    "scheduler": "euler",
}
DATA = {"name": "kinetic", "size": "5x16x16", "batch": 2}
PROMPT = ("generate", "x", "--autoencoder", "sora-vae/tiny", "--denoiser", "sora-dit/tiny", "--text-encoder",
          "words/tiny", "--scheduler", "euler", "--size", "5x16x16", "--steps", "1", "-o", "out.npy")  # fmt: skip


def dit(**keys):
    return {"denoiser": {"name": "sora-dit"} | keys}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (dit(name=3), "name must be a word"),
        (dit(preset=3), "preset must be a word"),
        (dit(config="x"), "config must be a table"),
        ({"format_version": "x"}, "format_version is a number"),
        ({"format_version": 99}, "newer than"),
        ({"adapt": "yes"}, "adapt is true or false"),
    ],
)
@pytest.mark.parametrize("command", ["check", "train"])
def test_recipes_of_wrong_types(refused, tmp_path, command, changes, says):
    path = tmp_path / "recipe.toml"
    path.write_text(tomli_w.dumps(PARTS | changes | {"train": {"steps": 1}, "data": [DATA]}))
    assert says in refused(command, path)


@pytest.mark.parametrize(
    ("train", "data", "says"),
    [
        ({"warmup": -1}, {}, "warmup must be 0 or more"),
        ({"seed": -1}, {}, "seed must be 0 or more"),
        ({"workers": -1}, {}, "workers must be 0 or more"),
        ({"time_std": -1.0}, {}, "time_std must be 0 or more"),
        ({"time_mean": float("nan")}, {}, "time_mean must be finite"),
        ({"given": {"image": float("inf")}}, {}, "given.image must be 0 or more, finite"),
        ({}, {"share": float("inf")}, "data.share positive, finite"),
        ({"perceptual": -0.1}, {}, "perceptual must be 0 or more"),
        ({"muon_learning_rate": 0.0}, {}, "muon_learning_rate must be positive"),
        ({"train": ["denoiser", "denoiser"]}, {}, "names a part twice"),
        ({}, {"size": "4x16x16"}, "take 5x16x16 or 1x16x16"),
        ({}, {"config": "x"}, "config must be a table"),
        ({"freeze": ["*"]}, {}, "leaves nothing to train"),
    ],
)
def test_training_tables_out_of_range(refused, tmp_path, monkeypatch, train, data, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.toml").write_text(tomli_w.dumps(PARTS | {"train": train, "data": [DATA | data]}))
    assert says in refused("train", "r.toml")
    assert not (tmp_path / "runs" / "r" / "checkpoint").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--seed", "9" * 25), "at most 63 bits"),
        (("--guidance", "nan"), "guidance is a number"),
        (("--autoencoder", "sora-vae@nope"), "no weights 'nope'"),
        (("--model", ""), "no folder, tag or Hub id"),
    ],
)
def test_generate(refused, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    prompt = PROMPT if words[0] != "--model" else ("generate", "x", "-o", "out.npy")
    assert says in refused(*prompt, *words)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("prompt", ["", "word " * 10_000, "ein gro\u00dfer Kreis \U0001f534"])
def test_odd_prompts_still_make_a_video(vidgen, tmp_path, monkeypatch, prompt):
    monkeypatch.chdir(tmp_path)
    assert vidgen("generate", prompt, *PROMPT[2:]).exit_code == 0
    assert (tmp_path / "out.npy").exists()


def test_a_real_ctrl_c_keeps_a_checkpoint_and_the_same_command_goes_on(vidgen, recipe, tmp_path):
    code = "from vidgen.cli import main; main()"
    command = [sys.executable, "-c", code, "train", str(recipe), "--out", "run", "--steps", "100000"]
    log = tmp_path / "run" / "log.jsonl"
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    ) as process:
        end = time.monotonic() + 240
        while not log.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=240)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    last = stderr.splitlines()[-1]
    assert last.startswith("stopped; a checkpoint of step ")
    step = int(last.split("step ")[1].split()[0])
    assert step >= 20
    again = vidgen("train", recipe, "--out", "run", "--steps", str(step + 1))
    assert again.exit_code == 0, again.output
    assert f"from step {step} to {step + 1}" in again.stderr
