"""What a suite works with: one combination, and the place for what was found."""

from __future__ import annotations

import contextlib
import functools
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from vidgen.bench.locks import locked
from vidgen.bench.marks import mark_of
from vidgen.bench.store import Artefact, Measure, digest
from vidgen.errors import ResultsError
from vidgen.recipe import Recipe, Sampling, Slot
from vidgen.sampling.assembly import Place, make
from vidgen.sampling.device import as_dtype, auto_device
from vidgen.sampling.pipeline import Pipeline, compose

__all__ = ["Work"]


class Work:
    """One combination in one suite.

    Args:
        data: A recipe as plain data, with the parts that the suite reads.
        seed: Of everything random, weights among it.
        device: Where the parts work; ``auto`` takes an accelerator if there is one.
        dtype: Of their weights.
        shared: Folder for what rows may share.
        pause: Lets the other rows of this round have their turn.
    """

    def __init__(
        self,
        data: Mapping[str, Any],
        *,
        seed: int,
        device: str,
        dtype: str,
        shared: Path,
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self.data, self.seed, self.pause, self.shared = data, seed, pause, shared
        self.device = auto_device() if device == "auto" else torch.device(device)
        self.dtype = as_dtype(dtype, self.device)
        self.measures: dict[str, Measure] = {}
        self.artefacts: dict[str, Artefact] = {}

    @property
    def sampling(self) -> Sampling:
        """Size, steps and guidance of what is generated."""
        return Sampling.from_dict(self.data["sampling"])

    @functools.cached_property
    def pipe(self) -> Pipeline:
        """The combination, made at the first look; random weights follow from the seed."""
        recipe = Recipe.from_dict(self.data)
        torch.manual_seed(self.seed)
        return compose(
            autoencoder=recipe.autoencoder,
            denoiser=recipe.denoiser,
            text_encoder=recipe.text_encoder,
            scheduler=recipe.scheduler,
            sampling=recipe.sampling,
            foreign=recipe.foreign,
            adapt=recipe.adapt,
            device=self.device,
            dtype=self.dtype,
        )

    def part(self, kind: str) -> Any:
        """Make one part alone, for suites that read no other."""
        torch.manual_seed(self.seed)
        return make(Slot.read(kind, self.data[kind]), Place(self.device, self.dtype))

    def add(
        self,
        name: str,
        found: float | Sequence[float],
        unit: str = "",
        better: Literal["less", "more", ""] = "",
        *,
        low: float | None = None,
        high: float | None = None,
        mean: bool = False,
    ) -> None:
        """Add a figure.

        Args:
            name: Of the figure, once a row.
            found: A number; or samples, whose median counts, with the least and the 90th percentile as its spread.
            unit: Such as ``s``.
            better: Whether ``less`` or ``more`` of it is better.
            low: Lower end of an interval that the caller knows.
            high: Upper end.
            mean: Take the mean of samples, with a 95 % interval by their standard error.

        Raises:
            ResultsError: For a name that is taken, for a value or an end that is not finite, and for what is no text.
        """
        _check_texts(name=name, unit=unit)
        if better not in ("less", "more", ""):
            raise ResultsError(f"better is 'less', 'more' or '', not {better!r}.")
        if name in self.measures:
            raise ResultsError(f"The suite measures {name!r} twice; name each figure once.")
        samples = [float(one) for one in found] if isinstance(found, Sequence) else []
        if isinstance(found, Sequence):
            if not samples:
                raise ResultsError(f"There are no samples of {name!r}.")
            value = statistics.fmean(samples) if mean else statistics.median(samples)
            if low is None and high is None and len(samples) > 1:
                low, high = _interval(samples) if mean else _spread(samples)
        else:
            value = float(found)
        low, high = (None if end is None else float(end) for end in (low, high))
        for one in (value, *samples, *(end for end in (low, high) if end is not None)):
            if not math.isfinite(one):
                raise ResultsError(f"{name} came out as {one}: NaN or infinite values.")
        self.measures[name] = Measure(name, value, unit, better, low, high, tuple(samples))

    def keep(self, name: str, mime: str, data: bytes) -> None:
        """Keep a file, such as a video, with the row.

        Raises:
            ResultsError: For what are no bytes, and for what is no text.
        """
        _check_texts(name=name, mime=mime)
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise ResultsError(f"{name} keeps bytes, not {type(data).__name__}.")
        self.artefacts[name] = Artefact(name, mime, bytes(data))

    @contextlib.contextmanager
    def sharing(self, what: str, kinds: Sequence[str], *settings: Any) -> Iterator[Path]:
        """Yield a path for what rows with the same parts share; one row at a time is within.

        Args:
            what: Beginning of its name.
            kinds: Parts that it depends on.
            *settings: What else it depends on, as plain data.
        """
        parts = {kind: mark_of(kind, self.data[kind]) for kind in (*kinds, "sampling")}
        name = f"{what}-{digest(parts, self.seed, str(self.device), str(self.dtype), settings)}"
        self.shared.mkdir(parents=True, exist_ok=True)
        with locked(self.shared / f"{name}.lock"):
            yield self.shared / name


def _check_texts(**texts: str) -> None:
    """Refuse what a file of results cannot hold as text."""
    for field, text in texts.items():
        try:
            text.encode()
        except (AttributeError, UnicodeError):
            raise ResultsError(f"{field} is a text in UTF-8, not {text!r}.") from None


def _spread(samples: Sequence[float]) -> tuple[float, float]:
    """Return the least sample and the 90th percentile (the sample at or above nine in ten)."""
    ordered = sorted(samples)
    return ordered[0], ordered[math.ceil(0.9 * len(ordered)) - 1]


def _interval(samples: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the mean, by the normal distribution."""
    mean, error = statistics.fmean(samples), statistics.stdev(samples) / math.sqrt(len(samples))
    return mean - 1.96 * error, mean + 1.96 * error
