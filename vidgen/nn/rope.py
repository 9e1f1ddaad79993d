"""Rotary positions (RoFormer, https://arxiv.org/abs/2104.09864) along time, height and width."""

from __future__ import annotations

import torch
from torch import Tensor

from vidgen.size import Size

__all__ = ["rope_3d", "rotate"]


def rope_3d(
    size: Size,
    head_width: int,
    *,
    theta: float = 16.0,
    reach: tuple[int, int, int] = (0, 0, 0),
    device: torch.device | str | None = None,
) -> tuple[Tensor, Tensor]:
    """Return cosines and sines ``[t * h * w, head_width / 2]`` in float32, tokens in the order t, h, w.

    A third of the pairs turns with each axis; what does not divide goes to the width, then to the height.

    Args:
        size: Tokens along (t, h, w).
        head_width: Width of a head, even and at least 6.
        theta: Ratio of the fastest to the slowest frequency; the fastest turns by half a circle a token.
        reach: Tokens along (t, h, w) over which positions go; more tokens than that are set closer (interpolation). 0
            goes on beyond what was trained, one after another (extrapolation).
        device: Where to make them.
    """
    pairs = head_width // 2
    shares = (pairs // 3, (pairs + 1) // 3, (pairs + 2) // 3)
    angles = []
    for axis, (count, share) in enumerate(zip(size, shares, strict=True)):
        rates = torch.pi * theta ** -torch.linspace(0, 1, share, device=device)
        places = torch.arange(count, device=device)
        if 0 < reach[axis] < count:
            places = places * ((reach[axis] - 1) / (count - 1))
        angle = places[:, None] * rates
        shape = [1, 1, 1, share]
        shape[axis] = count
        angles.append(angle.view(shape).expand(*size, share))
    angle = torch.cat(angles, dim=-1).flatten(0, 2)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn each pair (i, i + D / 2) of ``x`` ``[..., L, D]`` by its position's angle ``[L, D / 2]``."""
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    one, two = x.chunk(2, dim=-1)
    return torch.cat((one * cos - two * sin, one * sin + two * cos), dim=-1)
