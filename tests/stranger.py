"""Distributions of a stranger: made of files, as discovery sees them after `pip install`, or installed with pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

GOOD = """
import vidgen
from vidgen.config import config
from vidgen.hookspecs import hookimpl

@config
class ThingConfig(vidgen.Config):
    size: int = 1

@hookimpl
def vidgen_components():
    return [vidgen.ComponentSpec(
        kind="suite", name="{name}", target="{module}:Thing", config=ThingConfig, summary="Of a stranger.")]

class Thing:
    def __init__(self, config):
        self.config = config
"""


def install(
    folder: Path, code: str, *, name: str = "acme", distribution: str = "acme", module: str = ""
) -> str:
    """Write a module and its distribution's metadata; returns the module's name."""
    module = module or f"{name}_module"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{distribution}-0.1.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text(f"[vidgen]\n{name} = {module}\n")
    return module


def pip_install(target: Path, *folders: Path) -> None:
    """Install packages with pip, offline, into a folder of their own; nothing is built in theirs."""
    built = target.with_name(f"{target.name}-built")
    copies = [shutil.copytree(folder, built / folder.name) for folder in folders]
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--target")
    code, out = run(sys.executable, "-m", "pip", "install", *options, target, *copies)
    assert code == 0, out


def run(*command: object, path: Path | None = None, cwd: Path | None = None) -> tuple[int, str]:
    """Run a command, with a folder on Python's path; returns its code and all that it said."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, env=environment, cwd=cwd, check=False)
    return done.returncode, done.stdout + done.stderr
