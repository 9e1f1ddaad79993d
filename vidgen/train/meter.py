"""What a training says about its steps: means of losses, and its pace."""

from __future__ import annotations

import time
from collections.abc import Mapping

from torch import Tensor

__all__ = ["Meter"]


class Meter:
    """Means of losses and samples a second since the last reading."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = self._samples = 0
        self._begun = time.monotonic()

    def add(self, losses: Mapping[str, Tensor], samples: int) -> None:
        """Take in the losses of a batch."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.item()
        self._count += 1
        self._samples += samples

    def read(self, processes: int) -> tuple[dict[str, float], float]:
        """Return the means and the samples a second of all processes, and begin anew."""
        means = {name: value / self._count for name, value in self._sums.items()}
        pace = processes * self._samples / (time.monotonic() - self._begun)
        self._sums, self._count, self._samples, self._begun = {}, 0, 0, time.monotonic()
        return means, pace
