"""Every error that a user can cause: one clear line that says what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "CheckpointError",
    "ConfigError",
    "ContractError",
    "DuplicateComponentError",
    "MissingDependencyError",
    "PluginError",
    "RecipeError",
    "ResultsError",
    "SizeError",
    "UnknownNameError",
    "VideoError",
    "VidgenError",
    "closest",
]


class VidgenError(Exception):
    """Base of all errors raised for a user's mistake; its text is one line with a remedy."""


class UnknownNameError(VidgenError, LookupError):
    """A component, preset, kind or tag that nobody registered."""


class DuplicateComponentError(VidgenError, ValueError):
    """Two owners registered the same name of the same kind."""


class PluginError(VidgenError):
    """A plugin that cannot be loaded or declares something malformed."""


class ConfigError(VidgenError, ValueError):
    """A configuration value of the wrong type or range, or an unknown key."""


class RecipeError(VidgenError, ValueError):
    """A recipe file that cannot be read or lacks a part."""


class ResultsError(VidgenError, ValueError):
    """A file of measured results that cannot be read, or is of another kind."""


class ContractError(VidgenError, ValueError):
    """Parts that do not fit together; names both sides, the field and a remedy."""


class SizeError(VidgenError, ValueError):
    """A number of frames, a height or a width that the parts cannot make."""


class VideoError(VidgenError, ValueError):
    """A video file or tensor that cannot be used."""


class CheckpointError(VidgenError, ValueError):
    """Weights that are missing, damaged or made for another part."""


class MissingDependencyError(VidgenError, ImportError):
    """An optional package that is absent or broken."""


def closest(name: str, known: Iterable[str]) -> str:
    """Return a hint such as ``did you mean 'sora-vae'?`` or an empty string.

    Args:
        name: What the user wrote.
        known: The names that would have been understood.
    """
    matches = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.5)
    if not matches:
        return ""
    return f" Did you mean {' or '.join(repr(match) for match in matches)}?"
