"""Named configurations of the guiders."""

from __future__ import annotations

from collections.abc import Mapping

from vidgen_guidance.config import GuidanceConfig

__all__ = ["GUIDERS"]

GUIDERS: Mapping[str, Mapping[str, GuidanceConfig]] = {
    "cfg": {"tiny": GuidanceConfig(scale=3.0)},
    "cfg-rescaled": {"tiny": GuidanceConfig(scale=7.5, rescale=0.7)},
    # sigma between 0.19 and 1.61, as the paper found best for its largest model, in the time of a straight process
    "cfg-interval": {"tiny": GuidanceConfig(scale=3.0, low=0.16, high=0.62)},
    "cfg-image-text": {"tiny": GuidanceConfig(scale=7.5, given_scale=1.5)},
    "cfg-zero": {"tiny": GuidanceConfig(scale=3.0, fit=True, zero_steps=1)},
}
