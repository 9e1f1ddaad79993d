"""Weights that are computed whenever they are read: from eight bits, or with low-rank changes on top.

Built on `torch.nn.utils.parametrize`, so whoever reads ``layer.weight`` gets the computed one, in or out of `forward`.
In a `state_dict` such a weight has its plain name, and the value without the changes that can be taken away again.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

__all__ = ["add_rule", "drop_rules", "rule_of", "stored"]


def add_rule(layer: nn.Module, rule: nn.Module) -> None:
    """Compute ``layer.weight`` by a rule: of what is stored, or of what the rules before it compute.

    Args:
        layer: With a weight.
        rule: Its `forward` maps what was there to the weight; with `right_inverse` the first rule of a weight says what
            is stored in its place.
    """
    if not _is_computed(layer):
        layer.__dict__["_plain_names"] = layer.register_state_dict_post_hook(_plain_names)
    parametrize.register_parametrization(layer, "weight", rule, unsafe=True)


def rule_of(layer: nn.Module, kind: type[nn.Module]) -> Any:
    """Return a layer's rule of a class; None where there is none."""
    rules = _rules(layer) if _is_computed(layer) else ()
    return next((rule for rule in rules if isinstance(rule, kind)), None)


@torch.no_grad()
def stored(layer: nn.Module) -> Tensor:
    """Return the weight without what can be taken away: as it is stored, or as its first rule computes it."""
    if not _is_computed(layer):
        return layer.get_parameter("weight")
    rules = _rules(layer)
    if hasattr(rules, "original"):
        return rules.original
    parts = [getattr(rules, f"original{number}") for number in range(rules.ntensors)]
    return rules[0](*parts)


def drop_rules(layer: nn.Module, value: Tensor | None = None) -> None:
    """Give a layer a plain weight again.

    Args:
        layer: It.
        value: The weight; None for the `stored` one (that very parameter, where one is stored).
    """
    value = stored(layer) if value is None else value
    single = hasattr(_rules(layer), "original")
    parametrize.remove_parametrizations(layer, "weight", leave_parametrized=not single)
    layer.__dict__.pop("_plain_names").remove()
    del layer.weight
    kept = value if isinstance(value, nn.Parameter) else nn.Parameter(value, requires_grad=False)
    layer.register_parameter("weight", kept)


def _rules(layer: Any) -> Any:
    return layer.parametrizations.weight


def _is_computed(layer: nn.Module) -> bool:
    return parametrize.is_parametrized(layer, "weight")


def _plain_names(layer: nn.Module, state: dict[str, Any], prefix: str, _: Any) -> None:
    inside = f"{prefix}parametrizations.weight."
    for name in [name for name in state if name.startswith(inside)]:
        del state[name]
    state[f"{prefix}weight"] = stored(layer).detach()
