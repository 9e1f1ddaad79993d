"""Latents encoded once and kept on disk, since a frozen autoencoder gives the same ones each time."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import torch
from torch import Tensor

from vidgen.checkpoint import digest
from vidgen.data import DataSet
from vidgen.interfaces import VideoAutoencoder
from vidgen.progress import progress
from vidgen.sampling.device import place_of
from vidgen.train.batches import to_unit
from vidgen.train.config import DataTable

__all__ = ["cached_latents"]


@torch.inference_mode()
def cached_latents(
    folder: Path, autoencoder: VideoAutoencoder, table: DataTable, data: DataSet, *, dtype: torch.dtype
) -> Tensor:
    """Return the latents of a table's first samples, from the folder or encoded into it.

    Args:
        folder: Where caches stand; a file's name says the data set, the size and both parts' identity.
        autoencoder: Frozen.
        table: The data table; its `cache` says how many samples (at most what the data set has).
        data: Its data set.
        dtype: Of the arithmetic.

    Returns:
        bfloat16 ``[count, C, t, h, w]``.
    """
    from safetensors.torch import load_file, save_file

    count = min(table.table.cache, len(data))
    # The configuration too: it may hold the normalisation, with the same weights.
    known = [table.settings.to_dict(), count, autoencoder.config.to_dict(), digest(autoencoder.state_dict())]
    identity = json.dumps(known, sort_keys=True)
    mark = hashlib.sha256(identity.encode()).hexdigest()[:8]
    path = folder / f"{table.spec.name}-{table.size}-{mark}.safetensors"
    if path.exists():
        return load_file(path)["latents"]
    place, _ = place_of(autoencoder)
    parts = []
    with progress(f"encoding {table.spec.name} {table.size}", count) as advance:
        for begin in range(0, count, 16):
            indices = range(begin, min(begin + 16, count))
            video = torch.stack([to_unit(data.sample(i, table.size).video) for i in indices]).to(place)
            with torch.autocast(place.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                parts.append(autoencoder.encode(video).to("cpu", torch.bfloat16))
            advance(len(indices))
    latents = torch.cat(parts).contiguous()
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".partial-{os.getpid()}")
    save_file({"latents": latents}, partial)
    partial.rename(path)
    return latents
