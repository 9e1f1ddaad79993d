"""What parts are asked under test: videos, texts, noisy latents, and one standard question a kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from vidgen.interfaces import Condition, TextEmbedding
from vidgen.sampling.device import place_of
from vidgen.size import Size
from vidgen.testing.check import NotApplicable, Subject, Violated

__all__ = ["all_learn", "answer", "ask", "latent_sizes", "latents", "text", "video", "video_sizes"]

PROMPTS = ("a large red circle moving left on a black background", "two words")


def video(size: Size, batch: int = 1, seed: int = 0) -> Tensor:
    """Return smooth videos ``[B, 3, T, H, W]`` in [-1, 1] that move, each another one."""
    draw = torch.Generator().manual_seed(seed)
    grids = [torch.linspace(0, 1, n) for n in size]
    t, y, x = torch.meshgrid(*grids, indexing="ij")
    waves = torch.zeros(batch, 3, *size)
    for _ in range(4):
        rates = 6 * torch.rand(batch, 3, 3, 1, 1, 1, generator=draw)
        phase = 6.28 * torch.rand(batch, 3, 1, 1, 1, generator=draw)
        waves += torch.sin(rates[:, :, 0] * t + rates[:, :, 1] * y + rates[:, :, 2] * x + phase)
    return (waves / 4).clamp(-1, 1)


def video_sizes(subject: Subject) -> list[Size]:
    """Return sizes that an autoencoder declares to take: an image where it can, several lengths, odd shapes."""
    latent = subject.config.contract().latent
    grid = [Size(1, 2, 2), Size(2, 2, 3), Size(3, 3, 2), Size(4, 2, 2), Size(5, 4, 2)]
    return [latent.pixel_size(size) for size in grid]


def latent_sizes(subject: Subject) -> list[Size]:
    """Return latent sizes that a denoiser declares to make, some that its patch does not divide."""
    most = subject.config.contract().max_latent or Size(64, 64, 64)
    wanted = (Size(1, 4, 4), Size(2, 4, 6), Size(3, 6, 4), Size(4, 5, 7), Size(5, 2, 2))
    return list(dict.fromkeys(Size(*map(min, size, most)) for size in wanted))


def latents(subject: Subject, size: Size, batch: int = 2, seed: int = 0) -> Tensor:
    """Return noisy latents ``[B, C, t, h, w]`` for a denoiser."""
    channels = subject.config.contract().latent_channels
    return torch.randn(batch, channels, *size, generator=torch.Generator().manual_seed(seed))


def text(subject: Subject, batch: int = 2, length: int = 6, seed: int = 0) -> TextEmbedding:
    """Return text as a denoiser declares to read it; the last third of every row but the first is padding."""
    need = subject.config.contract().text
    draw = torch.Generator().manual_seed(seed)
    length = min(length, need.max_tokens or length)
    tokens = torch.randn(batch, length, need.width or 16, generator=draw)
    mask = torch.ones(batch, length, dtype=torch.bool)
    if length > 2 and need.padding != "attended":
        mask[1:, -(length // 3) :] = False
        tokens = tokens * mask[..., None]
    pooled = torch.randn(batch, need.pooled_width, generator=draw) if need.pooled_width else None
    return TextEmbedding(tokens, mask, pooled)


def ask(
    part: Any,
    x: Tensor,
    time: Tensor,
    words: TextEmbedding,
    condition: Condition | None = None,
) -> Tensor:
    """Return a denoiser's prediction; everything is moved to where its weights are."""
    device, dtype = place_of(part)
    contract = part.config.contract()
    if (condition is None or condition.image_tokens is None) and contract.text.image_width:
        tokens = torch.zeros(len(x), 3, contract.text.image_width, device=device, dtype=dtype)
        condition = replace(condition or Condition(), image_tokens=tokens)
    prepared = part.prepare(words.to(device, dtype), condition or Condition(), Size(*x.shape[2:]))
    value: Tensor = part(x.to(device, dtype), time.to(device), prepared).value
    return value


@torch.no_grad()
def answer(subject: Subject, part: Any) -> Tensor:
    """Ask a part its kind's standard question, where its weights are; the answer is one tensor."""
    kind = subject.spec.kind
    if kind == "autoencoder":
        device, dtype = place_of(part)
        asked = video(video_sizes(subject)[1]).to(device, dtype)
        made: Tensor = part.decode(part.encode(asked))
        return made
    if kind == "denoiser":
        size = latent_sizes(subject)[1]
        return ask(part, latents(subject, size), torch.tensor([0.3, 0.7]), text(subject))
    if kind == "text_encoder":
        tokens: Tensor = part.encode(list(PROMPTS)).tokens
        return tokens
    raise NotApplicable(f"a {kind} is no module")


def all_learn(part: nn.Module) -> None:
    """Hold that after a backward pass every trainable parameter has a finite gradient that is not zero."""
    for name, parameter in part.named_parameters():
        if parameter.requires_grad:
            if parameter.grad is None or not parameter.grad.abs().sum() > 0:
                raise Violated(f"{name} gets no gradient: it can never learn")
            if not parameter.grad.isfinite().all():
                raise Violated(f"the gradient of {name} is not finite")
