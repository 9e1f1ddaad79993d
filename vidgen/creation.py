"""Creating components by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidgen.config import Config
from vidgen.errors import ConfigError
from vidgen.parts import Address, build, resolve
from vidgen.registry import find
from vidgen.trained import load_trained

__all__ = ["create"]


def create(
    kind: str,
    name: str,
    *,
    config: Config | Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    **overrides: Any,
) -> Any:
    """Create a component by name.

    Args:
        kind: One of `vidgen.KINDS`.
        name: ``"name"``, ``"name/preset"`` or with weights ``"name/preset@tag"``.
        config: A configuration that replaces the preset.
        weights: None for random weights, a tag of shipped weights, or a folder with ``config.json`` and safetensors,
            ours or in the part's published layout; then the folder's configuration is used.
        **overrides: Fields of the configuration to change.

    Returns:
        The component; a part of the four interfaces is in evaluation mode.

    Raises:
        UnknownNameError: For a name, preset or tag that nobody registered.
        ConfigError: For an unknown or wrong field.
    """
    address = Address.parse(name)
    spec = find(kind, address.name)
    weights = weights if weights is not None else address.weights
    if weights is not None:
        if config is not None or overrides or address.preset:
            raise ConfigError(
                f"{name!r}: trained weights bring their own configuration; leave preset and fields out."
            )
        return load_trained(spec, weights)
    return build(spec, resolve(spec, address.preset, config, overrides))
