"""What the page says of parts, without gradio and without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from vidgen.cli.app import app
from vidgen.matrix import combinations
from vidgen.size import Size
from vidgen.spec import INTERFACES
from vidgen.ui.combination import alternatives, another, default_parts, every, fit, judge, said

FIRST = default_parts()
MISFIT = {**FIRST, "autoencoder": "wan-vae/2.1"}


def test_the_default_is_the_shipped_model():
    assert [FIRST[kind].partition("@")[2] for kind in INTERFACES[:3]] == ["kinetic"] * 3
    assert judge(FIRST).status == "native"
    assert said(FIRST) == (True, ["native: runs as trained"])


def test_something_else_stands_beside_it():
    other = another(FIRST)
    assert {kind for kind in INTERFACES if other[kind] != FIRST[kind]} == {"scheduler"}
    assert judge(other).status == "native"


@pytest.mark.parametrize("kind", INTERFACES)
def test_greyed_are_those_that_the_matrix_refuses_for_its_reasons(kind):
    rows = combinations({**{one: [address] for one, address in FIRST.items()}, kind: every(kind)})
    refused = {row.parts[kind]: row.reasons for row in rows}
    found = {choice.address: choice.reasons for choice in alternatives(FIRST, kind)}
    assert found == refused
    assert any(found.values()) or kind == "scheduler"
    greyed = [bool(choice.reasons) for choice in alternatives(FIRST, kind)]
    assert greyed == sorted(greyed)


def test_reasons_of_others_grey_nothing():
    assert judge(MISFIT).status == "refused"
    assert not any(
        choice.reasons for choice in alternatives(MISFIT, "text_encoder") if "words@" in choice.address
    )
    fitting = [choice.address for choice in alternatives(MISFIT, "autoencoder") if not choice.reasons]
    assert FIRST["autoencoder"] in fitting
    assert MISFIT["autoencoder"] not in fitting


def test_a_misfit_says_what_the_command_line_says():
    able, (status, *reasons) = said(MISFIT)
    assert not able
    assert status == "does not fit"
    options = [word for kind in INTERFACES for word in (f"--{kind.replace('_', '-')}", MISFIT[kind])]
    printed = CliRunner().invoke(app, ["matrix", *options]).output
    assert reasons
    assert all(reason in printed for reason in reasons)


def test_random_weights_are_said():
    able, lines = said({**FIRST, "autoencoder": "sora-vae/tiny", "denoiser": "sora-dit/tiny"})
    assert able
    assert lines == ["must be trained: random weights in autoencoder, denoiser, so expect noise"]


@pytest.mark.parametrize(
    ("size", "able", "word"),
    [
        (Size(17, 64, 64), True, ""),
        (Size(16, 64, 60), True, "makes 17x64x64, which is cropped to 16x64x60"),
        (Size(0, 64, 64), False, "at least 1"),
    ],
)
def test_sizes_are_made_padded_or_refused(size, able, word):
    line, fine = fit(FIRST, size)
    assert fine is able
    assert word in line
    assert bool(line) is bool(word)


def test_a_size_beyond_the_largest_is_refused():
    line, able = fit({**FIRST, "autoencoder": "wan-vae/tiny", "denoiser": "wan/tiny"}, Size(4096, 64, 64))
    assert not able
    assert line.startswith("wan/tiny cannot make 4096x64x64; take ")


@pytest.mark.parametrize(
    "code", ["import vidgen.ui.combination, vidgen.ui.state", "import vidgen, vidgen.cli.app, vidgen.ui"]
)
def test_neither_gradio_nor_torch_is_imported(code):
    report = "; import sys; print([m for m in ('gradio', 'torch', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_without_gradio_one_line_says_what_to_install():
    code = (
        "import sys, importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'gradio' else find(name, *rest)\n"
        "sys.argv = ['vidgen', 'ui', '--no-browser']\n"
        "from vidgen.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == "error: The page needs gradio: pip install 'vidgen-components[ui]'.\n"
    assert done.stdout == ""
