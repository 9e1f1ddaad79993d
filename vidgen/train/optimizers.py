"""Optimisers, learning-rate schedules and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

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
        optimizers.append(torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.99), fused=True))
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
    """An exponential moving average of parameters, slow only once there is something to average.

    Args:
        named: Names and parameters.
        decay: Of the average in the long run.
    """

    def __init__(self, named: Iterable[tuple[str, Tensor]], decay: float) -> None:
        self.decay = decay
        self.values = {name: tensor.detach().clone().float() for name, tensor in named}

    @torch.no_grad()
    def update(self, named: Iterable[tuple[str, Tensor]], step: int) -> None:
        """Take the weights of a step (from 0) in."""
        decay = min(self.decay, (1 + step) / (10 + step))
        names, tensors = zip(*((n, p.detach().float()) for n, p in named), strict=True)
        torch._foreach_lerp_([self.values[n] for n in names], list(tensors), 1 - decay)
