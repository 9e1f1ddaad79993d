"""Which latent frames are given, sample by sample, while a denoiser learns."""

from __future__ import annotations

import torch
from torch import Tensor

from vidgen.train.config import GivenConfig

__all__ = ["draw_given"]


def draw_given(weights: GivenConfig, batch: int, frames: int, generator: torch.Generator) -> Tensor:
    """Return a boolean ``[batch, frames]``, True for given latent frames; at least one of each sample is not.

    Args:
        weights: How often each kind is drawn.
        batch: Samples.
        frames: Latent frames t; where it is 1 nothing is given.
        generator: Where all chance comes from; as much of it whatever is drawn.
    """
    names = list(weights.to_dict())
    kinds = torch.multinomial(
        torch.tensor(list(weights.to_dict().values())), batch, True, generator=generator
    )
    part = torch.rand(batch, generator=generator)
    chance = torch.rand(batch, frames, generator=generator)
    if frames == 1:
        return torch.zeros(batch, 1, dtype=torch.bool)
    index = torch.arange(frames)
    some = 1 + (part * (frames - 1)).long()  # 1 to frames - 1
    at_end = 1 + (chance[:, 0] * (frames - 2)).long()  # 1 to frames - 2, so that one stays between both ends
    at_start = 1 + (part * (frames - 1 - at_end)).long()
    given = {
        "none": torch.zeros(batch, frames, dtype=torch.bool),
        "image": (index == 0).expand(batch, -1),
        "ends": ((index < at_start[:, None]) | (index >= frames - at_end[:, None])) & (frames > 2),
        "past": index < some[:, None],
        "future": index >= frames - some[:, None],
        "random": (chance < part[:, None]) & (chance < chance.amax(dim=1, keepdim=True)),
    }
    return torch.stack([given[names[kind]][row] for row, kind in enumerate(kinds.tolist())])
