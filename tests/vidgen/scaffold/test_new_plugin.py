"""What `vidgen new-plugin` writes is installed with pip, and passes at once."""

from __future__ import annotations

import sys
import tomllib

import pytest

from tests.stranger import pip_install, run
from vidgen.errors import ConfigError, PluginError
from vidgen.scaffold import new_plugin
from vidgen.spec import INTERFACES


@pytest.mark.parametrize("kind", INTERFACES)
def test_a_new_plugin_passes_at_once(kind, tmp_path):
    name = f"my-{kind.replace('_', '-')}"
    place = new_plugin(name, kind, tmp_path / "code")
    pip_install(tmp_path / "site", place)
    code, out = run(sys.executable, "-m", "vidgen", "conform", name, "--kind", kind, path=tmp_path / "site")
    assert code == 0, out
    assert "pass" in out.splitlines()[-1]
    options = ("-q", "-p", "no:cacheprovider", "-k", "config-is-kept or contract-without-torch")
    code, out = run(sys.executable, "-m", "pytest", *options, path=tmp_path / "site", cwd=place)
    assert code == 0, out
    assert "2 passed" in out


@pytest.mark.parametrize("kind", INTERFACES)
def test_its_code_is_clean(kind, tmp_path):
    place = new_plugin("my-part", kind, tmp_path)
    tomllib.loads((place / "pyproject.toml").read_text())
    for words in (("format", "--check"), ("check",)):
        code, out = run(sys.executable, "-m", "ruff", *words, "--isolated", ".", cwd=place)
        assert code == 0, out


def test_a_backbone_costs_at_most_forty_lines_beside_the_network(tmp_path):
    place = new_plugin("my-backbone", "denoiser", tmp_path)
    files = [
        path for path in place.rglob("*") if path.suffix in (".py", ".toml") and path.name != "denoiser.py"
    ]
    lines = [line for path in files for line in path.read_text().splitlines() if line.strip()]
    assert len(files) == 3
    assert len(lines) <= 40


@pytest.mark.parametrize("name", ["My-Net", "my_net", "9net", "a--b", "class", "json", "vidgen", ""])
def test_names_that_are_none(name, tmp_path):
    with pytest.raises(ConfigError):
        new_plugin(name, "denoiser", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_stays(tmp_path):
    with pytest.raises(ConfigError, match="already"):
        new_plugin("sora-dit", "denoiser", tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.py").write_text("x = 1")
    with pytest.raises(PluginError, match="exists"):
        new_plugin("mine", "denoiser", tmp_path)
    assert (tmp_path / "mine" / "work.py").read_text() == "x = 1"
    with pytest.raises(ConfigError, match="starts from one of"):
        new_plugin("mine", "metric", tmp_path)
    with pytest.raises(PluginError, match="could not be written"):
        new_plugin("net", "denoiser", tmp_path / "mine" / "work.py")


def test_the_command(tmp_path):
    code, out = run(sys.executable, "-m", "vidgen", "new-plugin", "my-net", "--folder", tmp_path)
    assert code == 0
    assert "pip install -e" in out
    code, out = run(sys.executable, "-m", "vidgen", "new-plugin", "my-net", "--folder", tmp_path)
    assert code == 2
    assert "exists" in out
