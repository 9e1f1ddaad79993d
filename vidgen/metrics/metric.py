"""The extension point ``metric``: measures of a generated video against its prompt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Metric"]


class Metric(ABC):
    """Scores one video against its prompt."""

    @abstractmethod
    def score(self, video: NDArray[np.uint8], prompt: str) -> Mapping[str, float]:
        """Return named values; the higher, the better (True counts as 1).

        Args:
            video: ``[T, H, W, 3]``, RGB.
            prompt: What was asked for.
        """
