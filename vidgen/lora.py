"""Low-rank changes of a part's weights (LoRA, https://arxiv.org/abs/2106.09685): on, off, stronger, merged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidgen.errors import ConfigError
from vidgen.lora_files import ADAPTER, SETTINGS, Change, find_file, read_changes, targets
from vidgen.nn.computed import add_rule, drop_rules, rule_of, stored

__all__ = ["Lora", "load_lora", "merge_loras", "unmerge_loras"]


class Lora:
    """A LoRA that is on a part; made by `load_lora`.

    Args:
        part: What it changes.
        name: Where it came from.
        scale: How much of it is added.
    """

    def __init__(self, part: nn.Module, name: str, scale: float) -> None:
        self.part, self.name, self._scale = part, name, scale
        self.terms: dict[str, Term] = {}

    def __repr__(self) -> str:
        return f"Lora({self.name!r}, {len(self.terms)} weights, scale={self.scale})"

    @property
    def scale(self) -> float:
        """How much of it is added: 0 nothing, 1 as it was trained. Set it at any time, unless it is merged."""
        return self._scale

    @scale.setter
    def scale(self, value: float) -> None:
        self._refuse_merged()
        self._scale = float(value)

    def unload(self) -> None:
        """Take it off; a part without any has the very weights that it had before."""
        _settle(self.part)
        self._refuse_merged()
        for name, term in self.terms.items():
            layer = self.part.get_submodule(name)
            rule = rule_of(layer, LoraSum)
            rule.terms = nn.ModuleList([other for other in rule.terms if other is not term])
            if not len(rule.terms) and isinstance(stored(layer), nn.Parameter):
                drop_rules(layer)
        self.terms = {}

    def save(self, folder: str | Path) -> Path:
        """Write it in peft's layout, under this part's own names; `scale` is not written.

        Args:
            folder: Made if need be; files of peft's names in it are replaced.
        """
        from safetensors.torch import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors, ranks, alphas = {}, {}, {}
        for name, term in self.terms.items():
            for role, tensor in (("A", term.down), ("B", term.up)):
                tensors[f"base_model.model.{name}.lora_{role}.weight"] = tensor.detach().cpu().contiguous()
            ranks[name], alphas[name] = len(term.down), term.share * len(term.down)
        rank = max(ranks.values(), default=1)
        settings = {
            "peft_type": "LORA",
            "base_model_name_or_path": None,
            "target_modules": sorted(self.terms),
            "r": rank,
            "lora_alpha": rank,
            "rank_pattern": ranks,
            "alpha_pattern": alphas,
        }
        save_file(tensors, folder / f".{ADAPTER}", metadata={"format": "pt"})
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n")
        (folder / f".{ADAPTER}").replace(folder / ADAPTER)
        return folder

    def _refuse_merged(self) -> None:
        if any(rule_of(self.part.get_submodule(name), LoraSum).base is not None for name in self.terms):
            raise ConfigError("The LoRA is merged: call unmerge_loras(part) first, then change it.")


class Term(nn.Module):
    """What a LoRA adds to one weight.

    Args:
        lora: Whose scale holds.
        change: As the file holds it.
        device: Where the weight is.
    """

    def __init__(self, lora: Lora, change: Change, device: torch.device) -> None:
        super().__init__()
        self.lora, self.share = lora, change.share
        self.down = nn.Parameter(change.down.to(device), requires_grad=False)
        self.up = nn.Parameter(change.up.to(device), requires_grad=False)

    def forward(self) -> Tensor:
        """Return ``[outputs, inputs * kernel]`` in float32."""
        return (self.lora.scale * self.share) * (self.up.flatten(1).float() @ self.down.flatten(1).float())


class LoraSum(nn.Module):
    """The rule of a weight that one or several LoRAs change."""

    def __init__(self) -> None:
        super().__init__()
        self.terms = nn.ModuleList()
        self.base: Tensor | None = None
        """What was stored before the sum was merged into it, on the CPU; None unless it is merged."""

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with all of them added, rounded once."""
        if self.base is not None or not len(self.terms):
            return weight
        added = sum(term() for term in self.terms)
        return (weight.float() + added.view_as(weight)).to(weight.dtype)


def load_lora(part: nn.Module, source: str | Path, scale: float = 1.0, *, file: str | None = None) -> Lora:
    """Put a LoRA on a part; several add up.

    Args:
        part: Any part; its linear layers and convolutions can be changed.
        source: A safetensors file, a folder, or a Hub id.
        scale: How much of it is added.
        file: Which one of a folder or repository; None for the name that peft or diffusers gives it, or the only one.

    Raises:
        CheckpointError: For what is no LoRA, is of a kind that is not implemented, or was made for another model; the
            first names are given.
        ConfigError: For a part whose LoRAs are merged, or that is quantised by torchao.
    """
    path = find_file(source, file)
    changes = read_changes(path)
    names = targets(part, changes, path)
    _settle(part)
    layers = {name: part.get_submodule(own) for name, own in names.items()}
    for name, layer in layers.items():
        if type(stored(layer).data) is not Tensor:
            raise ConfigError(
                f"{names[name]} is quantised by torchao: load the LoRA before, and merge it (keep=False)."
            )
        rule = rule_of(layer, LoraSum)
        if rule is not None and rule.base is not None:
            raise ConfigError("LoRAs of this part are merged: call unmerge_loras(part) first.")
    lora = Lora(part, str(source), float(scale))
    for name, layer in layers.items():
        if rule_of(layer, LoraSum) is None:
            add_rule(layer, LoraSum())
        term = Term(lora, changes[name], stored(layer).device)
        rule_of(layer, LoraSum).terms.append(term)
        lora.terms[names[name]] = term
    return lora


@torch.no_grad()
def merge_loras(part: nn.Module, *, keep: bool = True) -> int:
    """Write the LoRAs of a part into its weights, so that they cost nothing when it works.

    Args:
        part: It.
        keep: Keep the weights as they were too, on the CPU, so that `unmerge_loras` gives exactly them back. Else the
            LoRAs are in the weights for good.

    Returns:
        The number of weights.

    Raises:
        ConfigError: For weights that are kept in fewer bits.
    """
    _settle(part)
    sums = _sums(part)
    if any(not isinstance(stored(layer), nn.Parameter) for layer, _ in sums):
        raise ConfigError(
            "Weights that are kept as 'fp8' take no merged LoRA: merge first, then set storage=."
        )
    for layer, rule in sums:
        plain = stored(layer)
        value = layer.weight.detach().clone()
        if not keep:
            drop_rules(layer)
        elif rule.base is None:
            rule.base = plain.detach().to("cpu", copy=True)
        plain.data = value
    return len(sums)


@torch.no_grad()
def unmerge_loras(part: nn.Module) -> int:
    """Undo `merge_loras`, bit for bit; returns the number of weights."""
    _settle(part)
    count = 0
    for layer, rule in _sums(part):
        if rule.base is not None:
            plain = stored(layer)
            plain.data = rule.base.to(plain.device, plain.dtype)
            rule.base = None
            count += 1
    return count


def _sums(part: nn.Module) -> list[tuple[Any, LoraSum]]:
    found = [(layer, rule_of(layer, LoraSum)) for layer in part.modules()]
    return [(layer, rule) for layer, rule in found if rule is not None]


def _settle(part: nn.Module) -> None:
    """Let a part's weights be themselves, not copies on a device (see `vidgen.sampling.offload`)."""
    offload = getattr(part, "offload", None)
    if offload is not None:
        offload.release()
