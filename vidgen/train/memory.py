"""Less memory a process: activations computed twice, and parameters shared out among processes."""

from __future__ import annotations

import contextvars
import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils.checkpoint import checkpoint

from vidgen.errors import ConfigError
from vidgen.nn.blocks import blocks_of

__all__ = ["checkpoint_blocks", "laid_out_like", "make_whole", "shard", "whole"]


def checkpoint_blocks(module: nn.Module) -> None:
    """Let the blocks of a module forget their activations in training and compute them again when going backward.

    Losses and gradients stay the same; a step takes about a third longer.

    Raises:
        ConfigError: When there are no blocks.
    """
    blocks = blocks_of(module)
    if not blocks:
        raise ConfigError(
            f"train.checkpointing: {type(module).__name__} holds no blocks in an nn.ModuleList; leave it out."
        )
    for block in blocks:
        block.forward = functools.partial(_recomputed, block, block.forward)


def _recomputed(block: nn.Module, forward: Any, *args: Any, **kwargs: Any) -> Any:
    if block.training and torch.is_grad_enabled():
        # Going backward, often in another thread, the block is to see what was chosen for it by a `with`.
        chosen = functools.partial(contextvars.copy_context().run, forward)
        return checkpoint(chosen, *args, use_reentrant=False, **kwargs)
    return forward(*args, **kwargs)


def shard(module: nn.Module) -> None:
    """Share the parameters of a module out among all processes (FSDP2), with their gradients and optimiser states.

    Each layer of a block is gathered when it is used, so that no process ever holds all. Parameters must be the same
    in all processes; frozen ones stay whole in each. On one process nothing happens.

    Args:
        module: What is called forward; it and its blocks' layers become groups.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return
    # Said of every linear layer on a CPU. It matters where a layer's output is changed in place: do not.
    warnings.filterwarnings("ignore", message=r"FSDP2-wrapped module .* returned a view tensor")
    frozen = {p for p in module.parameters() if not p.requires_grad}
    for block in blocks_of(module):
        for layer in block.children():
            if any(p.requires_grad for p in layer.parameters()) and not isinstance(layer, nn.ModuleList):
                names = _methods(layer)
                fully_shard(layer, ignored_params=frozen)
                _gather_for(layer, names)
    fully_shard(module, ignored_params=frozen)


def _methods(module: nn.Module) -> list[str]:
    """Return the public methods that a module's class has beyond those of `nn.Module`: they may use its parameters."""
    return [
        name
        for name in dir(type(module))
        if not name.startswith("_") and not hasattr(nn.Module, name) and callable(getattr(type(module), name))
    ]


def _gather_for(layer: nn.Module, names: Sequence[str]) -> None:
    """Let methods beside `forward` gather a layer's parameters too: once, where one calls another."""
    inside = False

    def outermost(gathering: Callable[..., Any], plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal inside
            if inside:
                return plain(*args, **kwargs)
            inside = True
            try:
                return gathering(*args, **kwargs)
            finally:
                inside = False

        return call

    plain = {name: getattr(layer, name) for name in names}
    layer.forward = outermost(layer.forward, layer.forward)
    for name, method in plain.items():
        register_fsdp_forward_method(layer, name)
        setattr(layer, name, outermost(getattr(layer, name), method))


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor as one; all processes must call it for one that is shared out."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def laid_out_like(tensor: Tensor, like: Tensor) -> Tensor:
    """Return this process's share of a whole tensor, laid out as another one is."""
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def make_whole(module: nn.Module) -> None:
    """Give a module that is shared out whole parameters, to be saved; it cannot be trained or called after that."""
    for child in module.modules():
        for name, parameter in child.named_parameters(recurse=False):
            if isinstance(parameter, DTensor):
                child.register_parameter(name, nn.Parameter(parameter.full_tensor(), requires_grad=False))
