"""One training on another number of processes, shared out or not, over gloo: the same losses, exact resume."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

import vidgen

RECIPE = """
autoencoder = "kl-vae/tiny"
denoiser = "sora-dit/tiny"
text_encoder = "words/tiny"
scheduler = "euler"
[sampling]
frames = 2
height = 16
width = 16
steps = 2
[train]
steps = 20
precision = "fp32"
learning_rate = 1e-3
schedule = "constant"
warmup = 2
log_every = 1
global_batches = 2
checkpoint_minutes = 60.0
[[data]]
name = "kinetic"
size = "2x16x16"
batch = 2
[[data]]
name = "kinetic"
size = "1x16x16"
batch = 3
"""
SHARD = ("--set", "train.shard=true", "--set", "train.checkpointing=true")
WITHIN = 1e-4

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


@pytest.fixture(scope="module")
def one(root):
    return train(root, "one")


@pytest.fixture(scope="module")
def sharded(root):
    return train(root, "sharded", *SHARD, processes=2)


def train(root, name, *options, processes=1, steps=20):
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [
        sys.executable,
        *(launch if processes > 1 else []),
        "-m",
        "vidgen",
        "train",
        root / "recipe.toml",
    ]
    command += ["--out", root / name, "--steps", steps, *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        list(map(str, command)), env=environment, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stderr
    return root / name


def losses(run):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 21))
    return [line["denoising"] for line in lines]


def check_same(left, right):
    assert losses(left) == pytest.approx(losses(right), abs=WITHIN)
    for file in ("weights", "average"):
        a, b = (load_file(run / "checkpoint" / f"{file}.safetensors") for run in (left, right))
        assert a.keys() == b.keys()
        for key in a:
            torch.testing.assert_close(a[key], b[key], rtol=0, atol=WITHIN)


def test_two_processes_learn_what_one_learns(root, one):
    assert max(losses(one)) - min(losses(one)) > 100 * WITHIN, "losses that never move prove nothing"
    check_same(train(root, "two", processes=2), one)


def test_sharded_processes_learn_what_one_learns(one, sharded):
    check_same(sharded, one)


def test_a_sharded_training_exports_whole_averages(sharded):
    made = vidgen.load(sharded / "pipeline")
    averages = load_file(sharded / "checkpoint" / "average.safetensors")
    for key, value in made.denoiser.state_dict().items():
        torch.testing.assert_close(value, averages[f"denoiser.{key}"])
    assert made("a red circle", seed=0).numpy().shape == (2, 16, 16, 3)


@pytest.mark.parametrize(
    ("first", "then"), [((2, SHARD), (1, ())), ((1, ()), (2, SHARD))], ids=["2 to 1", "1 to 2"]
)
def test_resumed_on_another_number_of_processes_it_learns_the_same(first, then, root, one):
    name = f"resumed-{first[0]}"
    train(root, name, *first[1], processes=first[0], steps=9)
    shutil.rmtree(root / name / "pipeline")
    check_same(train(root, name, *then[1], processes=then[0]), one)


def test_frozen_text_and_cached_data_stay_whole_beside_what_is_sharded(root):
    text = RECIPE.replace("[train]", '[train]\ntrain = ["denoiser"]')
    text = text.replace("batch = 2\n", "batch = 2\ncache = 150\ncache_text = true\n")
    plan = ("--set", "train.workers=1")
    (root / "frozen").mkdir()
    (root / "frozen" / "recipe.toml").write_text(text)
    both = train(root / "frozen", "sharded", *SHARD, *plan, processes=2)
    check_same(both, train(root / "frozen", "one", *plan))
    assert len(list((both / "latents").glob("*/*-*.safetensors"))) == 3


@pytest.fixture(scope="module")
def wide(root):
    """The recipe at sizes of several tokens, for they are shared out; with given frames, so that times differ."""
    (root / "wide").mkdir()
    text = RECIPE.replace("2x16x16", "2x32x48").replace("1x16x16", "3x24x40")
    text = text.replace("[train]", "[train]\ngiven = { none = 1.0, image = 1.0 }")
    (root / "wide" / "recipe.toml").write_text(text)
    return root / "wide"


@pytest.mark.parametrize("options", [(), SHARD], ids=["whole", "sharded"])
def test_two_processes_that_share_the_tokens_of_a_sample_learn_what_one_learns(options, wide):
    if not (wide / "one").exists():
        train(wide, "one")
    name = "sharded" if options else "two"
    check_same(train(wide, name, "--set", "train.sequence_parallel=2", *options, processes=2), wide / "one")


def test_processes_that_make_no_groups_are_refused(wide):
    with pytest.raises(AssertionError, match="want a multiple of 2 processes, not 1"):
        train(wide, "alone", "--set", "train.sequence_parallel=2")


def test_batches_that_cannot_be_shared_out_are_refused(root):
    with pytest.raises(AssertionError, match="take a multiple"):
        train(root, "three", "--set", "train.global_batches=3", processes=2)
