"""What is given: frames, or regions of frames, that a generated video must keep.

One notion serves image-to-video, continuation, transitions, key frames and inpainting: pixels with a mask over them,
1 = given. The autoencoder folds both to its latent grid; a latent that is partly given is blended.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from vidgen.contract import LatentSpec
from vidgen.errors import ConfigError, SizeError
from vidgen.interfaces import VideoAutoencoder
from vidgen.sampling.device import place_of
from vidgen.size import Size
from vidgen.video import Video
from vidgen.video.pixels import covering_size

__all__ = ["Given", "Held", "as_video"]

STILL = 0.7
"""Down to this time a latent of several frames, of which not all are given, stands still."""


def as_video(picture: Any, size: Size, frames: int | None = None) -> Video:
    """Return a picture or clip at a height and width: scaled until it covers them, the middle cut out.

    Args:
        picture: A `Video`, a path to a video or image, a PIL image, or a uint8 or boolean array: an image ``[H, W]``,
            ``[H, W, 3]`` or ``[H, W, 4]`` (over black), or a clip ``[T, H, W, 3]`` or ``[T, H, W, 4]``.
        size: Only height and width count.
        frames: Read no more of a file.

    Raises:
        ConfigError: For anything else.
    """
    if isinstance(picture, (str, os.PathLike)):
        picture = Video.open(picture, frames=frames)
    elif isinstance(picture, Image.Image):
        picture = Video.from_pil(picture)
    elif isinstance(picture, np.ndarray):
        picture = picture.astype(np.uint8) * 255 if picture.dtype == bool else picture
        picture = Video.from_numpy(picture if picture.ndim == 4 else picture[None])
    if not isinstance(picture, Video):
        raise ConfigError(
            f"A given picture is a Video, a path, a PIL image or a uint8 array, not {type(picture).__name__}."
        )
    sides = (size.height, size.width)
    if picture.size[1:] == sides:
        return picture
    return picture.resize(*covering_size(picture.height, picture.width, sides)).crop(*sides)


@dataclass(frozen=True, slots=True)
class Given:
    """Pixels that are handed in, and which.

    Attributes:
        video: ``[3, T, H, W]`` in [-1, 1]; what is not given may hold anything.
        mask: Boolean ``[1, T, H, W]``, True for given pixels.
    """

    video: Tensor
    mask: Tensor

    def __post_init__(self) -> None:
        if (
            self.video.ndim != 4
            or len(self.video) != 3
            or self.mask.shape != (1, *self.video.shape[1:])
            or self.mask.dtype != torch.bool
        ):
            raise ConfigError(
                f"Given wants a video [3, T, H, W] and a boolean mask [1, T, H, W], not {list(self.video.shape)} and "
                f"{self.mask.dtype} {list(self.mask.shape)}."
            )

    @classmethod
    def frames(cls, parts: Mapping[int, Any], size: Size) -> Given:
        """Put pictures and clips at their first frame; a negative one counts from the end.

        ``{0: image}`` is image-to-video, ``{0: tail}`` a continuation, ``{0: tail, -9: head}`` a transition into a clip
        of nine frames, ``{0: a, 8: b, 16: c}`` three key frames.

        Args:
            parts: By frame; see `as_video` for what they may be.
            size: Of the whole video.

        Raises:
            SizeError: For parts that reach beyond the video.
            ConfigError: For anything but pictures and clips by whole numbers.
        """
        if not isinstance(parts, Mapping) or not all(isinstance(number, int) for number in parts):
            raise ConfigError(
                f"given= is a Given, or pictures and clips by frame such as {{0: a, -1: b}}, not {parts!r:.80}."
            )
        video, mask = torch.zeros(3, *size), torch.zeros(1, *size, dtype=torch.bool)
        for number, picture in parts.items():
            clip = as_video(picture, size).tensor()[0]
            first = number + size.frames if number < 0 else number
            last = first + clip.shape[1]
            if not 0 <= first < last <= size.frames:
                raise SizeError(
                    f"{clip.shape[1]} given frames from frame {number} do not fit a video of {size.frames} frames."
                )
            video[:, first:last], mask[:, first:last] = clip, True
        return cls(video, mask)

    @classmethod
    def region(cls, video: Any, mask: Any, size: Size) -> Given:
        """Keep what a mask shows white of a video; black is made anew.

        Args:
            video: See `as_video`; frames beyond the size are left out.
            mask: Likewise; one picture holds for all frames.
            size: Of the whole video.

        Raises:
            SizeError: For a video or a mask of fewer frames.
        """
        clip, light = as_video(video, size, size.frames), as_video(mask, size, size.frames)
        for name, count in (("video", len(clip)), ("mask", len(light))):
            if count < size.frames and (name, count) != ("mask", 1):
                raise SizeError(
                    f"The {name} has {count} frames, fewer than {size}; ask for frames={count} or fewer."
                )
        kept = light[: size.frames].tensor()[0].mean(dim=0, keepdim=True) >= 0
        return cls(clip[: size.frames].tensor()[0], kept.expand(1, *size).clone())

    def filled(self, others: Tensor | None = None) -> Tensor:
        """Return ``[3, T, H, W]`` with something plausible where nothing is given.

        Args:
            others: What is there, if it is known by now. Without it each pixel stands still from the nearest frame in
                time that has it, and one that never is given takes its frame's mean colour.
        """
        if others is not None:
            return torch.where(self.mask, self.video, others.to(self.video))
        count = self.mask.shape[1]
        index = torch.arange(count, device=self.mask.device)[:, None, None]
        before = torch.where(self.mask[0], index, -count).cummax(dim=0).values
        after = torch.where(self.mask[0], index, 2 * count).flip(0).cummin(dim=0).values.flip(0)
        source = torch.where(index - before <= after - index, before, after)
        known = (source >= 0) & (source < count)
        still = self.video.gather(1, source.clamp(0, count - 1).expand(3, -1, -1, -1))
        shares = known.sum(dim=(1, 2)).clamp(min=1)
        mean = (still * known).sum(dim=(2, 3)) / shares
        return torch.where(known, still, mean[:, :, None, None])

    def fold(self, latent: LatentSpec) -> Tensor:
        """Return how much of each frame of each latent is given, ``[stride, t, h, w]`` in [0, 1].

        A first frame that has a latent of its own fills all of it.
        """
        mask = self.mask.float()
        head = latent.time_stride - 1 if latent.frame_rule == "causal" else 0
        mask = torch.cat([mask[:, :1].expand(-1, head, -1, -1), mask], dim=1)
        share = torch.nn.functional.avg_pool3d(mask, (1, latent.space_stride, latent.space_stride))
        return rearrange(share, "1 (t s) h w -> s t h w", s=latent.time_stride)

    def pictures(self) -> Tensor:
        """Return the first given frame, and the last one where the video's end is given too, ``[N, 3, H, W]``."""
        there = self.mask.flatten(2).any(dim=2)[0].nonzero()[:, 0].tolist()
        ends = (
            [there[0]]
            if there[-1] != self.mask.shape[1] - 1 or there[0] == there[-1]
            else [there[0], there[-1]]
        )
        return self.video[:, ends].transpose(0, 1)

    def waits(self, latent: LatentSpec) -> bool:
        """Return whether the latents of what is given depend on what is not: under a causal rule, on earlier frames."""
        whole = self.mask.flatten(2).all(dim=2)[0]
        some = self.mask.flatten(2).any(dim=2)[0]
        partly = bool((some & ~whole).any())
        later = bool((some & ((~whole).cumsum(0) - (~whole).long() > 0)).any())
        return partly or (later and (latent.frame_rule == "causal" or latent.time_stride > 1))


