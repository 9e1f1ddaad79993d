"""What open_clip says of its models, read as JSON from its folder: neither it nor torch is imported."""

from __future__ import annotations

import functools
import importlib.util
import json
from pathlib import Path
from typing import Any

from vidgen.errors import ConfigError, closest

__all__ = ["model_names", "read_model"]


@functools.cache
def _folder() -> Path | None:
    spec = importlib.util.find_spec("open_clip")
    places = spec.submodule_search_locations if spec else None
    return Path(next(iter(places))) / "model_configs" if places else None


def model_names() -> list[str]:
    """Return the names of all models, sorted; none when open_clip is not installed."""
    folder = _folder()
    return sorted(path.stem for path in folder.glob("*.json")) if folder else []


def read_model(name: str) -> dict[str, Any] | None:
    """Return a model's table with ``embed_dim`` and ``text_cfg``; None when open_clip is not installed.

    Raises:
        ConfigError: For a name that is not in the table, with close matches.
    """
    folder = _folder()
    if folder is None:
        return None
    if name not in model_names():
        raise ConfigError(
            f"open_clip knows no model {name!r}.{closest(name, model_names())} "
            f"open_clip.list_models() shows all {len(model_names())}."
        )
    table: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return table
