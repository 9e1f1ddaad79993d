"""Scaled dot-product attention: one function that every transformer of the library calls, with backends behind it.

    with attention_backend("loop"):
        ...

Letters: B batch, L queries, S keys, D width of a head, N and M queries and keys of a whole packed sequence.
"""

from __future__ import annotations

import functools
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeAlias

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from vidgen.config import Config
from vidgen.errors import PluginError, SizeError

__all__ = [
    "AttentionBackend",
    "Loop",
    "Sdpa",
    "Segments",
    "attention",
    "attention_backend",
    "segment_ids",
]

EXPLICIT_SCORES = 2**26
"""Largest number of attention scores that are written out in memory (128 MB in bfloat16)."""


@dataclass(frozen=True, slots=True)
class Segments:
    """Samples one behind the other in one sequence; each attends within itself alone.

    Attributes:
        queries: Number of queries of each sample.
        keys: Number of its keys.
    """

    queries: tuple[int, ...]
    keys: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.queries) != len(self.keys) or min((*self.queries, *self.keys), default=0) < 1:
            raise SizeError(f"Every segment needs queries and keys, not {self.queries} and {self.keys}.")

    @classmethod
    def of(cls, lengths: Sequence[int]) -> Segments:
        """Return those of self-attention, where the keys are the queries."""
        return cls(tuple(lengths), tuple(lengths))

    def check(self, q: Tensor, k: Tensor) -> None:
        """Refuse tensors ``[1, heads, N or M, D]`` of other lengths.

        Raises:
            SizeError: With both lengths.
        """
        told, seen = (1, sum(self.queries), sum(self.keys)), (q.shape[0], q.shape[2], k.shape[2])
        if told != seen:
            raise SizeError(f"Batch, queries and keys of the segments are {told}, of the tensors {seen}.")

    def mask(self, device: torch.device) -> Tensor:
        """Return which pairs attend, boolean ``[N, M]``: blocks along the diagonal."""
        return segment_ids(self.queries, device)[:, None] == segment_ids(self.keys, device)


# What is kept for later must serve training too, even if it was first made for inference.
@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)
def segment_ids(lengths: tuple[int, ...], device: torch.device) -> Tensor:
    """Return the number of each position's segment, ``[sum of lengths]``."""
    return torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)).to(device)


Groups: TypeAlias = tuple[tuple[int, ...], ...]
"""The numbers of the segments that are attended in one call each."""


