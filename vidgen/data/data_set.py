"""The extension point ``data_set``: captioned videos by index, at any size that is asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vidgen.size import Size

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DataSet", "Sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """A captioned video.

    Attributes:
        video: uint8 ``[T, H, W, 3]``, RGB.
        caption: What it shows; empty when nobody said.
    """

    video: np.ndarray
    caption: str


class DataSet(ABC):
    """Captioned videos, deterministic in the index, so that training resumes exactly where it stopped."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of different indices."""

    @abstractmethod
    def sample(self, index: int, size: Size) -> Sample:
        """Return the sample of an index at a size; the same arguments always give the same sample."""

    def caption(self, index: int, size: Size, draw: int) -> str:
        """Return a caption of `sample(index, size)`; other values of `draw` may word it differently.

        Override it only for such wordings, made without the video: training on cached latents asks for them then, and
        else takes the caption that the encoded sample had.
        """
        return self.sample(index, size).caption

    @property
    def rewords(self) -> bool:
        """Whether captions have several wordings: `caption` is overridden."""
        return type(self).caption is not DataSet.caption
