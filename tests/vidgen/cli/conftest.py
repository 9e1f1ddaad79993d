from __future__ import annotations

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from vidgen.cli import app

TINY = ("--autoencoder", "sora-vae/tiny", "--denoiser", "sora-dit/tiny", "--text-encoder", "words/tiny")

RECIPE = """
autoencoder = "sora-vae/tiny"
denoiser = "sora-dit/tiny"
text_encoder = "words/tiny"
scheduler = "euler"
[sampling]
frames = 5
height = 16
width = 16
[train]
steps = 2
precision = "fp32"
[[data]]
name = "kinetic"
size = "5x16x16"
batch = 2
"""


@pytest.fixture
def vidgen() -> Callable[..., Result]:
    """Run the command line in this process."""

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words])

    return run


@pytest.fixture
def refused(vidgen) -> Callable[..., str]:
    """Run what must be refused, by one line on stderr and exit code 2; returns the line."""

    def run(*words: str) -> str:
        result = vidgen(*words)
        assert result.exit_code == 2, result.output
        *notes, line = result.stderr.splitlines()  # what it is about to do may be noted before
        assert line.startswith("error: ")
        assert all(note.startswith(("Pipeline(", "memory=", "warning: ", "training ")) for note in notes)
        return line

    return run


@pytest.fixture
def tiny() -> tuple[str, ...]:
    """Names of three tiny parts, without a scheduler."""
    return TINY


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A training recipe, in a folder that is also where the commands run."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    return path
