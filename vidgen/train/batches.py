"""Batches by step: which data table, which samples. A pure function of the seed, so that resuming is exact."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from vidgen.data import DataSet
from vidgen.interfaces import TextEmbedding
from vidgen.train.config import DataTable

__all__ = ["Batch", "Batches", "Embedded", "load_batches", "to_unit"]


@dataclass(frozen=True, slots=True)
class Embedded:
    """Embeddings of captions, each of batch 1, and that of the empty prompt."""

    rows: tuple[TextEmbedding, ...]
    empty: TextEmbedding

    def __len__(self) -> int:
        return len(self.rows)

    def without(self, gone: Sequence[bool]) -> TextEmbedding:
        """Return one embedding of them all, empty where the caption is gone."""
        chosen = [self.empty if drop else row for drop, row in zip(gone, self.rows, strict=True)]
        return TextEmbedding.cat(chosen)


class Stored(Protocol):
    """Encoded samples of a table."""

    def __len__(self) -> int: ...

    def latents(self, indices: Sequence[int]) -> Tensor:
        """Return ``[B, C, t, h, w]``."""

    def captions(self, indices: Sequence[int]) -> list[str]:
        """Return the captions that the samples had."""

    def text(self, indices: Sequence[int]) -> Embedded:
        """Return the captions' embeddings."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step learns from: videos ``[B, 3, T, H, W]`` in [-1, 1], or latents, and captions or embeddings."""

    text: list[str] | Embedded
    video: Tensor | None = None
    latents: Tensor | None = None


def to_unit(frames: np.ndarray) -> Tensor:
    """Turn uint8 ``[..., T, H, W, 3]`` into float ``[..., 3, T, H, W]`` in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(frames, -1, -4))).float() / 127.5 - 1


class Batches(Dataset):
    """Item k is what step k of one process learns from: a batch of one table or, packed, one of each that is drawn.

    Args:
        tables: The data tables.
        sets: The data set of each table.
        seed: Of the order.
        rank: This process.
        caches: Encoded first samples of a table, by the table's number.
        budget: Tokens to an item, to which all tables give samples; 0 for a batch of one table.
    """

    def __init__(
        self,
        tables: Sequence[DataTable],
        sets: Sequence[DataSet],
        *,
        seed: int,
        rank: int = 0,
        caches: Mapping[int, Stored] | None = None,
        budget: int = 0,
    ) -> None:
        self.tables, self.sets, self.seed, self.rank = tables, sets, seed, rank
        self.caches, self.budget = caches or {}, budget
        shares = np.array([table.table.share / (table.tokens if budget else 1) for table in tables])
        self.shares = shares / shares.sum()

    def __getitem__(self, step: int) -> list[Batch]:
        chance = np.random.default_rng((self.seed, step, self.rank))
        if self.budget:
            counts = self._fill(chance)
            return [self._batch(n, step, count, chance) for n, count in enumerate(counts) if count]
        # All processes see the same table at a step: their batches have one size.
        choice = int(np.random.default_rng((self.seed, step)).choice(len(self.tables), p=self.shares))
        return [self._batch(choice, step, self.tables[choice].table.batch, chance)]

    def _fill(self, chance: np.random.Generator) -> list[int]:
        """Draw how many samples each table gives, at least one in all.

        It ends when the largest sample might not fit any more, whichever would be drawn next; for if it ended when
        the next one does not fit, large samples would come less often than their tables' shares say.
        """
        counts, left = [0] * len(self.tables), self.budget
        largest = max(table.tokens for table in self.tables)
        while left >= largest or not any(counts):
            choice = int(chance.choice(len(self.tables), p=self.shares))
            counts[choice] += 1
            left -= self.tables[choice].tokens
        return counts

    def _batch(self, choice: int, step: int, count: int, chance: np.random.Generator) -> Batch:
        """Return so many samples of a table."""
        table, data = self.tables[choice], self.sets[choice]
        cache = self.caches.get(choice)
        known = len(data) if cache is None else len(cache)
        indices = chance.integers(known, size=count)
        if cache is not None:
            chosen = indices.tolist()
            if table.table.cache_text:
                return Batch(cache.text(chosen), latents=cache.latents(chosen))
            if data.rewords:
                captions = [data.caption(i, table.size, step + 1) for i in chosen]
            else:
                captions = cache.captions(chosen)
            return Batch(captions, latents=cache.latents(chosen))
        samples = [data.sample(int(i), table.size) for i in indices]
        video = to_unit(np.stack([sample.video for sample in samples]))
        return Batch([sample.caption for sample in samples], video=video)


def load_batches(batches: Batches, steps: Sequence[int], *, workers: int) -> DataLoader:
    """Return a loader over the batches of these numbers."""
    if workers:
        gc.collect()  # a forked worker that frees a frame of ours would wait for threads that only we have
    return DataLoader(
        batches,
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        collate_fn=_same,  # with batch_size=None it gets one item
    )


def _same(batches: list[Batch]) -> list[Batch]:
    return batches
