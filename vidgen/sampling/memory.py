"""Where the parts of a pipeline are while it works, and how it decodes: by choice, or as the memory allows."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import torch
from torch import Tensor, nn

from vidgen.errors import ConfigError, VidgenError, closest
from vidgen.interfaces import Denoiser, TextEncoder, VideoAutoencoder
from vidgen.nn.blocks import blocks_of
from vidgen.quantisation import quantise, unpack
from vidgen.recipe import Sampling
from vidgen.sampling.device import as_dtype, auto_device, place_of
from vidgen.sampling.footprint import Footprint, measure
from vidgen.sampling.offload import Offload, units_of
from vidgen.sampling.tiles import decode_tiles
from vidgen.size import Size

__all__ = ["Decoding", "Memory", "Placement", "decoded", "free_memory", "place"]

Memory = Literal["auto", "all", "stages", "layers"]
Decoding = Literal["auto", "whole", "stream"] | int
"""In one go, a latent frame at a time, or in tiles of so many pixels."""

TILE = 256
"""Pixels of a tile's side where nobody says it."""
SHARE = 0.9
"""Of the free memory, what is planned for: kernels take some for themselves."""
MEANS: Mapping[str, str] = {
    "all": "all parts stay there",
    "stages": "each part is there while it works",
    "layers": "blocks are there one after the other",
}


class Parts(Protocol):
    """What is placed: the live parts of a pipeline."""

    autoencoder: VideoAutoencoder
    denoiser: Denoiser
    text_encoder: TextEncoder

    @property
    def device(self) -> torch.device:
        """Where the denoiser is."""
        ...

    @property
    def sampling(self) -> Sampling:
        """The defaults of a call."""
        ...

    def modules(self) -> dict[str, nn.Module]:
        """Return the parts that hold tensors, by kind."""
        ...


@dataclass(frozen=True, slots=True)
class Placement:
    """How a pipeline is placed; made by `place`.

    Attributes:
        device: Where the parts work.
        memory: ``all``, ``stages`` or ``layers``.
        decode: ``whole``, ``stream``, or a tile's side.
        note: Both in one line, and why.
        asked: The arguments of `place`, but for the type of the weights.
        planned: For how many latents in all there is room, where something was ``auto``; else 0, for any number.
    """

    device: torch.device
    memory: str
    decode: str | int
    note: str
    asked: Mapping[str, Any]
    planned: int = 0


@torch.inference_mode(False)
def place(
    pipe: Parts,
    device: str | torch.device | None = "auto",
    dtype: str | torch.dtype | None = None,
    memory: Memory = "auto",
    *,
    storage: str | None = None,
    decode: Decoding = "auto",
    size: Size | None = None,
    batch: int = 1,
) -> Placement:
    """Put the parts of a pipeline where they shall work. It can be called again at any time.

    Args:
        pipe: What is placed; `System.place` keeps the result.
        device: Where to work; ``auto`` takes an accelerator if there is one, None leaves it as it is.
        dtype: Of the weights; ``auto`` takes what is fast there, None leaves it as it is.
        memory: ``all`` parts on the device; in ``stages``, each part only while it works; in ``layers``, blocks of the
            denoiser and the text encoder one after the other, the next one on its way; ``auto`` takes the first that
            fits.
        storage: Keep the weights in blocks in fewer bits: ``fp8``, or one of torchao's (see `quantise`).
        decode: ``whole``, ``stream`` (a latent frame at a time), or the side of a tile in pixels; ``auto`` takes the
            first that fits.
        size: Of the videos that ``auto`` makes room for; None for the pipeline's default.
        batch: How many of them at once.

    Raises:
        ConfigError: For an unknown choice.
    """
    if memory not in get_args(Memory):
        known = ", ".join(get_args(Memory))
        raise ConfigError(
            f"memory is one of {known}, not {memory!r}.{closest(str(memory), get_args(Memory))}"
        )
    if not isinstance(decode, int) and decode not in ("auto", "whole", "stream"):
        raise ConfigError(f"decode is auto, whole, stream or the side of a tile, not {decode!r}.")
    place_to = auto_device() if device == "auto" else pipe.device if device is None else torch.device(device)
    kind = as_dtype(dtype, place_to)
    asked = {"device": place_to, "memory": memory, "storage": storage, "decode": decode}
    parts = pipe.modules()
    lift(parts)
    _store(parts, storage, kind)
    result = Placement(place_to, memory, "whole" if decode == "auto" else decode, "", asked)
    if "auto" in (memory, decode):
        result = _planned(pipe, result, size or pipe.sampling.size, batch)
    else:
        result = replace(result, note=_words(result))
    if result.memory == "all":
        for part in parts.values():
            part.to(place_to)
    else:
        for part in parts.values():
            part.to("cpu")
        Offload(parts.values(), place_to, by_block=result.memory == "layers")
    return result


def lift(parts: Mapping[str, nn.Module]) -> None:
    """End what `place` did to parts but for their storage: they are where they rest."""
    for part in parts.values():
        for one in part.modules():
            offload: Offload | None = getattr(one, "offload", None)
            if offload is not None:
                offload.lift()


def decoded(autoencoder: VideoAutoencoder, latents: Tensor, how: str | int) -> Iterator[Tensor]:
    """Yield the video of latents ``[B, C, t, h, w]`` in parts ``[B, 3, T_i, H, W]``, float32 on the CPU.

    Args:
        autoencoder: What decodes.
        latents: Normalised.
        how: ``whole``, ``stream``, or a tile's side in pixels.
    """
    latents = latents.to(*place_of(autoencoder))
    if how == "whole":
        made: Any = [autoencoder.decode(latents)]
    elif how == "stream":
        made = autoencoder.decode_stream(latents.split(1, dim=2))
    else:
        made = decode_tiles(autoencoder, latents.split(1, dim=2), int(how))
    for part in made:
        yield part.float().cpu()


