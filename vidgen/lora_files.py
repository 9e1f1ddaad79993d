"""What LoRA files hold, and which of a part's layers they mean.

Read are peft's ``adapter_model.safetensors`` (with its ``adapter_config.json``), diffusers'
``pytorch_lora_weights.safetensors``, and single files with ``lora_down`` / ``lora_up`` / ``alpha``.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from vidgen.errors import CheckpointError
from vidgen.hub import fetch
from vidgen.published import PublishedLayout
from vidgen.tensors import read_json

__all__ = ["ADAPTER", "SETTINGS", "Change", "find_file", "read_changes", "targets"]

ADAPTER, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
PEFT = "base_model.model."
"""What peft puts before all names of its files."""
FILES = (ADAPTER, "pytorch_lora_weights.safetensors")
ROLE = re.compile(r"(.+)\.(?:lora_(A|B|down|up)(?:\.[\w-]+)?\.weight|(alpha))")
"""A tensor's name: where it belongs, and what it is there."""
FLAT = re.compile(r"lora_[a-z]+\d?_(.+)")
"""The form of names whose dots became underscores."""


@dataclass(frozen=True, slots=True)
class Change:
    """One weight's change, as a file holds it: ``share * up @ down``.

    Attributes:
        down: ``[rank, inputs, ...]``.
        up: ``[outputs, rank, ...]``.
        share: What the product is multiplied by: alpha over the rank.
    """

    down: Tensor
    up: Tensor
    share: float

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weight that it fits."""
        return (len(self.up), *self.down.shape[1:])


def find_file(source: str | Path, file: str | None = None) -> Path:
    """Return the file of a LoRA: the path itself, or the one in a folder, fetched from the Hub if need be.

    Raises:
        CheckpointError: When there is none, or several.
    """
    path = Path(source)
    if path.is_file():
        return path
    if not path.exists():
        if str(source).count("/") != 1:
            raise CheckpointError(f"There is no LoRA {str(source)!r}: no file, no folder and no Hub id.")
        path = fetch(str(source), ["*.safetensors", SETTINGS])
    names = sorted(one.name for one in path.glob("*.safetensors"))
    chosen = [file] if file else [name for name in FILES if name in names] or names
    if len(chosen) != 1 or chosen[0] not in names:
        held = ", ".join(names[:5]) or "none"
        raise CheckpointError(
            f"{source} does not hold one LoRA to take; say file= of its safetensors: {held}."
        )
    return path / chosen[0]


def read_changes(path: Path) -> dict[str, Change]:
    """Return what a file changes, by its own names of the weights.

    Raises:
        CheckpointError: For a damaged file, and for what is no LoRA or one of a kind that is not implemented.
    """
    tensors, settings = _read(path)
    found: dict[str, dict[str, Tensor]] = {}
    strange = []
    for name, tensor in tensors.items():
        match = ROLE.fullmatch(name)
        if match is None:
            strange.append(name)
        else:
            role = {"A": "down", "B": "up"}.get(match[2], match[2] or "alpha")
            found.setdefault(match[1], {})[role] = tensor
    strange += [owner for owner, roles in found.items() if not {"down", "up"} <= roles.keys()]
    if strange or not found:
        held = _some(strange) or "nothing"
        raise CheckpointError(f"{path} holds {held}: only pairs of lora_A and lora_B (down and up) are read.")
    flat = [owner for owner, roles in found.items() if min(roles["down"].ndim, roles["up"].ndim) < 2]
    flat += [owner for owner, roles in found.items() if owner not in flat and not len(roles["down"])]
    if flat:
        raise CheckpointError(f"{path} is damaged: rows are missing for {_some(flat)}.")
    return {
        owner: Change(roles["down"], roles["up"], _share(owner, roles, settings))
        for owner, roles in found.items()
    }


@dataclass(frozen=True, slots=True)
class _Settings:
    """What a file says of its changes beside them, as peft names it.

    Attributes:
        alpha: Of all, None for the rank.
        patterns: Of some, by regular expressions of their names.
        root: Whether alpha is divided by the root of the rank.
    """

    alpha: float | None
    patterns: Mapping[str, float]
    root: bool

    @classmethod
    def of(cls, data: Any, where: Path) -> _Settings:
        try:
            alpha, patterns = data.get("lora_alpha"), data.get("alpha_pattern") or {}
            return cls(
                alpha=None if alpha is None else float(alpha),
                patterns={
                    re.compile(rf"(.*\.)?({key})").pattern: float(one) for key, one in patterns.items()
                },
                root=bool(data.get("use_rslora")),
            )
        except (AttributeError, TypeError, ValueError, re.error) as problem:
            raise CheckpointError(
                f"{where} is damaged: lora_alpha must be a number, alpha_pattern a table of such ({problem})."
            ) from problem


def _read(path: Path) -> tuple[dict[str, Tensor], _Settings]:
    """Return a file's tensors, and the settings from beside it (peft) or from inside (diffusers)."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            tensors = {name: file.get_tensor(name) for name in names}
            inside = json.loads((file.metadata() or {}).get("lora_adapter_metadata", "{}"))
    except (OSError, SafetensorError, ValueError) as problem:
        raise CheckpointError(f"{path} is damaged or no safetensors file ({problem}).") from problem
    beside = path.with_name(SETTINGS)
    if beside.exists():
        return tensors, _Settings.of(read_json(beside), beside)
    # diffusers puts the part's name before each setting: "transformer.lora_alpha"
    if isinstance(inside, Mapping):
        inside = {name.rpartition(".")[2]: value for name, value in inside.items()}
    return tensors, _Settings.of(inside, path)


