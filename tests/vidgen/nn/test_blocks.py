"""The repeated blocks of a network."""

from __future__ import annotations

from torch import nn

from vidgen.nn.blocks import blocks_of


def test_blocks_of_lists_in_lists_and_none_for_an_empty_place() -> None:
    one, two, three = (nn.Linear(1, 1) for _ in range(3))
    part = nn.Sequential(nn.ModuleList([one, None, nn.ModuleList([two, None])]), nn.Sequential(three))
    assert blocks_of(part) == [one, two]
