"""Latents and text embeddings computed once and kept on disk: frozen parts give the same ones each time.

A data table's cache is a folder. ``index.json`` says what was encoded and by which parts; each file such as
``000064-000127.safetensors`` holds these samples. All are written under another name and renamed, so a file that stands
there is whole, and a killed run goes on behind the last one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from vidgen.checkpoint import atomic_file, digest
from vidgen.data import DataSet
from vidgen.errors import CheckpointError, RecipeError
from vidgen.interfaces import TextEmbedding, TextEncoder, VideoAutoencoder
from vidgen.parts import build
from vidgen.progress import progress
from vidgen.sampling.assembly import assemble, make
from vidgen.sampling.device import auto_dtype, place_of
from vidgen.train.batches import Embedded, to_unit
from vidgen.train.config import DataTable, TrainConfig, TrainRecipe

__all__ = ["Cache", "arithmetic", "fill_caches"]

FORMAT = 2
SHARD = 64
"""Samples to a file: what a kill can cost."""
AT_ONCE = 16
"""Samples that are encoded together."""
OPEN = 64
"""Files that stay open while samples are read."""
INDEX, EMPTY = "index.json", "empty.safetensors"
CAPTIONS = "captions"
"""Key under which the head of a file holds the captions, a list in JSON."""


class Cache:
    """The first samples of a data table, encoded.

    Latents are bfloat16 ``[C, t, h, w]`` a sample, beside its caption. Where the table says `cache_text`, the caption's
    embedding is there too (one wording), and that of the empty prompt.

    Args:
        root: Where caches stand; each table has a folder below it, named by its data set, size and settings.
        table: The data table; its `cache` says how many samples (at most what the data set has).
        data: Its data set.
        autoencoder: Frozen.
        text_encoder: Frozen; used where the table says `cache_text`.

    Attributes:
        folder: Where this cache stands.

    Raises:
        CheckpointError: When the folder was made by other parts.
    """

    def __init__(
        self,
        root: Path,
        table: DataTable,
        data: DataSet,
        autoencoder: VideoAutoencoder,
        text_encoder: TextEncoder | None = None,
    ) -> None:
        self.table, self.data = table, data
        self.autoencoder = autoencoder
        self.text_encoder = text_encoder if table.table.cache_text else None
        self._open: dict[int, Any] = {}
        self._there: dict[int, range] = {}
        self._empty: TextEmbedding | None = None
        source = {
            "data": table.spec.name,
            "size": str(table.size),
            "settings": table.settings.to_dict(),
            "texts": table.table.cache_text,
        }
        mark = hashlib.sha256(json.dumps(source, sort_keys=True).encode()).hexdigest()[:8]
        self.folder = root / f"{table.spec.name}-{table.size}-{mark}"
        self._check({"format": FORMAT, **source, **self._makers()})

    def __len__(self) -> int:
        """Return how many samples the cache holds once it is filled."""
        return min(self.table.table.cache, len(self.data))

    def __getstate__(self) -> dict[str, Any]:
        """Leave open files and the parts out: loader processes open their own, and only read."""
        return {**self.__dict__, "_open": {}, "autoencoder": None, "text_encoder": None}

    # What stands there

    def _makers(self) -> dict[str, Any]:
        # The configuration too: it may hold the normalisation, with the same weights.
        parts = {"autoencoder": self.autoencoder, "text_encoder": self.text_encoder}
        return {
            kind: part and {"weights": digest(part.state_dict()), "config": part.config.to_dict()}
            for kind, part in parts.items()
        }

    def _check(self, identity: dict[str, Any]) -> None:
        """Compare what made the folder with what would make it now; write the index of a new one."""
        identity = json.loads(json.dumps(identity))
        path = self.folder / INDEX
        if not path.exists():
            with atomic_file(path) as new:
                new.write_text(json.dumps(identity, indent=2) + "\n")
            return
        try:
            found = dict(json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as problem:
            raise CheckpointError(f"{path} cannot be read ({problem}); remove {self.folder}.") from problem
        for key, now in identity.items():
            if found.get(key) == now:
                continue
            was, what = found.get(key), key.replace("_", " ")
            marks = [x["weights"] if isinstance(x, dict) and "weights" in x else "none" for x in (was, now)]
            how = f"{marks[0]}, now {marks[1]}" if marks[0] != marks[1] else "other settings"
            raise CheckpointError(
                f"{self.folder} is stale: it was made with another {what} ({how}); remove it to encode anew, or "
                "name another folder by train.cache."
            )

    def _files(self) -> dict[int, range]:
        """Return the samples that whole files hold, by the first one."""
        found: dict[int, range] = {}
        for path in self.folder.glob("*-*.safetensors"):
            first, last = map(int, path.stem.split("-"))
            found[first] = max(found.get(first, range(0)), range(first, last + 1), key=len)
        return found

    def _path(self, shard: range) -> Path:
        return self.folder / f"{shard[0]:06d}-{shard[-1]:06d}.safetensors"

    @property
    def missing(self) -> list[range]:
        """The samples that are not encoded yet, a range a file."""
        there = self._files()
        wanted = [range(begin, min(begin + SHARD, len(self))) for begin in range(0, len(self), SHARD)]
        return [shard for shard in wanted if len(there.get(shard.start, ())) < len(shard)]

    # Writing

    @torch.inference_mode()
    def fill(self, dtype: torch.dtype = torch.float32, *, turn: int = 0, turns: int = 1) -> None:
        """Encode what is missing.

        Args:
            dtype: Of the arithmetic.
            turn: Of several processes that share the work, this one's number.
            turns: How many share it.
        """
        if self.text_encoder is not None and not (self.folder / EMPTY).exists():
            tensors = _packed(self.text_encoder.encode([""]))
            with atomic_file(self.folder / EMPTY) as new:
                save_file(tensors, new)
        # By their numbers, for other processes write while this one looks what is missing.
        missing = [shard for shard in self.missing if shard.start // SHARD % turns == turn]
        total = sum(map(len, missing))
        label, show = f"encoding {self.table.spec.name} {self.table.size}", None if turn == 0 else False
        with progress(label, total, show=show) as advance:
            for shard in missing:
                tensors, captions = self._encode(shard, dtype, advance)
                with atomic_file(self._path(shard)) as new:
                    save_file(tensors, new, metadata={CAPTIONS: json.dumps(captions)})

    def _encode(
        self, shard: range, dtype: torch.dtype, advance: Callable[[int], None]
    ) -> tuple[dict[str, Tensor], list[str]]:
        """Return the tensors of some samples, and their captions."""
        place, _ = place_of(self.autoencoder)
        latents, texts, captions = [], [], []
        for begin in range(shard.start, shard.stop, AT_ONCE):
            samples = [
                self.data.sample(i, self.table.size) for i in range(begin, min(begin + AT_ONCE, shard.stop))
            ]
            words = [sample.caption for sample in samples]
            captions += words
            video = torch.stack([to_unit(sample.video) for sample in samples]).to(place)
            with torch.autocast(place.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
                latents.append(self.autoencoder.encode(video).to("cpu", torch.bfloat16))
                if self.text_encoder is not None:
                    texts.append(self.text_encoder.encode(words))
            advance(len(samples))
        packed = _packed(TextEmbedding.cat(texts)) if texts else {}
        return {"latents": torch.cat(latents).contiguous(), **packed}, captions

    # Reading

    def latents(self, indices: Sequence[int]) -> Tensor:
        """Return the latents of some samples, float32 ``[B, C, t, h, w]``; only they are read."""
        return torch.stack([self._read("latents", index) for index in indices]).float()

    def captions(self, indices: Sequence[int]) -> list[str]:
        """Return the captions that some samples had when they were encoded."""
        return [json.loads(self._shard(i).metadata()[CAPTIONS])[i % SHARD] for i in indices]

    def text(self, indices: Sequence[int]) -> Embedded:
        """Return the embeddings of some samples' captions, in float32."""
        if self._empty is None:
            self._empty = _unpacked(load_file(self.folder / EMPTY))
        names = [name for name in ("tokens", "text_mask", "pooled") if self._has(name, indices[0])]
        rows = [{name: self._read(name, index)[None] for name in names} for index in indices]
        return Embedded(tuple(map(_unpacked, rows)), self._empty)

    def _has(self, name: str, index: int) -> bool:
        return name in self._shard(index).keys()  # noqa: SIM118  (a safetensors file is no mapping)

    def _read(self, name: str, index: int) -> Tensor:
        return self._shard(index).get_slice(name)[index % SHARD]

    def _shard(self, index: int) -> Any:
        first = index - index % SHARD
        if first not in self._open:
            if index not in self._there.get(first, ()):
                self._there = self._files()
            shard = self._there.get(first, range(0))
            if index not in shard:
                raise CheckpointError(f"{self.folder} lacks sample {index}; `vidgen cache` encodes it.")
            if len(self._open) >= OPEN:
                self._open.pop(next(iter(self._open)))
            path = self._path(shard)
            try:
                self._open[first] = safe_open(path, framework="pt")
            except (OSError, SafetensorError) as problem:
                raise CheckpointError(
                    f"{path} is damaged ({problem}); remove it to encode anew."
                ) from problem
        return self._open[first]