class Held:
    """Given latents of a batch while it is sampled.

    Args:
        givens: One a sample, all of one size.
        autoencoder: What folds them.
        place: Where the denoiser works.
        grey: The denoiser reads them from channels of its own, with grey in between, and makes them anew itself.
    """

    def __init__(
        self,
        givens: list[Given],
        autoencoder: VideoAutoencoder,
        place: torch.device,
        *,
        grey: bool = False,
    ) -> None:
        self.givens, self.autoencoder, self.place, self.grey = givens, autoencoder, place, grey
        folded = torch.stack([given.fold(autoencoder.latent) for given in givens]).to(place)
        self.frames = (folded == 1).float()
        self.share, self.most = folded.mean(dim=1, keepdim=True), folded.amax(dim=1, keepdim=True)
        self.waits = not grey and any(given.waits(autoencoder.latent) for given in givens)
        filled = [given.video * given.mask if grey else given.filled() for given in givens]
        self.latents = self._encode(filled)

    def weight(self, time: float) -> Tensor:
        """Return how much of the given latents counts at a time, ``[B, 1, t, h, w]``.

        A latent of several frames with one of them given stands still at first, then it is blended, and in the end
        (when it has been encoded anew from what was generated and what is given) it is taken as it is.
        """
        if time == 0:
            return (self.most > 0).to(self.most)
        return self.most if time >= STILL else self.share

    def whole(self, time: float) -> Tensor:
        """Return a boolean ``[B, t]``: latent frames that are given all over."""
        return (self.weight(time) == 1).flatten(3).all(dim=3)[:, 0]

    def put(self, clean: Tensor, time: float) -> Tensor:
        """Return a clean estimate ``[B, C, t, h, w]`` at a time with what is given in place; as it is for `grey`."""
        return clean if self.grey else torch.lerp(clean, self.latents.to(clean), self.weight(time).to(clean))

    def refresh(self, clean: Tensor) -> None:
        """Encode what is given again, within the video as it is by now."""
        device, dtype = place_of(self.autoencoder)
        pixels = self.autoencoder.decode(clean.to(device, dtype)).float().cpu().clamp(-1, 1)
        self.latents = self._encode(
            [given.filled(one) for given, one in zip(self.givens, pixels, strict=True)]
        )

    def condition(self) -> Tensor:
        """Return what denoisers with the ability `given` or `given_frames` read.

        Given latents and their mask ``[B, C + 1, t, h, w]``; for `grey` a mask a frame of a latent, and all latents
        ``[B, stride + C, t, h, w]``.
        """
        if self.grey:
            return torch.cat([self.frames.to(self.latents), self.latents], dim=1)
        mask = (self.share == 1).to(self.latents)
        return torch.cat([mask * self.latents, mask], dim=1)

    def _encode(self, videos: list[Tensor]) -> Tensor:
        device, dtype = place_of(self.autoencoder)
        return self.autoencoder.encode(torch.stack(videos).to(device, dtype)).float().to(self.place)
