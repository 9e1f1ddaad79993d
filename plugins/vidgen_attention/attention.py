"""Backends of attention over packed sequences: the plain truth, and the kernels that PyTorch and xformers have.

Letters: N and M queries and keys of the whole packed sequence, D width of a head.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention
from torch.nn.functional import scaled_dot_product_attention

from vidgen.errors import ConfigError, MissingDependencyError
from vidgen.nn import AttentionBackend, Segments
from vidgen.nn.attention import segment_ids

__all__ = ["Flex", "Reference", "Varlen", "Xformers"]

TOKENS_FIRST = "1 heads n d -> n heads d"


class Reference(AttentionBackend):
    """Every score written out, those across samples masked: what the others must agree with."""

    def packed(self, q: Tensor, k: Tensor, v: Tensor, segments: Segments) -> Tensor:
        """Attend with a mask ``[N, M]``."""
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        scores = scores.float().masked_fill(~segments.mask(q.device), -torch.inf)
        return scores.softmax(-1).to(v.dtype) @ v


class Flex(AttentionBackend):
    """PyTorch's flex_attention: blocks of 128 x 128 that no sample touches are skipped.

    Compiled on CUDA. On a CPU it has no backward pass and runs uncompiled: to check, not to be fast.
    """

    def packed(self, q: Tensor, k: Tensor, v: Tensor, segments: Segments) -> Tensor:
        """Attend within blocks."""
        mask, kernel = _block_mask(segments, q.device), _compiled_flex()
        if q.device.type == "cpu":
            kernel = flex_attention
            if torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad):
                raise ConfigError("attention 'flex' does not train on a CPU; take 'loop' or 'sdpa'.")
            q, k, v = q.detach(), k.detach(), v.detach()
        made: Tensor = kernel(q, k, v, block_mask=mask)
        return made


class Varlen(AttentionBackend):
    """PyTorch's `torch.nn.attention.varlen`: FlashAttention over packed samples, on CUDA in half precision."""

    def packed(self, q: Tensor, k: Tensor, v: Tensor, segments: Segments) -> Tensor:
        """Attend by the offsets of the samples."""
        if not q.is_cuda or q.dtype not in (torch.bfloat16, torch.float16):
            raise ConfigError(
                f"attention 'varlen' runs on CUDA in bfloat16 or float16, not on {q.device.type} in {q.dtype}; "
                "take 'loop' or 'sdpa'."
            )
        from torch.nn.attention.varlen import varlen_attn

        q, k, v = (rearrange(x, TOKENS_FIRST) for x in (q, k, v))
        of_queries, of_keys = (_offsets(n, q.device) for n in (segments.queries, segments.keys))
        made = varlen_attn(q, k, v, of_queries, of_keys, max(segments.queries), max(segments.keys))
        assert isinstance(made, Tensor)
        return rearrange(made, "n heads d -> 1 heads n d")


class Xformers(AttentionBackend):
    """xformers' memory-efficient attention under a BlockDiagonalMask.

    Its kernels run on CUDA alone. Elsewhere its mask is written out for PyTorch's attention: to check, not to be fast.
    """

    def packed(self, q: Tensor, k: Tensor, v: Tensor, segments: Segments) -> Tensor:
        """Attend under xformers' mask."""
        ops = _xformers()
        bias = ops.fmha.attn_bias.BlockDiagonalMask.from_seqlens(list(segments.queries), list(segments.keys))
        if not q.is_cuda:
            mask = bias.materialize((q.shape[2], k.shape[2]), dtype=q.dtype, device=q.device)
            return scaled_dot_product_attention(q, k, v, attn_mask=mask)
        turned = [rearrange(x, "b heads n d -> b n heads d") for x in (q, k, v)]
        made = ops.memory_efficient_attention(*turned, attn_bias=bias)
        return rearrange(made, "b n heads d -> b heads n d")


def _xformers() -> Any:
    try:
        import xformers.ops
    except (ImportError, OSError) as problem:
        raise MissingDependencyError(
            "attention 'xformers' needs xformers: pip install 'vidgen-components[xformers]'."
        ) from problem
    return xformers.ops


@functools.cache
def _compiled_flex() -> Any:
    return torch.compile(flex_attention, dynamic=True)


@functools.lru_cache(maxsize=16)
@torch.inference_mode(False)
def _block_mask(segments: Segments, device: torch.device) -> BlockMask:
    queries, keys = segment_ids(segments.queries, device), segment_ids(segments.keys, device)

    def same(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return queries[query] == keys[key]

    return create_block_mask(same, None, None, len(queries), len(keys), device=device.type)


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)
def _offsets(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    return torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int32, device=device)
