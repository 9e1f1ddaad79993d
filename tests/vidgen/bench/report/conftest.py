from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest

from vidgen.bench.store import Artefact, Measure, Row, Store, digest
from vidgen.video import Video

EVIL = "<script>alert(1)</script>"
"""A name as nobody should give one."""
PARTS = {
    "autoencoder": ("one-vae", f"two-vae@{EVIL}"),
    "denoiser": ("small-dit/tiny", "large-dit", "unet"),
    "text_encoder": ("words",),
    "scheduler": ("euler", "heun"),
}
PROMPTS = ("a red circle", 'a "blue" </script><img src=x onerror=alert(2)>')


def clip(folder: Path, seed: int) -> bytes:
    path = folder / f"{seed}.mp4"
    frames = np.random.default_rng(seed).integers(0, 255, (8, 32, 32, 3), dtype=np.uint8)
    Video.from_numpy(frames, fps=8).save(path)
    return path.read_bytes()


def sample_rows(folder: Path) -> list[Row]:
    """Rows of four suites: 12 combinations, one of which did not fit, one ran out of memory."""
    chance = random.Random(0)
    rows = []
    common = {
        "machine": {"processor": "A & B", "cores": 2},
        "versions": {"torch": "2.9", "python": "3.11"},
        "git_commit": "abc",
        "started": "2026-11-23T10:00:00+00:00",
        "load": 1.5,
        "recipe": {"sampling": {"steps": 8}},
    }

    def add(suite, parts, seed=0, **fields):
        key = digest(suite, parts, seed)
        rows.append(Row(key=key, suite=suite, parts=parts, seed=seed, **{"status": "ok", **common, **fields}))

    for number, chosen in enumerate(itertools.product(*PARTS.values())):
        parts = dict(zip(PARTS, chosen, strict=True))
        a, d, _, s = (PARTS[kind].index(part) for kind, part in parts.items())
        if a == 1 and d == 2:
            reason = f"the latents of {chosen[0]} have 4 channels | unet reads 8"
            add("speed", parts, status="incompatible", reason=reason, recipe={})
            continue
        if a == 1 and d == 1 and s == 1:
            add("speed", parts, status="oom", reason="out of memory", seconds=3.0)
            continue
        time = (0.5 + d) * (1 + s) + 0.1 * a
        spread = Measure("total", time, "s", "less", time * 0.9, time * 1.1, (time, time))
        add("speed", parts, measures=(spread, Measure("tokens", 64.0 + d)), seconds=2.0)
        for seed in (0, 1):
            accuracy = 0.5 + 0.1 * d + 0.02 * s + 0.01 * chance.random()
            videos = [Artefact(f"video:{p}", "video/mp4", clip(folder, number)) for p in PROMPTS]
            measures = (Measure("accuracy", accuracy, "", "more"),)
            add(
                "generation",
                parts,
                seed,
                measures=measures,
                artefacts=tuple(videos if seed == 0 else ()),
                seconds=4.0,
            )
    for a, d in itertools.product(PARTS["autoencoder"], PARTS["denoiser"][:2]):
        loss = 1 / (1 + PARTS["denoiser"].index(d))
        curve = json.dumps([[step, loss + 1 / (step + 1)] for step in range(0, 50, 5)]).encode()
        parts = {"autoencoder": a, "denoiser": d, "text_encoder": "words", "scheduler": ""}
        add("learning", parts, measures=(Measure("validation loss", loss, "", "less"),),
            artefacts=(Artefact("curve:validation loss by step", "application/json", curve),),
            seconds=60.0, machine={**common["machine"], "cpu seconds": chance.random()})  # fmt: skip
    for number, a in enumerate(PARTS["autoencoder"]):
        parts = {"autoencoder": a, "denoiser": "", "text_encoder": "", "scheduler": ""}
        add("reconstruction", parts, measures=(Measure("psnr", 30.0 + number, "dB", "more"),), seconds=1.0)
    return rows


@pytest.fixture(scope="session")
def results(tmp_path_factory) -> Path:
    """A file of results with hostile names."""
    folder = tmp_path_factory.mktemp("results")
    path = folder / "results.db"
    with Store(path) as store:
        store.add(sample_rows(folder))
    return path
