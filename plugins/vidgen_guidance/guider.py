"""Classifier-free guidance (arXiv 2207.12598), rescaled (2305.08891), within an interval (2404.07724), with a scale
of its own for what is given (InstructPix2Pix, 2211.09800), fitted and zero at first (CFG-Zero*, 2503.18886).
"""  # noqa: D205

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from vidgen.contract import DenoiserContract
from vidgen.errors import ConfigError
from vidgen.sampling.guidance import Guider
from vidgen_guidance.config import GuidanceConfig

__all__ = ["Guidance"]


class Guidance(Guider):
    """``nothing + given_scale (none - nothing) + scale (text - none)``, and its options.

    Args:
        config: The configuration.
    """

    def __init__(self, config: GuidanceConfig) -> None:
        self.config = config

    def check(self, contract: DenoiserContract) -> None:
        """Refuse a first prediction of zero where that is not "do not move"."""
        if self.config.zero_steps and contract.prediction != "flow":
            raise ConfigError(
                f"zero_steps={self.config.zero_steps} is for denoisers that predict 'flow', not "
                f"{contract.prediction!r}; take zero_steps=0."
            )

    def branches(self, step: int, t: float) -> tuple[str, ...]:
        """Return what this step needs and no more."""
        c = self.config
        if step < c.zero_steps:
            return ()
        if not c.low <= t <= c.high or c.scale == c.given_scale == 1:
            return ("text",)
        return ("text", "none") if c.given_scale == 1 else ("text", "none", "nothing")

    def combine(self, predictions: Mapping[str, Tensor], step: int, t: float) -> Tensor:
        """Combine the branches that there are."""
        c = self.config
        text = predictions["text"]
        if "none" not in predictions:
            return text
        none = predictions["none"]
        if c.fit:
            none = none * _closest_scale(none, text)
        guided = none + c.scale * (text - none)
        if "nothing" in predictions:
            guided = guided + (c.given_scale - 1) * (none - predictions["nothing"])
        if c.rescale:
            ratio = _spread(text) / _spread(guided).clamp(min=1e-12)
            guided = guided * (c.rescale * ratio + 1 - c.rescale)
        return guided


def _closest_scale(none: Tensor, text: Tensor) -> Tensor:
    """Return ``[B, 1, ...]``: the factor of each sample that brings `none` closest to `text` in squares."""
    axes = tuple(range(1, text.ndim))
    return (none * text).sum(axes, keepdim=True) / none.square().sum(axes, keepdim=True).clamp(min=1e-12)


def _spread(value: Tensor) -> Tensor:
    """Return the standard deviation of each sample, ``[B, 1, ...]``."""
    return value.std(tuple(range(1, value.ndim)), keepdim=True)
