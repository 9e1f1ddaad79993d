"""Attention: the written-out form that trains on a CPU agrees with PyTorch's fused one."""

from __future__ import annotations

import sys

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from vidgen.nn import attention


def qkv(keys: int = 5) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, n, 8, generator=generator, requires_grad=True) for n in (7, keys, keys)]


@pytest.mark.parametrize("masked", [False, True])
def test_training_agrees_with_the_fused_kernel(masked: bool) -> None:
    mask = (torch.arange(5) < torch.tensor([[2], [5]]))[:, None, None] if masked else None
    one, two = qkv(), qkv()
    ours, theirs = attention(*one, mask), scaled_dot_product_attention(*two, attn_mask=mask)
    torch.testing.assert_close(ours, theirs)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    for left, right in zip(one, two, strict=True):
        torch.testing.assert_close(left.grad, right.grad)
    with torch.no_grad():
        torch.testing.assert_close(attention(*one, mask), theirs)


@torch.no_grad()
def test_many_scores_are_not_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("written out")

    # The package's name `attention` is the function; the module of that name hides behind it.
    module = sys.modules["vidgen.nn.attention"]
    monkeypatch.setattr(module, "_explicit", refuse)
    attention(*qkv())
    with torch.enable_grad():
        with pytest.raises(AssertionError, match="written out"):
            attention(*qkv())
        monkeypatch.setattr(module, "EXPLICIT_SCORES", 10)
        attention(*qkv())
