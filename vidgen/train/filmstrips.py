"""What a training shows of its videos."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vidgen.video import Video

__all__ = ["filmstrips"]


def filmstrips(videos: Sequence[Video], frames: int = 8) -> np.ndarray:
    """Return one picture uint8 ``[H, W, 3]``: a row a video, at most so many of its frames side by side."""
    rows = []
    for video in videos:
        chosen = np.linspace(0, len(video) - 1, min(frames, len(video))).round().astype(int)
        rows.append(np.concatenate(list(video.numpy()[chosen]), axis=1))
    return np.concatenate(rows, axis=0)
