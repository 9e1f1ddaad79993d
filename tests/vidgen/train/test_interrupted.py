"""Real trainings that are killed, that run out of disk, and that several processes share."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file

RECIPE = """
autoencoder = "sora-vae/tiny"
denoiser = "sora-dit/tiny"
text_encoder = "words/tiny"
scheduler = "euler"
[sampling]
frames = 5
height = 32
width = 32
steps = 2
[train]
steps = 12
precision = "fp32"
optimizer = "muon"
log_every = 1
checkpoint_minutes = 0.0
[[data]]
name = "kinetic"
size = "5x32x32"
batch = 2
"""
TRAIN = (sys.executable, "-m", "vidgen", "train")

pytestmark = pytest.mark.slow


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path


def call(*command, **options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([str(word) for word in command], env=environment, **pipes, **options)


def finish(process, timeout=300):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def step_of(folder):
    return json.loads((folder / "checkpoint" / "config.json").read_text())["step"]


def test_killed_at_any_moment_it_goes_on_to_the_same_weights(recipe, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert finish(call(*TRAIN, recipe, "--out", whole))[0] == 0
    chance, kills = random.Random(0), 0
    for _ in range(4):
        process = call(*TRAIN, recipe, "--out", killed)
        before = step_of(killed) if killed.exists() else 0
        while process.poll() is None and not ((killed / "checkpoint").exists() and step_of(killed) > before):
            time.sleep(0.005)
        time.sleep(chance.random() * 0.3)
        kills += process.poll() is None
        process.kill()
        finish(process)
    assert kills, "every run was over before it could be killed"
    assert finish(call(*TRAIN, recipe, "--out", killed))[0] == 0
    for name in ("weights", "average"):
        left, right = (load_file(run / "checkpoint" / f"{name}.safetensors") for run in (whole, killed))
        assert left.keys() == right.keys()
        assert all((left[key] == right[key]).all() for key in left)
    assert sorted(path.name for path in killed.iterdir() if path.name.startswith(".")) == []


def test_without_room_the_checkpoint_before_stands(recipe, tmp_path):
    run = tmp_path / "run"
    assert finish(call(*TRAIN, recipe, "--out", run, "--steps", "2"))[0] == 0

    def little_room():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit then fails as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    code, _, err = finish(call(*TRAIN, recipe, "--out", run, preexec_fn=little_room))
    assert code == 2
    assert "could not be written" in err
    assert "Traceback" not in err
    assert step_of(run) == 2
    code, out, _ = finish(call(*TRAIN, recipe, "--out", run))
    assert (code, step_of(run)) == (0, 12)
    assert "wrote" in out


def test_two_processes_share_a_training_and_stop_together(recipe, tmp_path):
    run = tmp_path / "run"
    recipe.write_text(RECIPE.replace("steps = 12", "steps = 100000"))
    launch = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    process = call(*launch, "-m", "vidgen", "train", recipe, "--out", run, start_new_session=True)
    deadline = time.monotonic() + 300
    try:
        while not ((run / "checkpoint").exists() and step_of(run) >= 3):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        # As a terminal does; the launcher passes it on, so that both processes get it twice.
        os.killpg(process.pid, signal.SIGINT)
    finish(process)
    stopped = step_of(run)
    assert stopped >= 3
    steps = [json.loads(line)["step"] for line in (run / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, stopped + 1)), "one process alone writes the log"

    recipe.write_text(RECIPE.replace("steps = 12", f"steps = {stopped + 2}"))
    code, out, err = finish(call(*launch, "-m", "vidgen", "train", recipe, "--out", run))
    assert code == 0, err
    assert out.count("wrote") == 1
    assert (run / "pipeline" / "recipe.toml").exists()
