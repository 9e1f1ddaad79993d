"""A distribution of a stranger, made of files: what discovery sees after `pip install`, without pip."""

from __future__ import annotations

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
