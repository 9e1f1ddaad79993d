"""Trainings by a budget of seconds, encoded samples that rows share, and rows that were killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vidgen.bench.store import Store
from vidgen.train.trainer import Trainer
from vidgen_suites.config import LearningConfig
from vidgen_suites.learning import TRIAL

TINY = {"train_batch": 2, "warmup": 1, "samples": 1, "videos": 0, "losses": 1, "precision": "fp32"}


class Paced(Trainer):
    """A trainer whose trials are at a known pace: 1 sample/s while it warms up, then 100."""

    def run(self) -> None:
        if not self.folder.name.endswith(".trial"):
            super().run()
            return
        paces = [1.0] * (TRIAL // 2) + [100.0] * (TRIAL - TRIAL // 2)
        lines = [json.dumps({"step": step, "pace": pace}) for step, pace in enumerate(paces, 1)]
        (self.folder / "log.jsonl").write_text("\n".join(lines))


def test_more_seconds_are_more_steps_and_the_same_figures(measured, monkeypatch):
    monkeypatch.setattr("vidgen_suites.learning.Trainer", Paced)
    fixed, short, long = (measured(LearningConfig(**TINY, **one)) for one in
                          ({"steps": 2}, {"seconds": 0.02}, {"seconds": 0.1}))  # fmt: skip
    learned = [work.measures["samples learned from"].value for work in (fixed, short, long)]
    assert learned == [4, 2, 10]  # 100 samples/s; a batch is 2
    for work in (short, long):
        assert work.measures.keys() == fixed.measures.keys()
        assert work.artefacts.keys() == fixed.artefacts.keys()
    steps = [step for step, _ in json.loads(long.artefacts["curve:training loss by step"].data)]
    assert steps == [1, 2, 3, 4, 5]


def test_rows_with_the_same_autoencoder_share_encoded_samples(measured, tmp_path):
    settings = LearningConfig(**TINY, steps=1, cache=2)

    def latents() -> dict[Path, int]:
        found = (tmp_path / "shared").glob("latents-*/**/*.safetensors")
        return {path: path.stat().st_mtime_ns for path in found}

    measured(settings)
    first = latents()
    assert len({path.relative_to(tmp_path).parts[1] for path in first}) == 1
    measured(settings, denoiser=("latte/tiny",))
    assert latents() == first
    measured(settings, autoencoder=("kl-vae/tiny",), denoiser=("latte/tiny",))
    assert len({path.relative_to(tmp_path).parts[1] for path in latents()}) == 2
    assert latents().items() > first.items()


def test_what_a_killed_trial_left_is_thrown_away(measured, tmp_path, monkeypatch):
    monkeypatch.setattr("vidgen_suites.learning.Trainer", Paced)
    settings = LearningConfig(**TINY, seconds=0.01)
    measured(settings)
    (folder,) = (path for path in (tmp_path / "shared").glob("learning-*") if path.is_dir())
    folder.rename(tmp_path / "kept")
    trial = folder.with_name(f"{folder.name}.trial")
    trial.mkdir()
    (trial / "log.jsonl").write_text('{"step": 1, "pa')
    (trial / "recipe.json").write_text("{")
    folder.mkdir()  # killed before its recipe was whole
    (folder / "recipe.tmp").write_text("{")
    measured(settings)
    assert (folder / "pipeline").is_dir()
    assert not trial.exists()


def test_a_training_that_was_damaged_since_is_made_again(measured, tmp_path):
    settings = LearningConfig(**TINY, steps=4)
    before = measured(settings).measures["validation loss"].value
    for name in ("pipeline/denoiser/model.safetensors", "log.jsonl"):
        (file,) = (tmp_path / "shared").glob(f"learning-*/{name}")
        file.write_bytes(file.read_bytes()[:20])
        assert measured(settings).measures["validation loss"].value == before


@pytest.mark.slow
def test_a_row_killed_in_its_training_is_gone_on_with(tmp_path):
    sets = [f"learning.{name}={value}" for name, value in {**TINY, "steps": 300, "cache": 4}.items()]
    fields = [word for one in [*sets, "sampling.steps=2"] for word in ("--set", one)]
    parts = ("--autoencoder", "sora-vae/tiny", "--denoiser", "sora-dit/tiny", "--text-encoder", "words/tiny")
    plan = (*parts, "--scheduler", "euler", "--suite", "learning", "--out", "r.db", *fields)
    command = [sys.executable, "-m", "vidgen", "bench", *plan]
    options = {"cwd": tmp_path, "env": {**os.environ, "OMP_NUM_THREADS": "1"}}
    process = subprocess.Popen(command, **options)
    end = time.monotonic() + 240
    while (
        sum(len(log.read_text().splitlines()) for log in tmp_path.glob("r.db.shared/learning-*/log.jsonl"))
        < 3
    ):
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with Store(tmp_path / "r.db") as store:
        assert store.rows() == []
    subprocess.run(command, **options, check=True, timeout=300)
    with Store(tmp_path / "r.db") as store:
        (row,) = store.rows(artefacts=True)
    assert (row.status, row.reason) == ("ok", "")
    (curve,) = (one for one in row.artefacts if one.name == "curve:training loss by step")
    steps = [step for step, _ in json.loads(curve.data)]
    assert steps == sorted(set(steps))
    assert steps[-1] == 300
