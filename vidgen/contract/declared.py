"""What each part declares about itself. No torch here.

In a contract of a part that *provides* something, None means "cannot be known without loading". In one that *needs*
something, None means "follows": an untrained part takes it from its neighbour.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vidgen.config import require
from vidgen.process import Prediction, ProcessSpec
from vidgen.size import Size

__all__ = [
    "ABILITIES",
    "AutoencoderContract",
    "DenoiserContract",
    "LatentSpec",
    "SchedulerContract",
    "TextEncoderContract",
    "TextSpec",
]

ABILITIES = {
    "fps": "takes the frame rate as a condition",
    "given": "takes given frames as extra channels",
    "given_frames": "takes given frames with grey in between as extra channels, with a mask a frame",
    "guidance_embed": "takes the guidance scale as a condition",
    "image_tokens": "takes the tokens of an image",
    "pack": "takes samples of different sizes in one sequence",
    "per_frame_time": "takes a time for each latent frame, so that given frames can be clean",
    "sequence_parallel": "shares the tokens of a sample out among processes",
}
"""What a denoiser may declare that it can do beyond the common signature."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LatentSpec:
    """A latent space and how pixels map to it.

    Attributes:
        space: Identity of the space; two parts with one space understand each other's latents.
        channels: Latent channels C.
        time_stride: Frames to a latent frame.
        space_stride: Pixels to a latent position, in height and in width.
        frame_rule: ``causal`` wants 1 + k * time_stride frames, ``multiple`` k * time_stride, ``any`` takes all.
        streaming: ``exact`` (equal to the whole clip at every length), ``windowed`` or ``none``.
        codebook: Number of discrete codes; None for continuous latents.
    """

    space: str
    channels: int
    time_stride: int
    space_stride: int
    frame_rule: Literal["causal", "multiple", "any"] = "causal"
    streaming: Literal["exact", "windowed", "none"] = "none"
    codebook: int | None = None

    def latent_size(self, size: Size) -> Size:
        """Return the latent size of a video size that fits (see `fits`)."""
        head = 1 if self.frame_rule == "causal" else 0
        frames = head + -(-(size.frames - head) // self.time_stride)
        return Size(frames, -(-size.height // self.space_stride), -(-size.width // self.space_stride))

    def pixel_size(self, size: Size) -> Size:
        """Return the video size that latents of a size decode to."""
        head = 1 if self.frame_rule == "causal" else 0
        frames = head + (size.frames - head) * self.time_stride
        return Size(frames, size.height * self.space_stride, size.width * self.space_stride)

    def fits(self, size: Size) -> bool:
        """Return whether a video of this size maps to latents without padding."""
        return self.pixel_size(self.latent_size(size)) == size

    def padded(self, size: Size) -> Size:
        """Return the smallest size that fits and is at least as large."""
        return self.pixel_size(self.latent_size(size))

    def nearest(self, size: Size) -> list[Size]:
        """Return the fitting sizes just below and above, nearest first, at most two."""
        above = self.padded(size)
        strides = (self.time_stride, self.space_stride, self.space_stride)
        below = Size(*(a if a == s else max(a - d, 1 if i == 0 and self.frame_rule == "causal" else d)
                       for i, (a, s, d) in enumerate(zip(above, size, strides, strict=True))))  # fmt: skip
        return list(dict.fromkeys((above, below)))


@dataclass(frozen=True, kw_only=True, slots=True)
class TextSpec:
    """A text space: what a text encoder gives, or what a denoiser reads.

    Attributes:
        space: Identity of the space.
        width: Width D of the tokens.
        pooled_width: Width P of the pooled vector; 0 for none.
        max_tokens: Longest prompt in tokens.
        padding: What stands behind the last token: ``masked`` (text_mask 0, to be ignored), ``zeros`` (zero vectors,
            attended to) or ``attended`` (whatever the encoder gives, attended to).
        image_width: Width of the tokens of an image, for those who give or read them; 0 for none.
    """

    space: str | None = None
    width: int | None = None
    pooled_width: int | None = None
    max_tokens: int | None = None
    padding: Literal["masked", "zeros", "attended"] = "masked"
    image_width: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class AutoencoderContract:
    """What an autoencoder declares."""

    latent: LatentSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class TextEncoderContract:
    """What a text encoder declares."""

    text: TextSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class DenoiserContract:
    """What a denoiser declares; None for a latent or text field means that it follows its neighbour.

    Attributes:
        latent_space: The space it was trained on.
        latent_channels: Channels of its input.
        time_stride: Frames to a latent frame, for those to whom it matters; None for any.
        patch: Latent positions (t, h, w) to a token; sizes that do not divide are padded inside.
        max_latent: Largest latent size (t, h, w) it can make; None for any.
        text: What it reads.
        process: The process it was trained on.
        prediction: What its output means.
        abilities: Names out of `ABILITIES`.
    """

    latent_space: str | None = None
    latent_channels: int | None = None
    time_stride: int | None = None
    patch: tuple[int, int, int] = (1, 1, 1)
    max_latent: Size | None = None
    text: TextSpec = field(default_factory=TextSpec)
    process: ProcessSpec = field(default_factory=ProcessSpec)
    prediction: Prediction = "flow"
    abilities: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        unknown = self.abilities - set(ABILITIES)
        require(not unknown, f"Unknown abilities {sorted(unknown)}; known: {', '.join(ABILITIES)}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class SchedulerContract:
    """What a scheduler declares.

    Attributes:
        order: Order of convergence.
        evaluations_per_step: Denoiser evaluations a step.
        stochastic: Whether it draws noise on the way.
        start: Largest t at which it evaluates.
        process: The one process that it runs on; None follows the denoiser's.
    """

    order: int
    evaluations_per_step: int = 1
    stochastic: bool = False
    start: float = 1.0
    process: ProcessSpec | None = None
