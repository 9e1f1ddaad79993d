"""Scaled dot-product attention: one function that every transformer of the library calls."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

__all__ = ["attention"]

EXPLICIT_SCORES = 2**26
"""Largest number of attention scores that are written out in memory (128 MB in bfloat16)."""


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attend from queries to keys.

    Training on a CPU writes the scores out while they are few: PyTorch's fused kernel goes backward slowly
    there (batch 64, 80 tokens, 4 heads of 64, bfloat16: 155 ms against 41; 5 keys: 93 ms against 12).

    Args:
        q: Queries ``[B, heads, L, D]``.
        k: Keys ``[B, heads, S, D]``.
        v: Values ``[B, heads, S, D]``.
        mask: Broadcast to ``[B, heads, L, S]``. Boolean, True for pairs that attend; each query needs one. Or floating,
            added to the scores.

    Returns:
        ``[B, heads, L, D]``.
    """
    scores = q.shape[:-1].numel() * k.shape[-2]
    trains = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
    if q.device.type == "cpu" and trains and scores <= EXPLICIT_SCORES:
        return _explicit(q, k, v, mask)
    return scaled_dot_product_attention(q, k, v, attn_mask=mask)


def _explicit(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    return scores.softmax(-1).to(v.dtype) @ v