def _packed(text: TextEmbedding) -> dict[str, Tensor]:
    """Return an embedding as tensors to write."""
    tokens = (
        text.tokens.masked_fill(~text.text_mask[..., None], 0) if not text.text_mask.all() else text.tokens
    )
    tensors = {"tokens": tokens, "pooled": text.pooled}
    found = {name: x.to("cpu", torch.bfloat16).contiguous() for name, x in tensors.items() if x is not None}
    return {**found, "text_mask": text.text_mask.cpu().contiguous()}


def _unpacked(tensors: dict[str, Tensor]) -> TextEmbedding:
    pooled = tensors.get("pooled")
    return TextEmbedding(
        tensors["tokens"].float(), tensors["text_mask"], None if pooled is None else pooled.float()
    )


def fill_caches(recipe: TrainRecipe, root: Path) -> list[Cache]:
    """Encode what the data tables of a recipe want cached, without training, and return the caches.

    Several processes (torchrun) share the work.

    Raises:
        RecipeError: When no table wants any.
        CheckpointError: When a cache there is stale.
    """
    from accelerate import PartialState
    from accelerate.utils import set_seed

    whole, tables = recipe.whole, [table for table in recipe.data if table.table.cache]
    if whole is None or not tables:
        raise RecipeError(
            "The recipe caches nothing: it trains a denoiser and a table [[data]] says cache = N, how many samples."
        )
    kinds = ["autoencoder", *(["text_encoder"] if any(table.table.cache_text for table in tables) else [])]
    set_seed(recipe.train.seed)  # random parts are to be the ones that training makes
    state = PartialState(cpu=not torch.accelerator.is_available())
    loaded = all(whole.slot(kind).trained for kind in kinds)
    parts = {kind: make(whole.slot(kind)) for kind in kinds} if loaded else assemble(whole)
    for kind in kinds:
        parts[kind].requires_grad_(False).to(state.device).eval()
    dtype = arithmetic(recipe.train, state.device)
    caches = []
    for table in tables:
        data = build(table.spec, table.settings)
        cache = Cache(root, table, data, *(parts[kind] for kind in kinds))
        cache.fill(dtype, turn=state.process_index, turns=state.num_processes)
        caches.append(cache)
    state.wait_for_everyone()
    return caches


def arithmetic(settings: TrainConfig, place: torch.device) -> torch.dtype:
    """Return the type in which frozen and trained parts compute: bfloat16 (by autocast) or float32."""
    if settings.precision == "auto":
        return auto_dtype(place)
    return torch.bfloat16 if settings.precision == "bf16" else torch.float32
