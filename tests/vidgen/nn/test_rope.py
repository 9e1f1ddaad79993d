"""Rotary positions: lengths stay, and only distances along each axis count."""

from __future__ import annotations

import pytest
import torch

from vidgen.nn import rope_3d, rotate
from vidgen.size import Size


@pytest.mark.parametrize("width", [6, 8, 64, 72])
def test_lengths_stay_and_only_distances_count(width: int) -> None:
    size = Size(3, 4, 5)
    generator = torch.Generator().manual_seed(0)
    q, k = torch.randn(2, 1, width, generator=generator, dtype=torch.float64)
    cos, sin = (x.double() for x in rope_3d(size, width))
    turned_q, turned_k = rotate(q.expand(60, -1), cos, sin), rotate(k.expand(60, -1), cos, sin)
    torch.testing.assert_close(turned_q.norm(dim=-1), q.norm(dim=-1).expand(60))
    scores = (turned_q @ turned_k.T).view(*size, *size)
    for axis in range(3):
        first, second = ([slice(None)] * 6 for _ in range(2))
        first[axis] = first[axis + 3] = slice(None, -1)
        second[axis] = second[axis + 3] = slice(1, None)
        torch.testing.assert_close(scores[tuple(first)], scores[tuple(second)], atol=1e-5, rtol=1e-5)
        near, far = [0] * 6, [0] * 6
        far[axis + 3] = 1
        assert (scores[tuple(near)] - scores[tuple(far)]).abs() > 1e-3


def test_positions_go_on_or_are_set_closer() -> None:
    """Twice as many tokens end where the trained ones ended, or go on; axes within reach stay as they are."""
    trained, longer = Size(3, 4, 5), Size(5, 4, 5)
    known = [x.view(*trained, -1) for x in rope_3d(trained, 12)]
    onward = [x.view(*longer, -1) for x in rope_3d(longer, 12)]
    closer = [x.view(*longer, -1) for x in rope_3d(longer, 12, reach=(3, 4, 9))]
    for old, on, close in zip(known, onward, closer, strict=True):
        torch.testing.assert_close(on[:3], old)
        torch.testing.assert_close(close[::2], old)
        assert not torch.allclose(close[1], old[1])
