"""Video files and frames: `Video` in memory, `VideoReader` and `VideoWriter` piece by piece."""

from vidgen.video.clip import Video, side_by_side
from vidgen.video.reader import VideoReader
from vidgen.video.writer import VideoWriter

__all__ = ["Video", "VideoReader", "VideoWriter", "side_by_side"]
