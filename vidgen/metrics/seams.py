"""Whether a video that was put together shows where."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["seam"]


def seam(made: Tensor, whole: Tensor, rows: Sequence[int] = (), columns: Sequence[int] = ()) -> float:
    """Return what a video jumps at its seams beyond the seamless one, over what that one changes there anyhow.

    Both jumps are absolute differences of neighbouring pixels across a seam. 0 is no seam at all; where it nears 1
    the seam is as strong as the picture's own edges.

    Args:
        made: ``[B, 3, T, H, W]``, put together.
        whole: The same in one go.
        rows: The first row of pixels after each horizontal seam.
        columns: The first column after each vertical one.
    """
    added, natural = [], []
    for axis, seams in ((-2, rows), (-1, columns)):
        places = torch.tensor([place - 1 for place in seams], dtype=torch.long, device=made.device)
        right = whole.float().diff(dim=axis).index_select(axis, places)
        added.append((made.float().diff(dim=axis).index_select(axis, places) - right).abs().flatten())
        natural.append(right.abs().flatten())
    return float(torch.cat(added).mean() / torch.cat(natural).mean())
