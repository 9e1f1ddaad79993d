"""The plugins under docs/examples are a stranger's: installed with pip, held to their word, recombined with ours."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.stranger import pip_install, run
from vidgen.spec import INTERFACES

EXAMPLES = sorted((Path(__file__).parents[2] / "docs" / "examples").glob("vidgen-plugin-*"))
PARTS = {"convnet": "denoiser", "deis": "scheduler", "haar": "autoencoder", "ngrams": "text_encoder"}

USE = """
import vidgen
parts = {"denoiser": "convnet/tiny", "scheduler": "deis"}
pipe = vidgen.compose(autoencoder="haar", text_encoder="ngrams/tiny", **parts)
video = pipe("a red circle", frames=5, height=32, width=48, steps=3, seed=0, guidance=2.0, show_progress=False)
assert video.numpy().shape == (5, 32, 48, 3), video
mixed = vidgen.compose(autoencoder="sora-vae/tiny", text_encoder="words/tiny", **parts)
video = mixed("a red circle", frames=5, height=32, width=32, steps=2, seed=0, show_progress=False)
assert video.numpy().shape == (5, 32, 32, 3), video
trained = {"autoencoder": "haar", "denoiser": "sora-dit@kinetic", "text_encoder": "ngrams", "scheduler": "euler"}
assert vidgen.check(trained)
"""

TRAIN = """
autoencoder = "haar"
denoiser = "convnet/tiny"
text_encoder = "ngrams/tiny"
scheduler = "deis"
[train]
steps = 3
warmup = 1
[[data]]
name = "kinetic"
size = "5x32x32"
batch = 2
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    pip_install(folder, *EXAMPLES)
    return folder


def test_there_is_one_of_each_kind(site):
    code, out = run(sys.executable, "-m", "vidgen", "plugins", "--json", path=site)
    assert code == 0, out
    for name, kind in PARTS.items():
        code, out = run(sys.executable, "-m", "vidgen", "list", kind, name, "--json", path=site)
        assert [one["name"] for one in json.loads(out)] == [name]
    assert sorted(PARTS.values()) == sorted(INTERFACES)
    assert len(EXAMPLES) == len(PARTS)


@pytest.mark.parametrize("name", PARTS)
def test_conformance(name, site):
    code, out = run(sys.executable, "-m", "vidgen", "conform", name, "--kind", PARTS[name], path=site)
    assert code == 0, out


def test_they_recombine_with_one_another_and_with_ours(site):
    code, out = run(sys.executable, "-c", USE, path=site)
    assert code == 0, out


def test_they_train(site, tmp_path):
    (tmp_path / "recipe.toml").write_text(TRAIN)
    code, out = run(
        sys.executable,
        "-m",
        "vidgen",
        "train",
        tmp_path / "recipe.toml",
        "--out",
        tmp_path / "run",
        path=site,
    )
    assert code == 0, out
    assert (tmp_path / "run" / "pipeline" / "recipe.toml").exists()


def test_the_backbone_costs_at_most_forty_lines_beside_its_network():
    folder = next(path for path in EXAMPLES if path.name.endswith("convnet"))
    files = [
        path for path in folder.rglob("*") if path.suffix in (".py", ".toml") and path.name != "denoiser.py"
    ]
    assert sum(bool(line.strip()) for path in files for line in path.read_text().splitlines()) <= 40
