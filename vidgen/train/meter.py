"""What a training says about its steps: means of losses, its pace, and the log of both."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

__all__ = ["Log", "Meter"]


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


class Log:
    """Lines of JSON, one a reading, in the order of their steps.

    Args:
        path: The file.
        step: Where the training stands: lines of later steps are dropped, which a killed run wrote after its last
            checkpoint and which come again.
    """

    def __init__(self, path: Path, step: int) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
        if kept != lines:
            new = path.with_suffix(".tmp")
            new.write_text("".join(kept))
            new.replace(path)

    def write(self, step: int, means: Mapping[str, float], pace: float) -> None:
        """Append a line."""
        rounded = {name: round(value, 6) for name, value in means.items()}
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **rounded, "pace": round(pace, 2)}) + "\n")
