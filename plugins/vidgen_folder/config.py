"""The settings of videos in a folder or in tar files."""

from __future__ import annotations

from typing import Literal

from vidgen.config import Config, config, require

__all__ = ["CutConfig", "FolderConfig", "WebDatasetConfig"]


@config
class CutConfig(Config):
    """How samples are cut from clips.

    Attributes:
        fps: Frame rate to which clips are brought by their timestamps; None keeps each file's own.
        short: What happens to clips with fewer frames than asked for: `skip` leaves them out, with a warning;
            `loop` plays them forth and back.
        stills: Use images for videos too, standing still; else only where a single frame is asked for.
        augment: Draw a crop, a frame stride and the changes below anew for each index. Else a sample is the
            largest centred crop at the clip's own rate, from a start drawn by the index, the files in turn.
        scales: Side of an augmented crop relative to the largest that fits, lowest and highest. Crops are
            never smaller than the size asked for, if the clip is not.
        max_stride: An augmented sample takes every 1st to `max_stride`-th frame, as the clip's length allows.
        flip: Mirror left and right half of the augmented samples.
        reverse: Play half of the augmented samples backwards.
        jitter: Vary gamma, contrast and, in one of five augmented samples, the order of the colours.
        seed: Everything about a sample follows from this, its index and its size.
        samples: Length of one pass.
    """

    fps: float | None = None
    short: Literal["loop", "skip"] = "skip"
    stills: bool = False
    augment: bool = False
    scales: tuple[float, float] = (0.4, 1.0)
    max_stride: int = 2
    flip: bool = True
    reverse: bool = True
    jitter: bool = True
    seed: int = 0
    samples: int = 100_000

    def validate(self) -> None:
        """Check the ranges."""
        own = type(self).__name__
        for name in ("max_stride", "samples"):
            value = getattr(self, name)
            require(value >= 1, f"{own}.{name} must be at least 1, not {value}.")
        require(self.seed >= 0, f"{own}.seed must be 0 or more, not {self.seed}.")
        low, high = self.scales
        require(0 < low <= high <= 1, f"{own}.scales must be 0 < low <= high <= 1, not {self.scales}.")
        require(self.fps is None or self.fps > 0, f"{own}.fps must be positive, not {self.fps}.")


@config
class FolderConfig(CutConfig):
    """Which files of a folder are used, and how samples are cut from them.

    Attributes:
        path: The folder; all below it is searched. It must be given.
        include: Glob patterns; a file whose name, or path below the folder, matches one of them is used.
        exclude: Likewise; a matching file is left out.
        captions: A JSON-lines or CSV file with `file` and `caption`, absolute or below the folder. Empty
            takes the `.txt` beside each file, else captions.jsonl or captions.csv in the folder.
        decode: `lazy` seeks and decodes the frames of each sample, at full resolution; `memory` decodes every
            clip once and keeps the frames at `short_side` pixels: faster, right for small sets.
        short_side: Of the frames kept by `memory`, in pixels; smaller clips stay as they are.
        weight: Files are drawn `equal`ly, or in proportion to their `duration`.
    """

    path: str = ""
    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    captions: str = ""
    decode: Literal["lazy", "memory"] = "lazy"
    short_side: int = 256
    weight: Literal["equal", "duration"] = "equal"

    def validate(self) -> None:
        """Check the ranges."""
        CutConfig.validate(self)
        require(self.short_side >= 1, f"FolderConfig.short_side must be at least 1, not {self.short_side}.")


@config
class WebDatasetConfig(CutConfig):
    """Which tar files are used, and how samples are cut from what they hold.

    Attributes:
        path: The tar files: a folder of them, a glob pattern (`clips/*.tar`) or a numbered row
            (`clips-{000..099}.tar`). It must be given.
        caption_field: Of the `.json` beside a clip that has no `.txt`.
    """

    path: str = ""
    caption_field: str = "caption"
