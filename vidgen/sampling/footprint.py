"""How much memory parts take while they work, beside their weights: measured on a small video, then scaled up."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vidgen.interfaces import Condition, Denoiser, TextEmbedding, TextEncoder, VideoAutoencoder
from vidgen.sampling.device import place_of
from vidgen.size import Size

__all__ = ["Footprint", "LiveBytes", "measure"]

PROBE = Size(3, 8, 8)
"""Latents that are tried."""
TOKENS = 16


class LiveBytes(TorchDispatchMode):
    """Count the bytes of tensors that are made inside a ``with`` and still needed: `now`, and at `most`.

    Memory that a kernel takes for itself is not seen.

    Args:
        known: Tensors that were there before and are not counted, such as weights.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.now = self.most = 0
        self._there = {tensor.untyped_storage()._cdata for tensor in known}

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._there:
            self._there.add(key)
            self.now += size
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._there.discard(key)
        self.now -= size


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes beside the weights; all grow with the size of the video.

    Attributes:
        denoise: For each latent of a sample.
        decode: For each pixel of each frame, decoding it in one go.
        stream: For each pixel of a frame, decoding a latent frame at a time.
        kept: The part of `stream` that stays between the pieces.
    """

    denoise: float
    decode: float
    stream: float
    kept: float


@torch.inference_mode()
def measure(autoencoder: VideoAutoencoder, denoiser: Denoiser, text_encoder: TextEncoder) -> Footprint:
    """Run denoiser and decoder on a few latents, where they are, and count."""
    latent = autoencoder.latent
    device, dtype = place_of(autoencoder)
    latents = torch.zeros(1, latent.channels, *PROBE, device=device, dtype=dtype)
    pixels = latent.pixel_size(PROBE)
    with LiveBytes(_tensors(autoencoder)) as whole:
        autoencoder.decode(latents)
    kept = 0
    with LiveBytes(_tensors(autoencoder)) as streamed:
        for made in autoencoder.decode_stream(latents.split(1, dim=2)):
            kept = max(kept, streamed.now - made.untyped_storage().nbytes())
            del made
    area = pixels.height * pixels.width
    return Footprint(
        _denoise(denoiser, text_encoder, latent.channels) / PROBE.volume,
        whole.most / pixels.volume,
        streamed.most / area,
        max(kept, 0) / area,
    )


def _denoise(denoiser: Denoiser, text_encoder: TextEncoder, channels: int) -> int:
    device, dtype = place_of(denoiser)
    text, contract = text_encoder.text, denoiser.config.contract()
    tokens = torch.zeros(1, TOKENS, contract.text.width or text.width or 1, device=device, dtype=dtype)
    pooled = torch.zeros(1, text.pooled_width, device=device, dtype=dtype) if text.pooled_width else None
    embedding = TextEmbedding(tokens, torch.ones(1, TOKENS, dtype=torch.bool, device=device), pooled)
    fps = torch.full((1,), 16.0, device=device) if "fps" in contract.abilities else None
    with LiveBytes(_tensors(denoiser)) as live:
        prepared = denoiser.prepare(embedding, Condition(fps=fps), PROBE)
        noise = torch.zeros(1, channels, *PROBE, device=device, dtype=dtype)
        denoiser(noise, torch.full((1,), 0.5, device=device), prepared)
    return live.most


def _tensors(part: nn.Module) -> list[Tensor]:
    return [*part.parameters(), *part.buffers()]
