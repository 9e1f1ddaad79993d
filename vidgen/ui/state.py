"""What lives behind the page: parts kept loaded, one generation at a time, a way to stop it. No gradio here."""

from __future__ import annotations

import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidgen.errors import ContractError, VidgenError
from vidgen.recipe import Recipe, Slot
from vidgen.size import Size
from vidgen.spec import INTERFACES

if TYPE_CHECKING:
    from vidgen.sampling.pipeline import Pipeline

__all__ = ["Made", "Stopped", "Studio", "Wish", "in_one_line"]

KEPT = 6
"""So many parts with weights stay loaded: those of two combinations."""


class Stopped(Exception):  # noqa: N818  (nothing went wrong)
    """The user pressed Stop."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What both combinations are asked for; see `vidgen.Pipeline`."""

    prompt: str
    negative: str = ""
    seed: int = 0
    size: Size
    steps: int
    guidance: float


@dataclass(frozen=True, slots=True)
class Made:
    """A video that was made.

    Attributes:
        path: The MP4.
        seconds: From the prompt to the pixels; loading the parts is not counted.
        loading: Seconds before that, for parts that were not there yet.
        note: What is random, if anything.
    """

    path: Path
    seconds: float
    loading: float
    note: str = ""

    def __str__(self) -> str:
        loading = f" after {self.loading:.1f} s of loading" if self.loading >= 0.1 else ""
        return f"{self.seconds:.2f} s{loading}" + (f"; random weights: {self.note}" if self.note else "")


@dataclass(slots=True)
class Studio:
    """Makes videos for the pages of all users, one at a time.

    Args:
        folder: Where videos go; None makes a temporary folder.
        device: As in `vidgen.load`.
        dtype: As in `vidgen.load`.
        kept: So many parts with weights stay loaded, those used last.
    """

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="vidgen-ui-")))
    device: str = "auto"
    dtype: str = "auto"
    kept: int = KEPT
    _loaded: OrderedDict[Hashable, Any] = field(default_factory=OrderedDict, init=False)
    _wanted: set[str] = field(default_factory=set, init=False)
    _busy: threading.Lock = field(default_factory=threading.Lock, init=False)

    def pipeline(self, parts: Mapping[str, str]) -> Pipeline:
        """Return a pipeline of four parts by name; those that are loaded are taken as they are.

        Random weights are drawn from seed 0, so that a combination gives the same video again.

        Raises:
            VidgenError: When they do not fit or cannot be loaded.
        """
        import torch

        from vidgen.sampling.assembly import Place, make
        from vidgen.sampling.device import as_dtype, auto_device
        from vidgen.sampling.pipeline import compose

        slots: dict[str, Any] = {kind: Slot.read(kind, address) for kind, address in parts.items()}
        if problems := Recipe(**slots).problems():  # before any weight is loaded
            raise ContractError(" ".join(map(str, problems)))
        device = auto_device() if self.device == "auto" else torch.device(self.device)
        place = Place(device, as_dtype(self.dtype, device))
        # What an untrained denoiser is depends on its neighbours, so they are a part of its key.
        keys: dict[str, Hashable] = {kind: (kind, parts[kind]) for kind in ("autoencoder", "text_encoder")}
        keys["denoiser"] = tuple(parts[kind] for kind in INTERFACES[:3])
        live = {kind: self._loaded[key] for kind, key in keys.items() if key in self._loaded}
        with torch.random.fork_rng(devices=[]):
            for kind in ("autoencoder", "text_encoder"):
                torch.default_generator.manual_seed(0)
                live[kind] = live[kind] if kind in live else make(slots[kind], place)
            torch.default_generator.manual_seed(0)
            made = compose(**{**parts, **live}, device=place.device, dtype=place.dtype)
        for kind, key in keys.items():
            self._loaded[key] = getattr(made, kind)
            self._loaded.move_to_end(key)
        while len(self._loaded) > self.kept:
            self._loaded.popitem(last=False)
        return made

    def generate(
        self,
        parts: Mapping[str, str],
        wish: Wish,
        *,
        name: str = "video",
        session: str | None = None,
        on_step: Callable[[int, int], None] | None = None,
    ) -> Made:
        """Make a video and write it.

        Args:
            parts: An address for each kind.
            wish: What to make; a size that does not fit is padded and cropped back.
            name: Of the file.
            session: Who asks, after `start`; `stop` stops it. None cannot be stopped.
            on_step: Called with the steps done and how many there are.

        Raises:
            VidgenError: For what cannot be made.
            Stopped: When `stop` was called.
        """
        with self._busy:
            begin = time.perf_counter()
            self._heed(session)
            pipe = self.pipeline(parts)

            def after(step: int, _: Any) -> None:
                self._heed(session)
                if on_step is not None:
                    on_step(step + 1, wish.steps)

            ready = time.perf_counter()
            frames, height, width = wish.size
            video = pipe(
                wish.prompt,
                negative=wish.negative,
                frames=frames,
                height=height,
                width=width,
                steps=wish.steps,
                guidance=wish.guidance,
                seed=wish.seed,
                fit="pad",
                on_step=after,
                show_progress=False,
            )
            done = time.perf_counter()
        place = Path(tempfile.mkdtemp(dir=self.folder)) / f"{name}.mp4"
        return Made(video.save(place), done - ready, ready - begin, video.metadata.get("random weights", ""))

    def start(self, session: str) -> None:
        """Let a user's videos be made."""
        self._wanted.add(session)

    def stop(self, session: str) -> None:
        """Stop what a user asked for: at the next step, or before it begins."""
        self._wanted.discard(session)

    def _heed(self, session: str | None) -> None:
        if session is not None and session not in self._wanted:
            raise Stopped


def in_one_line(problem: Exception) -> str:
    """Say what went wrong in one line, whatever it was: the page lives on."""
    if isinstance(problem, Stopped):
        return "Stopped."
    text = " ".join(str(problem).split())
    return text if isinstance(problem, VidgenError) else f"{type(problem).__name__}: {text or 'no words'}"