def free_memory(device: torch.device) -> int | None:
    """Return how many bytes are free on a device; None where nobody can say."""
    if device.type == "cuda":
        reserved = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + reserved
    if device.type != "cpu":
        return None
    table = Path("/proc/meminfo")
    if table.exists():
        lines = dict(line.split(":", 1) for line in table.read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    names = ("SC_AVPHYS_PAGES", "SC_PAGE_SIZE")
    return os.sysconf(names[0]) * os.sysconf(names[1]) if names[0] in os.sysconf_names else None


def _store(parts: Mapping[str, nn.Module], storage: str | None, dtype: torch.dtype | None) -> None:
    """Have the weights in a type, and those in blocks in the storage that is asked for."""
    for kind, part in parts.items():
        if storage is None or dtype is not None:
            unpack(part)
        part.to(dtype=dtype)
        if storage is not None and (kind == "denoiser" or (kind == "text_encoder" and blocks_of(part))):
            quantise(part, storage)


def _planned(pipe: Parts, wanted: Placement, size: Size, batch: int) -> Placement:
    """Choose what fits: the fastest first, tiles last, for they alone change the result a little."""
    latent = pipe.autoencoder.latent
    size = latent.padded(size)
    volume = latent.latent_size(size).volume * batch
    free = free_memory(wanted.device)
    try:
        footprint = measure(pipe.autoencoder, pipe.denoiser, pipe.text_encoder)
        unknown = ""
    except (
        VidgenError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as problem:  # parts that want more than a probe has
        footprint, unknown = (
            Footprint(0, 0, 0, 0),
            f"; what the work takes is unknown ({type(problem).__name__})",
        )
    memories = ["all", "stages", "layers"] if wanted.asked["memory"] == "auto" else [wanted.memory]
    exact = ["whole", "stream"] if latent.streaming == "exact" else ["whole"]
    ways: list[str | int] = [*exact, TILE] if wanted.asked["decode"] == "auto" else [wanted.decode]
    pairs = [(m, w) for m in memories for w in ways if w != TILE] + [
        (m, w) for m in memories for w in ways if w == TILE
    ]
    weights = {memory: _weights(pipe, wanted.device, memory) for memory in memories}
    room = None if free is None else SHARE * (free + _there(pipe, wanted.device))
    chosen = None
    for memory, way in pairs:
        work = _work(footprint, size, volume, batch, way)
        need = _need(weights[memory], work, memory)
        if chosen is None or need < chosen[1]:
            chosen = (replace(wanted, memory=memory, decode=way, planned=volume), need)
        if room is None or need <= room:
            chosen = (replace(wanted, memory=memory, decode=way, planned=volume), need)
            break
    assert chosen is not None
    placement, need = chosen
    why = f"about {_gigabytes(need)} for {size}" + (f" x {batch}" if batch > 1 else "")
    if room is None:
        why += ", free memory unknown"
    elif need > room:
        why += f" of {_gigabytes(room)} free: MORE THAN THERE IS; take a smaller size, or storage='fp8'"
    else:
        why += f" of {_gigabytes(room)} free"
    return replace(placement, note=f"{_words(placement)}; {why}{unknown}")


def _weights(pipe: Parts, device: torch.device, memory: str) -> dict[str, int]:
    """Return the bytes of each part's weights that are on the device at once."""
    result = {}
    for kind, part in pipe.modules().items():
        units = units_of(part, device, by_block=memory == "layers")
        alone = [unit for unit in units if len(unit.family) == 1]
        around = sum(unit.most for unit in units if unit not in alone)
        sizes = [unit.most for unit in alone]
        result[kind] = around + (sum(sizes) if memory == "all" else max(sizes, default=0))
    return result


def _work(footprint: Footprint, size: Size, volume: int, batch: int, way: str | int) -> dict[str, float]:
    """Return the bytes that parts take beside their weights."""
    area = size.height * size.width * batch
    if way == "whole":
        decode = footprint.decode * area * size.frames
    elif way == "stream":
        decode = footprint.stream * area
    else:
        tile = min(area, int(way) ** 2 * batch)
        # neighbours share a quarter of a tile, so what tiles keep is (4 / 3) ** 2 of what whole frames would
        decode = footprint.kept * area * 16 / 9 + (footprint.stream - footprint.kept) * tile
    # classifier-free guidance doubles the batch
    return {"denoiser": 2 * footprint.denoise * volume, "autoencoder": decode, "text_encoder": 0.0}


def _need(weights: Mapping[str, int], work: Mapping[str, float], memory: str) -> float:
    if memory == "all":
        return sum(weights.values()) + max(work.values())
    return max(weight + work[kind] for kind, weight in weights.items())


def _there(pipe: Parts, device: torch.device) -> int:
    """Return the bytes of the pipeline itself that are on a device now, and count as taken."""
    tensors = {id(t): t for part in pipe.modules().values() for t in (*part.parameters(), *part.buffers())}
    return sum(t.numel() * t.element_size() for t in tensors.values() if t.device.type == device.type)


def _words(placement: Placement) -> str:
    way = {"whole": "decoded in one go", "stream": "decoded frame by frame"}
    storage = placement.asked["storage"]
    return (
        f"memory={placement.memory!r} on {placement.device} ({MEANS[placement.memory]}), "
        + (f"weights as {storage}, " if storage else "")
        + way.get(str(placement.decode), f"decoded in tiles of {placement.decode}")
    )


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
