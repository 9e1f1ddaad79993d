"""Every suite on a tiny combination, and that its figures mean what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import vidgen
from tests.plugins.vidgen_suites.conftest import PARTS, SMALL
from vidgen.bench.plan import Plan
from vidgen.bench.work import Work
from vidgen_suites.config import (
    FlopsConfig,
    GenerationConfig,
    LearningConfig,
    MemoryConfig,
    ReconstructionConfig,
    SolversConfig,
    SpeedConfig,
)
from vidgen_suites.frechet import frechet_distance
from vidgen_suites.reconstruction import flicker


def values(work):
    return {name: one.value for name, one in work.measures.items()}


def test_every_suite_declares_tiny_settings_or_none():
    for name in vidgen.list_components("suite"):
        spec = vidgen.find("suite", name)
        assert spec.summary
        assert spec.preset() == spec.config()


def test_speed_counts_what_it_says(measured):
    work = measured(SpeedConfig(warmup=2, repeats=3))
    found = work.measures
    assert work.pauses == 5  # the others' turn comes before each generation
    assert len(found["total"].samples) == 3
    assert len(found["step"].samples) == 9
    parts = sum(found[name].value for name in ("text", "prepare", "decode")) + 3 * found["step"].value
    assert 0 < parts <= 1.5 * found["total"].value
    assert found["total"].low <= found["total"].value <= found["total"].high
    assert found["pace"].value == pytest.approx(5 / 16 / found["total"].value)
    assert {found[name].unit for name in ("load", "first", "step", "encode")} == {"s"}


def test_memory_counts_parameters_and_peaks(measured):
    work = measured(MemoryConfig())
    found = values(work)
    for kind in ("autoencoder", "denoiser"):
        part = getattr(work.pipe, kind)
        assert found[f"{kind} parameters"] * 1e6 == pytest.approx(sum(p.numel() for p in part.parameters()))
    assert found["peak"] == max(
        found[name] for name in ("load", "text", "prepare", "denoise", "decode", "between")
    )
    assert found["added"] == pytest.approx(found["peak"] - found["base"])


def test_flops_are_those_of_the_parts(measured):
    work = measured(FlopsConfig(repeats=1, matrix=64))
    found = values(work)
    assert found["evaluations"] == 3
    assert found["denoise"] == pytest.approx(3 * found["evaluation"])
    assert found["total"] >= found["denoise"] + found["decode"] + found["prepare"]
    latents = torch.zeros(1, 16, 2, 2, 2)
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        work.pipe.autoencoder.decode(latents)
    assert found["decode"] * 1e9 == counter.get_total_flops()


def test_solvers_come_nearer_with_steps_and_share_a_reference(measured, tmp_path):
    settings = SolversConfig(steps=(2, 8), reference="euler", reference_steps=64, prompts=("a circle",))
    parts = {"denoiser": ("latte/tiny",), "autoencoder": ("kl-vae/tiny",)}
    work = measured(settings, **parts)
    found = values(work)
    assert 0 < found["distance at 8 steps"] < found["distance at 2 steps"]
    curves = {name: json.loads(one.data) for name, one in work.artefacts.items() if name.startswith("curve:")}
    assert curves == {
        f"curve:{what} by steps": [[steps, found[f"{what} at {steps} steps"]] for steps in (2, 8)]
        for what in ("distance", "psnr")
    }
    (file,) = (tmp_path / "shared").glob("*.safetensors")
    before = file.stat().st_mtime_ns
    other = values(measured(settings, **parts, scheduler=("heun",)))
    assert file.stat().st_mtime_ns == before
    assert other["evaluations a step"] == 2
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert values(measured(settings, **parts)) == found  # what is damaged is made again
    assert len(file.read_bytes()) == len(whole)


def test_reconstruction_reads_the_autoencoder_alone(measured):
    work = measured(ReconstructionConfig(clips=2))
    found = values(work)
    assert set(work.data) == {"autoencoder", "sampling"}
    assert found["latent values a pixel value"] == pytest.approx(16 * 2 * 2 * 2 / (3 * 5 * 16 * 16))
    assert len(work.measures["psnr"].samples) == 2
    (video,) = work.artefacts.values()
    assert video.mime == "video/mp4"
    assert video.name.startswith("video:")


def test_flicker_is_the_change_that_is_not_the_clips_own():
    clip = np.zeros((4, 2, 2, 3), np.uint8)
    made = clip.copy()
    made[1::2] = 10
    assert flicker(clip + 7, clip) == 0
    assert flicker(made, clip) == 10


def test_generation_keeps_the_results_of_every_prompt(measured):
    work = measured(GenerationConfig(samples=3, batch=2, videos=1))
    rows = json.loads(work.artefacts["prompts.json"].data)
    assert len(rows) == len({row["prompt"] for row in rows}) == 3
    right = work.measures["all right"]
    assert right.value == sum(row["all"] for row in rows) / 3
    assert right.low <= right.value <= right.high
    facts = ("size", "colour", "shape", "motion", "background")
    assert work.measures["facts right"].samples == tuple(sum(row[name] for name in facts) / 5 for row in rows)
    assert [name for name in work.artefacts if name.startswith("video:")] == [f"video:{rows[0]['prompt']}"]


def test_the_frechet_distance_of_gaussians_is_known():
    chance = torch.Generator().manual_seed(0)
    one = torch.randn(20_000, 3, generator=chance, dtype=torch.float64)
    scale, shift = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([0.0, 1.0, -2.0])
    known = float(shift.square().sum() + (scale - 1).square().sum())
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(one, one * scale + shift) == pytest.approx(known, rel=0.03)


def test_learning_trains_once_for_all_schedulers(measured, tmp_path):
    settings = LearningConfig(
        steps=3, warmup=1, train_batch=2, samples=1, videos=1, losses=2, precision="fp32", learning_rate=3e-3
    )
    first = measured(settings)
    (folder,) = (tmp_path / "shared").glob("learning-*/pipeline")
    before = folder.stat().st_mtime_ns
    second = measured(settings, scheduler=("heun",))
    assert folder.stat().st_mtime_ns == before
    assert first.measures["validation loss"] == second.measures["validation loss"]
    points = json.loads(first.artefacts["curve:training loss by step"].data)
    assert [step for step, _ in points] == [1, 2, 3]


def test_nan_is_an_error(tmp_path):
    (job,) = Plan(**PARTS, sampling=SMALL).jobs()
    work = Work(job.recipe, seed=0, device="cpu", dtype="float32", shared=tmp_path)
    with torch.no_grad():
        for parameter in work.pipe.denoiser.parameters():
            parameter.fill_(float("nan"))
    with pytest.raises(vidgen.errors.VideoError, match="NaN"):
        vidgen.create("suite", "speed/tiny").measure(work)
