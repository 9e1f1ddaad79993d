"""Optimisers, learning-rate schedules and averaged weights."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from vidgen.errors import MissingDependencyError
from vidgen.train.config import TrainConfig

__all__ = ["Averaged", "make_optimizers", "rate_factor"]


def make_optimizers(module: nn.Module, settings: TrainConfig) -> list[torch.optim.Optimizer]:
    """Return the optimisers of a module's trainable parameters.

    Muon (Keller Jordan 2024; scaling of arXiv 2502.16982) takes the hidden matrices: two-dimensional weights of linear
    layers that are not embeddings and neither enter nor leave the network (a side of 64 or less).
    """
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    embeddings = {id(p) for m in module.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    matrices = []
    if settings.optimizer == "muon":
        matrices = [p for _, p in named if p.ndim == 2 and min(p.shape) > 64 and id(p) not in embeddings]
    chosen = {id(p) for p in matrices}
    rest = [p for _, p in named if id(p) not in chosen]
    decayed, plain = [p for p in rest if p.ndim >= 2], [p for p in rest if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": settings.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizers: list[torch.optim.Optimizer] = []
    if rest:
        make, options = _adamw(settings.optimizer)
        optimizers.append(make(groups, lr=settings.learning_rate, betas=(0.9, 0.99), **options))
    if matrices:
        optimizers.append(
            torch.optim.Muon(
                matrices,
                lr=settings.muon_learning_rate,
                weight_decay=settings.weight_decay,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    return optimizers


def _adamw(name: str) -> tuple[Callable[..., torch.optim.Optimizer], dict[str, bool]]:
    """Return the maker of AdamW and its options.

    Raises:
        MissingDependencyError: When 8-bit states are wanted and no library for them is installed.
    """
    if name != "adamw8bit":
        return torch.optim.AdamW, {"fused": True}
    for module in ("bitsandbytes.optim", "torchao.optim"):
        try:
            return importlib.import_module(module).AdamW8bit, {}
        except ImportError:
            continue
    raise MissingDependencyError(
        "train.optimizer 'adamw8bit' needs a library that is not installed: pip install bitsandbytes (or torchao)."
    )


def rate_factor(step: int, settings: TrainConfig) -> float:
    """Return the factor on the learning rates at a step (from 0)."""
    warm = min(1.0, (step + 1) / max(1, settings.warmup))
    part = step / settings.steps
    if settings.schedule == "cosine":
        return warm * 0.5 * (1 + math.cos(math.pi * part))
    if settings.schedule == "linear":
        return warm * (1 - part)
    if settings.schedule == "trapezoid" and settings.decay > 0:
        return warm * min(1.0, (1 - part) / settings.decay)
    return warm


class Averaged:
    """An exponential moving average of parameters.

    Args:
        named: Names and parameters.
        decay: Of the average; in the long run for the kind ``warmup``.
        kind: ``constant``; ``warmup``, slow only once there is something to average; or ``power``
            (arXiv 2312.02696), whose reach grows with the training, whatever `decay` is.
        power: Of the kind ``power``: larger ones forget sooner.
    """

    def __init__(
        self,
        named: Iterable[tuple[str, Tensor]],
        decay: float,
        *,
        kind: Literal["constant", "power", "warmup"] = "warmup",
        power: float = 6.94,
    ) -> None:
        self.decay, self.kind, self.power = decay, kind, power
        self.values = {name: tensor.detach().clone().float() for name, tensor in named}

    def decay_at(self, step: int) -> float:
        """Return how much of the average stays when the weights of a step (from 0) are taken in."""
        if self.kind == "power":
            return (1 - 1 / (step + 1)) ** (self.power + 1)
        return self.decay if self.kind == "constant" else min(self.decay, (1 + step) / (10 + step))

    @torch.no_grad()
    def update(self, named: Iterable[tuple[str, Tensor]], step: int) -> None:
        """Take the weights of a step (from 0) in."""
        names, tensors = zip(*((n, p.detach().float()) for n, p in named), strict=True)
        torch._foreach_lerp_([self.values[n] for n in names], list(tensors), 1 - self.decay_at(step))