class AttentionBackend(ABC):
    """A way to compute attention; register one as a component of the kind ``attention``.

    Args:
        config: Its settings.
    """

    def __init__(self, config: Config) -> None:
        self.config = config

    @abstractmethod
    def packed(self, q: Tensor, k: Tensor, v: Tensor, segments: Segments) -> Tensor:
        """Attend within segments, from ``q`` ``[1, heads, N, D]`` to ``k`` and ``v`` ``[1, heads, M, D]``."""

    def dense(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend within samples of one length, ``[B, heads, L or S, D]``: a packed sequence too."""
        batch = len(q)
        segments = Segments((q.shape[2],) * batch, (k.shape[2],) * batch)
        q, k, v = (rearrange(x, "b h l d -> 1 h (b l) d") for x in (q, k, v))
        return rearrange(self.packed(q, k, v, segments), "1 h (b l) d -> b h l d", b=batch)


class Sdpa(AttentionBackend):
    """PyTorch's own attention, one call; samples of unequal lengths are padded for it."""

    def packed(self, q: Tensor, k: Tensor, v: Tensor, segments: Segments) -> Tensor:
        """Attend in one padded batch."""
        return _grouped(q, k, v, segments, (tuple(range(len(segments.queries))),))

    def dense(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend as the batch is."""
        return _dense(q, k, v, None)


class Loop(Sdpa):
    """One call of PyTorch's attention for all samples of equal length; nothing is padded among the queries."""

    def packed(self, q: Tensor, k: Tensor, v: Tensor, segments: Segments) -> Tensor:
        """Attend group by group."""
        groups: dict[int, list[int]] = {}
        for number, length in enumerate(segments.queries):
            groups.setdefault(length, []).append(number)
        return _grouped(q, k, v, segments, tuple(map(tuple, groups.values())))


_BUILT_IN: dict[str, AttentionBackend] = {"sdpa": Sdpa(Config()), "loop": Loop(Config())}
"""What works with no plugin at all."""

_CHOSEN: ContextVar[AttentionBackend] = ContextVar("attention_backend", default=_BUILT_IN["sdpa"])


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | Segments | None = None,
    *,
    backend: str | AttentionBackend | None = None,
) -> Tensor:
    """Attend from queries to keys.

    Args:
        q: Queries ``[B, heads, L, D]``; of packed samples ``[1, heads, N, D]``.
        k: Keys ``[B, heads, S, D]``.
        v: Values ``[B, heads, S, D]``.
        mask: Which pairs attend: the `Segments` of packed samples; or a tensor that broadcasts to ``[B, heads, L, S]``,
            boolean (True for pairs that attend; each query needs one) or floating (added to the scores).
        backend: Who computes it; None for the one that `attention_backend` chose, else ``sdpa``. A mask that is a
            tensor is always PyTorch's.

    Returns:
        ``[B, heads, L, D]``.
    """
    if isinstance(mask, Tensor):
        return _dense(q, k, v, mask)
    chosen = _CHOSEN.get() if backend is None else _find(backend)
    if mask is None:
        return chosen.dense(q, k, v)
    mask.check(q, k)
    return chosen.packed(q, k, v, mask)


@contextmanager
def attention_backend(backend: str | AttentionBackend) -> Iterator[AttentionBackend]:
    """Let all attention inside a ``with`` be computed by a backend: one, or the name of a registered one."""
    token = _CHOSEN.set(_find(backend))
    try:
        yield _CHOSEN.get()
    finally:
        _CHOSEN.reset(token)


def _find(backend: str | AttentionBackend) -> AttentionBackend:
    if isinstance(backend, AttentionBackend):
        return backend
    return _BUILT_IN[backend] if backend in _BUILT_IN else _made(backend)


def _made(name: str) -> AttentionBackend:
    from vidgen.creation import create

    made = create("attention", name)
    if not isinstance(made, AttentionBackend):
        raise PluginError(f"attention {name!r} is a {type(made).__name__}, no vidgen.nn.AttentionBackend.")
    return made


def _grouped(q: Tensor, k: Tensor, v: Tensor, segments: Segments, groups: Groups) -> Tensor:
    """Attend one group of segments at a time, each as one padded batch (with the heads in front of the samples)."""
    made = []
    padded = [
        _regroup(x, n, groups) for x, n in ((q, segments.queries), (k, segments.keys), (v, segments.keys))
    ]
    for group, queries, keys, values in zip(groups, *padded, strict=True):
        counts = tuple(segments.keys[number] for number in group)
        mask = None if min(counts) == max(counts) else _key_mask(counts, q.device)
        made.append(rearrange(_dense(queries, keys, values, mask), "h b l d -> 1 h (b l) d"))
    return _take(torch.cat(made, dim=2), _way_back(segments.queries, groups, q.device))


def _regroup(x: Tensor, lengths: tuple[int, ...], groups: Groups) -> list[Tensor]:
    """Return ``[heads, B, L, D]`` of each group, of ``[1, heads, N, D]``; views where the order is theirs already."""
    x = _take(x, _places(lengths, groups, x.device))
    sizes = [len(group) * max(lengths[number] for number in group) for group in groups]
    return [
        rearrange(one, "1 h (b l) d -> h b l d", b=len(group))
        for one, group in zip(x.split(sizes, dim=2), groups, strict=True)
    ]


def _take(x: Tensor, places: Tensor | None) -> Tensor:
    """Return the tokens of ``[1, heads, N, D]`` at some places; None for all as they are."""
    # Its way back adds rows up much faster on a CPU than that of indexing by brackets.
    return x if places is None else x.index_select(2, places)


@functools.lru_cache(maxsize=256)
@torch.inference_mode(False)
def _places(lengths: tuple[int, ...], groups: Groups, device: torch.device) -> Tensor | None:
    """Return where the tokens of padded groups come from; shorter samples end in copies of their last token."""
    starts, places = [0, *itertools.accumulate(lengths)], []
    for group in groups:
        longest = torch.arange(max(lengths[number] for number in group))
        places += [starts[number] + longest.clamp(max=lengths[number] - 1) for number in group]
    return _unless_idle(torch.cat(places), device)


@functools.lru_cache(maxsize=256)
@torch.inference_mode(False)
def _way_back(lengths: tuple[int, ...], groups: Groups, device: torch.device) -> Tensor | None:
    """Return where each token ended up in the padded groups."""
    found, begin = [torch.empty(0)] * len(lengths), 0
    for group in groups:
        longest = max(lengths[number] for number in group)
        for number in group:
            found[number] = begin + torch.arange(lengths[number])
            begin += longest
    return _unless_idle(torch.cat(found), device, begin)


def _unless_idle(places: Tensor, device: torch.device, count: int | None = None) -> Tensor | None:
    """Return places, or None where each token of so many stays where it is."""
    return None if torch.equal(places, torch.arange(count or len(places))) else places.to(device)


@functools.lru_cache(maxsize=256)
@torch.inference_mode(False)
def _key_mask(counts: tuple[int, ...], device: torch.device) -> Tensor:
    """Return which keys of a padded batch are there, ``[1, B, 1, S]``."""
    return (torch.arange(max(counts)) < torch.tensor(counts)[:, None])[None, :, None].to(device)


def _dense(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Attend in a batch, through PyTorch's kernels or written out.

    Training on a CPU writes the scores out while they are few: PyTorch's fused kernel goes backward slowly
    there (batch 64, 80 tokens, 4 heads of 64, bfloat16: 155 ms against 41; 5 keys: 93 ms against 12).
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
