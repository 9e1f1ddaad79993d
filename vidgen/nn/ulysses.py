"""Attention over a sequence that is shared out among processes (DeepSpeed-Ulysses, arXiv 2309.14509).

Each process holds some of the tokens. Before attention they exchange: each gets all tokens of some heads; and after it
back. Everything else in a transformer treats tokens alone, so it runs on the tokens that a process has.

    with sequence_parallel(group):                  # around a denoiser that declares the ability
        made = denoiser(x, time, prepared)          # the same in every process of the group

and inside it

    sharing = SharedTokens.of(tokens)               # None outside of `sequence_parallel`
    tokens = sharing.own(tokens)                    # the same in every process before
    ... q, k, v of these tokens ...
    mixed = sharing.attention(q, k, v)
    tokens = sharing.join(tokens)                   # the same in every process again

The mean over the processes of a parameter's gradients is its gradient, wherever in a network it stands, as
DistributedDataParallel and FSDP take it. Text that every process holds whole needs none of this: plain `attention`
reads it.

Letters: B batch, H heads, L tokens of the whole sequence, l tokens of this process, D width of a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from vidgen.errors import ConfigError, SizeError
from vidgen.nn.attention import attention

__all__ = [
    "SharedTokens",
    "join_sequence",
    "process_group",
    "sequence_parallel",
    "share_sequence",
    "ulysses_attention",
]

_GROUP: ContextVar[dist.ProcessGroup | None] = ContextVar("sequence_parallel", default=None)


@contextmanager
def sequence_parallel(group: dist.ProcessGroup | None) -> Iterator[None]:
    """Let denoisers with the ability `sequence_parallel` share their tokens out among processes inside a ``with``.

    Args:
        group: The processes; all of them call the same denoiser with the same. None: tokens stay together.
    """
    token = _GROUP.set(group)
    try:
        yield
    finally:
        _GROUP.reset(token)


def process_group(size: int) -> dist.ProcessGroup | None:
    """Split all processes into groups of so many neighbours and return this one's; None where each is alone.

    Raises:
        ConfigError: When the processes cannot be split so.
    """
    count = dist.get_world_size() if dist.is_initialized() else 1
    if count % size:
        raise ConfigError(
            f"Groups of {size} processes want a multiple of {size} processes, not {count}: torchrun --nproc-per-node."
        )
    return dist.new_subgroups(size)[0] if size > 1 else None


@dataclass(frozen=True, slots=True)
class SharedTokens:
    """How a sequence is shared out.

    Attributes:
        lengths: Tokens of each process.
        group: The processes.
    """

    lengths: tuple[int, ...]
    group: dist.ProcessGroup

    @classmethod
    def of(cls, tokens: Tensor) -> SharedTokens | None:
        """Return how tokens ``[B, L, D]`` are shared out; None outside of `sequence_parallel`.

        Raises:
            SizeError: When there are fewer tokens than processes.
        """
        group = _GROUP.get()
        return None if group is None else cls(share_sequence(tokens, group=group)[1], group)

    def own(self, x: Tensor, *, dim: int = 1) -> Tensor:
        """Return this process's part of an axis of length L."""
        return share_sequence(x, dim=dim, group=self.group)[0]

    def attention(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from this process's queries to all keys; see `ulysses_attention`."""
        return ulysses_attention(q, k, v, mask, lengths=self.lengths, group=self.group)

    def join(self, x: Tensor, *, dim: int = 1) -> Tensor:
        """Return the whole axis from the parts of all processes."""
        return join_sequence(x, self.lengths, dim=dim, group=self.group)


def ulysses_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    *,
    lengths: Sequence[int] | None = None,
    group: dist.ProcessGroup | None = None,
) -> Tensor:
    """Attend from the queries of this process to the keys of all.

    Args:
        q: Queries ``[B, H, l, D]``.
        k: Keys of the same shape.
        v: Values of the same shape.
        mask: As for `attention`, of the whole sequence: broadcasts to ``[B, H, L, L]``; the same in all processes.
        lengths: Tokens of each process; None for as many in each.
        group: The processes; None for all.

    Returns:
        ``[B, H, l, D]``.

    Raises:
        SizeError: When the heads cannot be shared out, or the lengths are not those of the tensors.
    """
    number, count = dist.get_rank(group), dist.get_world_size(group)
    heads, own = q.shape[1:3]
    lengths = tuple(lengths or (own,) * count)
    if heads % count:
        raise SizeError(
            f"{heads} heads cannot be shared out among {count} processes; take a divisor of {heads}."
        )
    if len(lengths) != count or lengths[number] != own:
        raise SizeError(f"Process {number} of {count} holds {own} tokens, but was told of {lengths}.")
    shares = (heads // count,) * count
    q, k, v = (_Exchange.apply(x, 1, shares, 2, lengths, group) for x in (q, k, v))
    if mask is not None and mask.ndim > 2 and mask.shape[-3] == heads:
        mask = mask.split(list(shares), dim=-3)[number]
    return _Exchange.apply(attention(q, k, v, mask), 2, lengths, 1, shares, group)


def share_sequence(
    x: Tensor, *, dim: int = 1, group: dist.ProcessGroup | None = None
) -> tuple[Tensor, tuple[int, ...]]:
    """Return this process's tokens of a whole sequence, and how many each process has.

    Args:
        x: The same in all processes.
        dim: Of the tokens.
        group: The processes; None for all.

    Raises:
        SizeError: When there are fewer tokens than processes.
    """
    number, count = dist.get_rank(group), dist.get_world_size(group)
    if x.shape[dim] < count:
        raise SizeError(f"{x.shape[dim]} tokens cannot be shared out among {count} processes.")
    pieces = x.tensor_split(count, dim=dim)
    return pieces[number], tuple(piece.shape[dim] for piece in pieces)


def join_sequence(
    x: Tensor, lengths: Sequence[int], *, dim: int = 1, group: dist.ProcessGroup | None = None
) -> Tensor:
    """Return the whole sequence from the tokens of every process.

    Every process then computes the same, so going backward each takes the gradient of its own tokens for all of them.

    Args:
        x: The tokens of this process.
        lengths: Tokens of each process.
        dim: Of the tokens.
        group: The processes; None for all.
    """
    return _Join.apply(x, dim, tuple(lengths), group)


class _Exchange(torch.autograd.Function):
    """Share one axis out and gather another; backward, the other way round."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        out: int,
        outs: tuple[int, ...],
        into: int,
        intos: tuple[int, ...],
        group: dist.ProcessGroup | None,
    ) -> Tensor:
        ctx.way = (into, intos, out, outs, group)
        return _exchange(x, out, outs, into, intos, group)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return (_exchange(gradients[0], *ctx.way), None, None, None, None, None)


def _exchange(
    x: Tensor,
    out: int,
    outs: tuple[int, ...],
    into: int,
    intos: tuple[int, ...],
    group: dist.ProcessGroup | None,
) -> Tensor:
    """Send the n-th part of the axis `out` to process n, and join what comes along the axis `into`."""
    number = dist.get_rank(group)
    sent = [piece.contiguous() for piece in x.split(list(outs), dim=out)]
    shapes = []
    for length in intos:
        shape = list(x.shape)
        shape[out], shape[into] = outs[number], length
        shapes.append(torch.Size(shape))
    came = x.new_empty(sum(shape.numel() for shape in shapes))
    dist.all_to_all_single(
        came,
        torch.cat([piece.flatten() for piece in sent]),
        [shape.numel() for shape in shapes],
        [piece.numel() for piece in sent],
        group=group,
    )
    pieces = came.split([shape.numel() for shape in shapes])
    return torch.cat([piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True)], dim=into)


class _Join(torch.autograd.Function):
    """Gather an axis; backward, take this process's part of the sum of the (equal) gradients of all."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, dim: int, lengths: tuple[int, ...], group: dist.ProcessGroup | None
    ) -> Tensor:
        ctx.place = (dim, lengths, dist.get_rank(group))
        pieces = []
        for number, length in enumerate(lengths):
            shape = list(x.shape)
            shape[dim] = length
            piece = x.contiguous() if number == dist.get_rank(group) else x.new_empty(shape)
            source = number if group is None else dist.get_global_rank(group, number)
            dist.broadcast(piece, source, group=group)
            pieces.append(piece)
        return torch.cat(pieces, dim=dim)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        dim, lengths, number = ctx.place
        return len(lengths) * gradients[0].split(list(lengths), dim=dim)[number], None, None, None