def _share(owner: str, roles: Mapping[str, Tensor], settings: _Settings) -> float:
    rank = len(roles["down"])
    special = [
        value for key, value in settings.patterns.items() if re.fullmatch(key, owner.removeprefix(PEFT))
    ]
    if "alpha" in roles:
        alpha = float(roles["alpha"])
    elif special:
        alpha = special[0]
    else:
        alpha = rank if settings.alpha is None else settings.alpha
    return alpha / (rank**0.5 if settings.root else rank)


def targets(part: nn.Module, changes: Mapping[str, Change], path: Path) -> dict[str, str]:
    """Return the part's name of each weight that a file changes.

    Names that the part was published under are known too; what a file puts before all of its names is left out.

    Raises:
        CheckpointError: For a file that was made for another model; the first names or shapes are given.
    """
    layers = {name: layer for name, layer in part.named_modules() if isinstance(layer, (nn.Linear, _ConvNd))}
    flat = [FLAT.fullmatch(name) for name in changes]
    if all(flat):
        dotted = {name.replace(".", "_"): name for name in layers}
        found = {name: dotted.get(match[1]) for name, match in zip(changes, flat, strict=True) if match}
    else:
        found = _without_beginnings(part, layers.keys(), changes.keys())
    counts = Counter(found.values())
    strange = [name for name in changes if found.get(name) is None or counts[found[name]] > 1]
    if strange:
        raise CheckpointError(
            f"{path} was made for another model: {type(part).__name__} has no {_some(strange)}."
        )
    known = {name: own for name, own in found.items() if own is not None}
    wrong = []
    for name, own in known.items():
        change, shape = changes[name], tuple(layers[own].weight.shape)
        pointwise = (
            change.up.ndim > 1 and change.up[0, 0].numel() == 1 and change.up.shape[1] == len(change.down)
        )
        if change.shape != shape or not pointwise:
            wrong.append(f"{own} {list(change.shape)} (here {list(shape)})")
    if wrong:
        raise CheckpointError(f"{path} was made for another model: it has other shapes for {_some(wrong)}.")
    return known


def _without_beginnings(
    part: nn.Module, own: Collection[str], theirs: Collection[str]
) -> dict[str, str | None]:
    """Leave so many first words of all the file's names out, and put one of the part's modules before: as fits most."""
    layout: Any = next((one for one in part.modules() if isinstance(one, PublishedLayout)), None)
    before = ["", *(f"{name}." for name, _ in part.named_modules() if name and name.count(".") < 2)]
    best: dict[str, str | None] = {}
    for count in range(min(4, *(name.count(".") for name in theirs)) + 1):
        short = {name: name.split(".", count)[-1] for name in theirs}
        if layout is not None:
            weights = [f"{name}.weight" for name in short.values()]
            renamed = layout.rename(weights, layout.config)
            short = {
                name: renamed.get(weight, weight).removesuffix(".weight")
                for name, weight in zip(short, weights, strict=True)
            }
        for beginning in before:
            found = {name: beginning + one if beginning + one in own else None for name, one in short.items()}
            # Several of theirs must not become one of ours: those of blocks that the part lacks would.
            if len({*found.values(), None}) > len({*best.values(), None}):
                best = found
    return best


def _some(names: Collection[str]) -> str:
    first = sorted(names)[:3]
    return ", ".join(first) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
