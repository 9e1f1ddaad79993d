"""`experts`: two denoisers of one contract, one asked where it is noisy and one where it is clean (Wan 2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from vidgen.interfaces import Condition, Denoiser, Prediction, TextEmbedding
from vidgen.recipe import Slot
from vidgen.sampling.assembly import Place, make
from vidgen.size import Size
from vidgen_wan.config import ExpertsConfig

__all__ = ["Experts", "Prepared"]


@dataclass(slots=True)
class Prepared:
    """What to prepare of, and what each expert has made of it once it was asked."""

    text: TextEmbedding
    condition: Condition
    size: Size
    made: dict[str, Any]


class Experts(Denoiser):
    """A denoiser that is two; only the one that is asked prepares.

    Args:
        config: Both, and the time from which on the first is asked.
    """

    config: ExpertsConfig

    def __init__(self, config: ExpertsConfig) -> None:
        slots = {name: config.slot(name) for name in ("high", "low")}
        # What is saved from here on has weights of its own.
        own = {name: Slot(slot.spec, slot.config).to_dict() for name, slot in slots.items()}
        super().__init__(config.replace(**own))
        place = Place(dtype=torch.get_default_dtype())
        self.high, self.low = (make(slots[name], place) for name in ("high", "low"))
        if config.pretrained:
            self.origin = " and ".join(str(slot.weights) for slot in slots.values())

    def prepare(self, text: TextEmbedding, condition: Condition, size: Size) -> Prepared:
        """Keep what the experts prepare of; raises `SizeError` for a size beyond the largest."""
        self.check_limit(size)
        condition.check(self.config.contract(), type(self).__name__)
        return Prepared(text, condition, Size(*size), {})

    def forward(self, x: Tensor, time: Tensor, prepared: Prepared) -> Prediction:
        """Ask the expert of each sample's time (the latest of its frames); both where several processes learn."""
        late = (time if time.ndim == 1 else time.amax(dim=1)) >= self.config.boundary
        if not _learns_with_others() and (bool(late.all()) or not bool(late.any())):
            name = "high" if bool(late.all()) else "low"
            return self._expert(name)(x, time, self._prepare(name, prepared))
        high, low = (self._expert(name)(x, time, self._prepare(name, prepared)) for name in ("high", "low"))
        return Prediction(torch.where(late[:, None, None, None, None], high.value, low.value))

    def _expert(self, name: str) -> Denoiser:
        return self.high if name == "high" else self.low

    def _prepare(self, name: str, prepared: Prepared) -> Any:
        if torch.is_grad_enabled():
            return self._expert(name).prepare(prepared.text, prepared.condition, prepared.size)
        if name not in prepared.made:  # what the other has prepared is not needed again
            made = self._expert(name).prepare(prepared.text, prepared.condition, prepared.size)
            prepared.made = {name: made}
        return prepared.made[name]


def _learns_with_others() -> bool:
    """Return whether other processes learn the same: all must ask the same experts, for they share parameters out."""
    return torch.is_grad_enabled() and dist.is_initialized() and dist.get_world_size() > 1
