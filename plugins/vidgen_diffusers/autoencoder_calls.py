"""How the autoencoders of diffusers want to be called, each in its own way. Letters: B batch, T frames."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from vidgen_diffusers.autoencoder_config import DiffusersAutoencoderConfig

__all__ = ["decode", "encode"]

LEAST = -30.0
"""Log-variance of a code without a posterior."""


def encode(model: Any, config: DiffusersAutoencoderConfig, video: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and log-variance ``[B, C, t, h, w]`` of ``[B, 3, T, H, W]``."""
    if config.facts.by_frame:
        found = _code(model, rearrange(video, "b c t h w -> (b t) c h w"))
        mean, log_variance = (rearrange(x, "(b t) c h w -> b c t h w", b=len(video)) for x in found)
        return mean, log_variance
    if config.model == "AutoencoderKLAllegro":
        return _allegro_encode(model, video)
    parts = [_code(model, one) for one in video.split(1 if config.facts.alone else len(video))]
    mean, log_variance = (torch.cat(found) for found in zip(*parts, strict=True))
    return mean, log_variance


def decode(
    model: Any, config: DiffusersAutoencoderConfig, raw: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Return the video ``[B, 3, T, H, W]`` of raw latents ``[B, C, t, h, w]``."""
    if config.facts.by_frame:
        frames = rearrange(raw, "b c t h w -> (b t) c h w")
        joined = {} if config.facts.streams else {"num_frames": raw.shape[2]}
        made = model.decode(frames, **joined).sample
        return rearrange(made, "(b t) c h w -> b c t h w", b=len(raw))
    if config.model == "AutoencoderKLAllegro":
        return _allegro_decode(model, raw)
    if config.model == "AutoencoderKLCogVideoX" and raw.shape[2] % 2 == 0:
        # It decodes in pairs and takes the first frame for a single one only where their number is odd.
        more: Tensor = model.decode(torch.cat([raw, raw[:, :, -1:]], dim=2)).sample
        return more[:, :, : -model.config.temporal_compression_ratio]
    if config.model in ("AutoencoderKLLTXVideo", "AutoencoderKLLTX2Video"):
        return _ltx_decode(model, config, raw, generator)
    parts = raw.split(1 if config.facts.alone else len(raw))
    return torch.cat([model.decode(one).sample for one in parts])


def _code(model: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Call `encode` and read the answer, a distribution with or without a variance, or latents."""
    answer = model.encode(pixels)
    found = answer.latent_dist if hasattr(answer, "latent_dist") else answer
    if hasattr(found, "logvar"):
        return found.mean, found.logvar
    mean = found.mode() if hasattr(found, "mode") else found.latent
    return mean, torch.full_like(mean, LEAST)


def _ltx_decode(
    model: Any, config: DiffusersAutoencoderConfig, raw: Tensor, generator: torch.Generator | None
) -> Tensor:
    """Put noise to the latents and tell the decoder how much, where it was trained so."""
    if generator is None:  # each sample with the same noise, so that its batch does not matter
        parts = (_ltx_decode(model, config, one, torch.Generator().manual_seed(0)) for one in raw.split(1))
        return torch.cat(list(parts))
    time = None
    if model.config.timestep_conditioning:
        time = torch.full((len(raw),), config.decode_timestep, dtype=raw.dtype, device=raw.device)
        noise = config.decode_timestep if config.decode_noise_scale is None else config.decode_noise_scale
        drawn = torch.randn(raw.shape, generator=generator, dtype=torch.float32, device=generator.device)
        raw = (1 - noise) * raw + noise * drawn.to(raw)
    injected = model.config.decoder_inject_noise
    with _seeded(generator) if injected is True or (injected and any(injected)) else contextlib.nullcontext():
        made: Tensor = model.decode(raw, time).sample
        return made


@contextlib.contextmanager
def _seeded(generator: torch.Generator) -> Iterator[None]:
    """Let what draws from torch's global generator follow this one, and leave the global one as it was."""
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _allegro_encode(model: Any, video: Tensor) -> tuple[Tensor, Tensor]:
    if _tiles_cover(model, video.shape[2:]):
        return _code(model, video)
    mean, log_variance = _each_frame(model.quant_conv, model.encoder(video)).chunk(2, dim=1)
    return mean, log_variance.clamp(LEAST, 20.0)


def _allegro_decode(model: Any, raw: Tensor) -> Tensor:
    t, h, w = raw.shape[2:]
    time, space = model.config.temporal_compression_ratio, model.spatial_compression_ratio
    if _tiles_cover(model, (time * t, space * h, space * w)):
        return rearrange(model.decode(raw).sample, "b t c h w -> b c t h w")
    made: Tensor = model.decoder(_each_frame(model.post_quant_conv, raw))
    return made


def _each_frame(layer: Any, x: Tensor) -> Tensor:
    return rearrange(layer(rearrange(x, "b c t h w -> (b t) c h w")), "(b t) c h w -> b c t h w", b=len(x))


def _tiles_cover(model: Any, size: Sequence[int]) -> bool:
    """Return whether Allegro's tiles lie on a video without a gap; diffusers leaves gaps empty without a word."""
    model.use_tiling = True
    axes = list(zip(size, model.kernel, model.stride, strict=True))
    return all(n == tile or (n > tile and step > 0 and (n - tile) % step == 0) for n, tile, step in axes)
