"""Settings of guidance. No torch here."""

from __future__ import annotations

import math

from vidgen.config import Config, config, require

__all__ = ["GuidanceConfig"]


@config
class GuidanceConfig(Config):
    """Settings of classifier-free guidance and what is built on it; by default each option is at rest.

    Attributes:
        scale: Of the text; 1 follows the prompt plainly.
        given_scale: Of what is given (an image, frames); 1 does not set it apart. Else a third evaluation a step.
        rescale: How far the spread of the result is pulled to that of the prompt's own prediction, in [0, 1].
        low: Smallest process time t that is guided (0 is clean); below, the prompt's prediction stands alone.
        high: Largest likewise (1 is noise, where sampling begins).
        fit: Scale the prediction without the prompt so that it comes closest to the one with it, sample by sample.
        zero_steps: First steps whose prediction is zero; for denoisers that predict flow.
    """

    scale: float = 3.0
    given_scale: float = 1.0
    rescale: float = 0.0
    low: float = 0.0
    high: float = 1.0
    fit: bool = False
    zero_steps: int = 0

    def validate(self) -> None:
        """Check the ranges."""
        for name in ("scale", "given_scale"):
            value = getattr(self, name)
            require(math.isfinite(value), f"GuidanceConfig.{name} must be finite, not {value}.")
        require(
            0 <= self.rescale <= 1, f"GuidanceConfig.rescale must lie between 0 and 1, not {self.rescale}."
        )
        require(
            0 <= self.low < self.high <= 1,
            f"GuidanceConfig wants 0 <= low < high <= 1, not low={self.low}, high={self.high}.",
        )
        require(self.zero_steps >= 0, f"GuidanceConfig.zero_steps must be 0 or more, not {self.zero_steps}.")
        require(
            not self.fit or self.given_scale == 1,
            "GuidanceConfig.fit knows two branches, not three; leave given_scale at 1, or fit out.",
        )
