"""The interface of metrics, how far two videos differ (`psnr`, `ssim`, `Quality`), how sure a rate is (`wilson`)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vidgen.metrics.metric import Metric
    from vidgen.metrics.quality import Quality, psnr, ssim

__all__ = ["Metric", "Quality", "psnr", "ssim"]


def __getattr__(name: str) -> Any:
    # Lazily, so that `vidgen.metrics.wilson` can be had without torch.
    if name not in __all__:
        raise AttributeError(f"module 'vidgen.metrics' has no attribute {name!r}")
    return getattr(
        importlib.import_module(f"vidgen.metrics.{'metric' if name == 'Metric' else 'quality'}"), name
    )
