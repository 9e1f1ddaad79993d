"""Checks of video autoencoders: what the declared latent space promises, measured."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch

from vidgen.contract import LatentSpec
from vidgen.errors import SizeError, VideoError
from vidgen.interfaces import VideoAutoencoder
from vidgen.size import Size
from vidgen.testing.check import Measured, NotApplicable, Subject, Violated, check, distance
from vidgen.testing.probe import all_learn, video, video_sizes

__all__: list[str] = []

STREAM_LENGTHS = 9
"""Streams are compared with the whole clip at so many lengths in latent frames, from one on."""


@check("autoencoder")
def latents_as_declared(subject: Subject) -> None:
    """Latents have the declared channels and strides, for an image, for many lengths, for odd shapes."""
    part, latent = subject.stirred(), _latent(subject)
    with torch.no_grad():
        for size in video_sizes(subject):
            made = part.encode(video(size, batch=2))
            expected = (2, latent.channels, *latent.latent_size(size))
            if tuple(made.shape) != expected:
                raise Violated(f"{size} gives latents {list(made.shape)}; the contract says {list(expected)}")


@check("autoencoder")
def decoding_restores_the_size(subject: Subject) -> None:
    """What is encoded and decoded has its frames, height and width back."""
    part = subject.stirred()
    with torch.no_grad():
        for size in video_sizes(subject):
            made = part.decode(part.encode(video(size)))
            if tuple(made.shape) != (1, 3, *size):
                raise Violated(f"{size} comes back as {list(made.shape[2:])}")


@check("autoencoder")
def frame_rule_as_declared(subject: Subject) -> None:
    """Numbers of frames and sides outside the declared rule are refused with SizeError, all others are taken."""
    part, latent = subject.make(), _latent(subject)
    side = 2 * latent.space_stride
    asked = [Size(frames, side, side) for frames in range(1, 2 * latent.time_stride + 2)]
    asked += [Size(asked[0].frames, side + 1, side), Size(asked[0].frames, side, side + 1)]
    with torch.no_grad():
        for size in asked:
            try:
                part.encode(video(size))
            except SizeError:
                if latent.fits(size):
                    raise Violated(f"{size} fits the contract, but is refused") from None
            else:
                if not latent.fits(size):
                    raise Violated(f"{size} does not fit the contract, but is taken without a word")


@check("autoencoder")
def bad_videos_are_refused(subject: Subject) -> None:
    """NaN, values out of [-1, 1], integers and wrong shapes raise VideoError."""
    part, size = subject.make(), video_sizes(subject)[0]
    good = video(size)
    broken = good.clone()
    broken[0, 0, 0, 0, 0] = torch.nan
    wrong: dict[str, Any] = {
        "NaN": broken,
        "values of 255": good * 255,
        "integers": good.round().to(torch.uint8),
        "no batch axis": good[0],
        "one channel": good[:, :1],
    }
    for name, bad in wrong.items():
        try:
            part.encode(bad)
        except VideoError:
            continue
        raise Violated(f"{name}: taken without a word; call self.check_video(video) in encode")


@check("autoencoder")
def normalisation_is_an_affine(subject: Subject) -> Measured:
    """A declared normalisation reads as it was set, changes latents by its affine, and decoding undoes it."""
    part = subject.stirred()
    if part.normalisation() is None:
        if type(part).set_normalisation is not VideoAutoencoder.set_normalisation:
            raise Violated("a part with set_normalisation(mean, std) needs normalisation() too, to read it")
        raise NotApplicable("the part declares no normalisation()")
    channels = _latent(subject).channels
    clip = video(video_sizes(subject)[1])
    with torch.no_grad():
        part.set_normalisation(torch.zeros(channels), torch.ones(channels))
        raw = part.encode(clip)
        plain = part.decode(raw)
        mean, std = torch.linspace(-1, 1, channels), torch.linspace(0.5, 2, channels)
        part.set_normalisation(mean, std)
        if any(distance(*pair) > 1e-6 for pair in zip(part.normalisation(), (mean, std), strict=True)):
            raise Violated("normalisation() returns other than the mean and the deviation that were set")
        moved, shape = part.encode(clip), (1, -1, 1, 1, 1)
        inverse = distance(moved * std.view(shape) + mean.view(shape), raw)
        return Measured(max(inverse, distance(part.decode(moved), plain)), 1e-4)


@check("autoencoder")
def streaming_as_declared(subject: Subject) -> Measured:
    """Streamed in pieces, a clip has the latents and frames of the whole: exactly, where `exact` is declared."""
    part, latent = subject.stirred(), _latent(subject)
    if latent.streaming == "windowed":
        return _near_beyond_a_window(part, latent)
    worst = 0.0
    with torch.no_grad():
        for count in range(1, STREAM_LENGTHS + 1):
            clip = video(latent.pixel_size(Size(count, 2, 2)))
            whole = part.encode(clip)
            frames = part.decode(whole)
            for step in (1, 2, latent.time_stride, 2 * latent.time_stride + 1):
                pieces = list(part.encode_stream(clip.split(step, dim=2)))
                if not pieces:
                    raise Violated(f"encode_stream yields nothing for {clip.shape[2]} frames")
                worst = max(worst, distance(torch.cat(pieces, dim=2), whole))
            for step in (1, 2, 3):
                parts = list(part.decode_stream(whole.split(step, dim=2)))
                worst = max(worst, distance(torch.cat(parts, dim=2), frames))
    return Measured(worst, 1e-4, "the difference between stream and whole clip")


@torch.no_grad()
def _near_beyond_a_window(part: VideoAutoencoder, latent: LatentSpec) -> Measured:
    """Hold windows to the whole clip: equal up to one window, beyond it nearer to it than another clip is."""
    worst = 0.0
    for count in (1, part.window[0], part.window[0] + 1, 2 * part.window[0] + 1):
        clip, other = video(latent.pixel_size(Size(count, 2, 2)), batch=2).split(1)
        whole, stranger = part.encode(clip), part.encode(other)
        latents = torch.cat(list(part.encode_stream(clip.split(3, dim=2))), dim=2)
        frames = torch.cat(list(part.decode_stream(whole.split(2, dim=2))), dim=2)
        for made, right, wrong in (
            (latents, whole, stranger),
            (frames, part.decode(whole), part.decode(stranger)),
        ):
            if made.shape != right.shape:
                raise Violated(
                    f"the stream has the shape {list(made.shape)}, the whole clip {list(right.shape)}"
                )
            if count <= part.window[0] and distance(made, right) > 1e-4:
                raise Violated("a clip of one window differs from the whole", distance(made, right), 1e-4)
            error = float((made - right).square().mean().sqrt() / (wrong - right).square().mean().sqrt())
            worst = max(worst, error)
    return Measured(worst, 1.0, "the difference between stream and whole clip, over that of another clip")


@check("autoencoder")
def causal_as_declared(subject: Subject) -> Measured:
    """Under a causal frame rule later frames never change earlier latents."""
    latent = _latent(subject)
    if latent.frame_rule != "causal":
        raise NotApplicable(f"the frame rule is {latent.frame_rule!r}, not 'causal'")
    part = subject.stirred()
    whole = video(latent.pixel_size(Size(4, 2, 2)))
    worst = 0.0
    with torch.no_grad():
        for kept in (1, 2, 3):
            frames = latent.pixel_size(Size(kept, 2, 2)).frames
            changed = whole.clone()
            changed[:, :, frames:] = -changed[:, :, frames:].flip(2)
            one, two = part.encode(whole), part.encode(changed)
            worst = max(worst, distance(two[:, :, :kept], one[:, :, :kept]))
            if distance(two[:, :, kept:], one[:, :, kept:]) == 0:
                raise Violated("later frames change nothing at all: the latents do not see them")
    return Measured(worst, 1e-5, "the change of earlier latents")


@check("autoencoder")
def batch_does_not_matter(subject: Subject) -> Measured:
    """A clip has the same latents and frames alone as among others."""
    part, clips = subject.stirred(), video(video_sizes(subject)[1], batch=3)
    with torch.no_grad():
        together = part.encode(clips)
        frames = part.decode(together)
        alone = torch.cat([part.encode(clip[None]) for clip in clips])
        single = torch.cat([part.decode(latents[None]) for latents in together])
    return Measured(max(distance(together, alone), distance(frames, single)), 1e-4)


@check("autoencoder")
def latents_depend_on_the_video(subject: Subject) -> None:
    """Other clips have other latents, and other latents decode to other frames."""
    part, clips = subject.stirred(), video(video_sizes(subject)[1], batch=2)
    with torch.no_grad():
        latents = part.encode(clips)
        frames = part.decode(latents)
    if distance(latents[0], latents[1]) < 1e-6:
        raise Violated("two different clips have the same latents")
    if distance(frames[0], frames[1]) < 1e-6:
        raise Violated("two different latents decode to the same frames")


@check("autoencoder")
def trains(subject: Subject) -> None:
    """`forward_train` reconstructs at full size, its losses are finite scalars, every parameter gets a gradient."""
    part = subject.stirred().train()
    clips = video(video_sizes(subject)[1], batch=2)
    torch.manual_seed(0)
    made, losses = part.forward_train(clips)
    if made.shape != clips.shape:
        raise Violated(f"forward_train gives {list(made.shape)} for {list(clips.shape)}")
    for name, loss in losses.items():
        if loss.ndim or not loss.isfinite():
            raise Violated(f"the loss {name!r} is no finite scalar: {loss}")
    if any(parameter.requires_grad for parameter in part.parameters()):
        ((made - clips).square().mean() + sum(losses.values())).backward()
        all_learn(part)


@check("autoencoder")
def codes_as_declared(subject: Subject) -> Measured:
    """Discrete codes lie in the declared range, and decode to what their latents decode to."""
    codebook = _latent(subject).codebook
    if codebook is None:
        raise NotApplicable("the latents are continuous: the contract names no codebook")
    part, clip = subject.stirred(), video(video_sizes(subject)[1], batch=2)
    if not (hasattr(part, "codes") and hasattr(part, "decode_codes")):
        raise Violated("a part with a codebook needs codes(video) and decode_codes(codes)")
    with torch.no_grad():
        codes = part.codes(clip)
        if codes.is_floating_point() or codes.min() < 0 or codes.max() >= codebook:
            raise Violated(
                f"codes are {codes.dtype} from {codes.min()} to {codes.max()}; declared: {codebook}"
            )
        return Measured(distance(part.decode_codes(codes), part.decode(part.encode(clip))), 1e-4)


@check("autoencoder")
def nearest_sizes_fit(subject: Subject) -> None:
    """The sizes that the contract offers in place of one that does not fit do fit."""
    latent = _latent(subject)
    for frames, height, width in ((6, 50, 70), (2, 9, 9), (17, 64, 63)):
        for near in latent.nearest(Size(frames, height, width)):
            if not latent.fits(near):
                raise Violated(f"{near} is offered for {frames}x{height}x{width}, but does not fit either")
    lengths = [latent.pixel_size(Size(n, 1, 1)).frames for n in range(1, 6)]
    if any(b <= a for a, b in pairwise(lengths)):
        raise Violated(f"longer latents do not give longer videos: {lengths}")


def _latent(subject: Subject) -> LatentSpec:
    latent: LatentSpec = subject.config.contract().latent
    return latent
