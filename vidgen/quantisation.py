"""Weights in eight bits or four: our own float8 storage, and torchao's kinds where it is installed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from vidgen.errors import ConfigError, MissingDependencyError, closest
from vidgen.nn.blocks import blocks_of
from vidgen.nn.computed import add_rule, drop_rules, rule_of

__all__ = ["STORAGES", "Float8", "quantise", "unpack"]

TORCHAO: Mapping[str, str] = MappingProxyType(
    {
        "int8-weight-only": "Int8WeightOnlyConfig",
        "int8-dynamic": "Int8DynamicActivationInt8WeightConfig",
        "float8-weight-only": "Float8WeightOnlyConfig",
        "float8-dynamic": "Float8DynamicActivationFloat8WeightConfig",
    }
)
STORAGES = ("fp8", *TORCHAO)
"""Ways to keep weights: ``fp8`` is ours and works on every device; the others are torchao's."""

LARGEST = torch.finfo(torch.float8_e4m3fn).max


class Float8(nn.Module):
    """A rule for a weight that is kept in float8 (e4m3), with a scale for each row, and cast up when it is read.

    A row's largest value is exact; any other that is at least a 28,672th of it is off by at most 1/16 of itself.

    Args:
        dtype: Of the weight that is read.
    """

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is stored of a weight ``[rows, columns]``: float8, and float32 ``[rows, 1]``."""
        exact = weight.float()
        scale = (exact.abs().amax(dim=1, keepdim=True) / LARGEST).clamp(min=torch.finfo(torch.float32).tiny)
        return (exact / scale).to(torch.float8_e4m3fn), scale

    def forward(self, stored: Tensor, scale: Tensor) -> Tensor:
        """Return the weight."""
        return (stored.float() * scale.float()).to(self.dtype)


def quantise(part: nn.Module, storage: str) -> int:
    """Keep the weights of the linear layers in a part's blocks in fewer bits; norms, embeddings and ends stay.

    Args:
        part: A denoiser or text encoder; changed in place.
        storage: One of `STORAGES`.

    Returns:
        The number of layers that are kept so.

    Raises:
        ConfigError: For another name, for a part without blocks, and for torchao's kinds under a LoRA.
        MissingDependencyError: Without torchao, for its kinds.
    """
    if storage not in STORAGES:
        raise ConfigError(
            f"There is no storage {storage!r}.{closest(storage, STORAGES)} Known: {', '.join(STORAGES)}."
        )
    layers = _layers(part)
    if not layers:
        raise ConfigError(f"{type(part).__name__} has no blocks of linear layers to keep as {storage!r}.")
    computed = [layer for layer in layers if nn.utils.parametrize.is_parametrized(layer, "weight")]
    if any(rule_of(layer, Float8) is None for layer in computed):
        raise ConfigError(f"Unload the LoRA, or merge it for good (keep=False), before storage={storage!r}.")
    plain = [layer for layer in layers if layer not in computed and type(layer.weight.data) is Tensor]
    if storage == "fp8":
        for layer in plain:
            layer.weight.requires_grad_(False)
            add_rule(layer, Float8(layer.weight.dtype))
    else:
        _torchao(part, plain, storage)
    return len(layers)


def unpack(part: nn.Module) -> None:
    """Make the weights that are kept as ``fp8`` plain again; what the storage rounded stays rounded.

    Raises:
        ConfigError: Under a LoRA.
    """
    kept = [layer for layer in _layers(part) if rule_of(layer, Float8) is not None]
    if any(len(layer.parametrizations.weight) > 1 for layer in kept):  # type: ignore[union-attr,arg-type]
        raise ConfigError("Unload the LoRA before its part's weights become plain again.")
    for layer in kept:
        drop_rules(layer)


def _layers(part: nn.Module) -> list[nn.Linear]:
    found = [layer for block in blocks_of(part) for layer in block.modules() if isinstance(layer, nn.Linear)]
    return list(dict.fromkeys(found))


def _torchao(part: nn.Module, layers: list[nn.Linear], storage: str) -> None:
    try:
        import torchao.quantization as torchao
    except ImportError as problem:
        raise MissingDependencyError(
            f"storage={storage!r} is torchao's: pip install 'vidgen-components[quantise]' (or take 'fp8')."
        ) from problem
    chosen = set(layers)
    rule: Any = getattr(torchao, TORCHAO[storage])()
    torchao.quantize_(part, rule, filter_fn=lambda layer, _: layer in chosen)
