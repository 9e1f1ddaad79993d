"""A suite run in this process on a tiny combination."""

from __future__ import annotations

import pytest

import vidgen
from vidgen.bench.plan import Plan
from vidgen.bench.work import Work

SMALL = {"frames": 5, "height": 16, "width": 16, "steps": 3, "guidance": 1.0}
PARTS = {
    "autoencoder": ("sora-vae/tiny",),
    "denoiser": ("sora-dit/tiny",),
    "text_encoder": ("words/tiny",),
    "scheduler": ("euler",),
}


@pytest.fixture
def measured(tmp_path):
    """Run a suite in this process; returns what it found."""

    def run(settings, seed=0, **plan) -> Work:
        spec = next(
            vidgen.find("suite", name)
            for name in vidgen.list_components("suite")
            if vidgen.find("suite", name).config is type(settings)
        )
        (job,) = Plan(**{**PARTS, "sampling": SMALL, **plan}, suites=(spec.name,)).jobs()
        pauses = []
        work = Work(job.recipe, seed=seed, device="cpu", dtype="float32", shared=tmp_path / "shared",
                    pause=lambda: pauses.append(1))  # fmt: skip
        vidgen.create("suite", spec.name, config=settings).measure(work)
        work.pauses = len(pauses)
        return work

    return run
