"""Samples of different sizes in one sequence, for denoisers with the ability `pack`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vidgen.errors import SizeError
from vidgen.interfaces.denoiser import Condition, Denoiser, Prediction
from vidgen.interfaces.text_encoder import TextEmbedding
from vidgen.size import Size

__all__ = ["PackedLatents", "PackingDenoiser"]


@dataclass(frozen=True, slots=True)
class PackedLatents:
    """Latents of samples of any sizes, one behind the other.

    Attributes:
        values: ``[C, P]``, the P positions of all samples, each sample's in the order t, h, w.
        sizes: The latent size (t, h, w) of each sample.
    """

    values: Tensor
    sizes: tuple[Size, ...]

    def __post_init__(self) -> None:
        count = sum(size.volume for size in self.sizes)
        if self.values.ndim != 2 or self.values.shape[1] != count:
            sizes = ", ".join(map(str, self.sizes))
            raise SizeError(
                f"Sizes {sizes} have {count} positions, the values are {list(self.values.shape)}."
            )

    @classmethod
    def of(cls, samples: Sequence[Tensor]) -> PackedLatents:
        """Pack samples ``[C, t, h, w]``.

        Raises:
            SizeError: For none at all, for other shapes, and for samples whose C differs.
        """
        shapes = [list(sample.shape) for sample in samples]
        if not shapes or any(len(shape) != 4 or shape[0] != shapes[0][0] for shape in shapes):
            raise SizeError(f"Packed samples are [C, t, h, w], at least one, of one C; these are {shapes}.")
        values = torch.cat([sample.flatten(1) for sample in samples], dim=1)
        return cls(values, tuple(Size(*sample.shape[1:]) for sample in samples))

    def split(self) -> list[Tensor]:
        """Return the samples ``[C, t, h, w]``."""
        pieces = self.values.split([size.volume for size in self.sizes], dim=1)
        return [piece.unflatten(1, size) for piece, size in zip(pieces, self.sizes, strict=True)]

    def spread(self, each: Tensor) -> Tensor:
        """Return ``[P]`` from a value for each sample ``[B]``, or for each latent frame of each ``[sum of t]``."""
        pairs = zip(self.sizes, self.counts(each), strict=True)
        counts = [size.volume // count for size, count in pairs for _ in range(count)]
        return each.repeat_interleave(torch.tensor(counts, device=each.device))

    def counts(self, each: Tensor) -> list[int]:
        """Return how many values of ``[B]`` or ``[sum of t]`` belong to each sample: one, or its latent frames.

        Raises:
            SizeError: For another shape.
        """
        frames = [size.frames for size in self.sizes]
        if each.ndim != 1 or len(each) not in (len(frames), sum(frames)):
            raise SizeError(
                f"{len(frames)} packed samples take values [{len(frames)}], or [{sum(frames)}] for each latent frame, "
                f"not {list(each.shape)}."
            )
        return [1] * len(frames) if len(each) == len(frames) else frames

    def means(self) -> Tensor:
        """Return the mean of each sample, ``[B]``, so that small samples count as much as large ones."""
        return torch.stack([sample.mean() for sample in self.split()])


class PackingDenoiser(Denoiser):
    """A denoiser with the ability `pack`: it also takes samples of different sizes in one sequence."""

    @abstractmethod
    def prepare(self, text: TextEmbedding, condition: Condition, size: Size | tuple[Size, ...]) -> Any:
        """Compute what does not change along the steps.

        Args:
            text: The prompts' embedding, batch B.
            condition: What else the denoiser is told.
            size: The latent size of all samples, or a tuple of B sizes for packed ones.
        """

    @abstractmethod
    def forward(self, x: Tensor | PackedLatents, time: Tensor, prepared: Any) -> Prediction:
        """Predict.

        Args:
            x: Noisy latents ``[B, C, t, h, w]``, or B packed samples.
            time: ``[B]``; for those with `per_frame_time` also ``[B, t]`` or, packed, ``[sum of t]``.
            prepared: What `prepare` returned for the same batch and sizes.

        Returns:
            The prediction; of packed samples its tensors are ``[C, P]`` like `PackedLatents.values`.
        """
