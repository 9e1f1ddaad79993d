"""Sizes: always frames x height x width, written ``33x48x80``."""

from __future__ import annotations

import re
from typing import NamedTuple

from vidgen.errors import SizeError

__all__ = ["Size"]


class Size(NamedTuple):
    """Frames, height and width; of a video in pixels, or of its latents."""

    frames: int
    height: int
    width: int

    @classmethod
    def parse(cls, text: str) -> Size:
        """Read ``33x48x80``.

        Raises:
            SizeError: When the text has another form.
        """
        if not re.fullmatch(r"\d+x\d+x\d+", text) or "0" in text.split("x"):
            raise SizeError(f"A size reads frames x height x width, such as 17x64x64, not {text!r}.")
        return cls(*map(int, text.split("x")))

    @property
    def volume(self) -> int:
        """The number of positions."""
        return self.frames * self.height * self.width

    def __str__(self) -> str:
        return "x".join(map(str, self))
