"""The repeated blocks of a network: what is recomputed, shared out or moved one at a time."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.utils.parametrize import ParametrizationList

__all__ = ["blocks_of"]


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """Return the members of a module's outermost `nn.ModuleList` s; of a list in a list, the inner one's."""
    found: list[nn.Module] = []
    for child in module.children():
        if not isinstance(child, ParametrizationList):  # the rules of a weight are no blocks
            found += list(_members(child)) if isinstance(child, nn.ModuleList) else blocks_of(child)
    return found


def _members(blocks: nn.ModuleList) -> Iterator[nn.Module]:
    for block in blocks:
        if isinstance(block, nn.ModuleList):
            yield from _members(block)
        elif block is not None:  # diffusers leaves places of a list empty, as Mochi's last block's
            yield block
