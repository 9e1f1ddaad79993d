"""vidgen: take a video-generation system apart, swap any part by name, find out which combination is better.

Names load lazily (``__init__.pyi`` lists them for type checkers): ``import vidgen`` imports no torch.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "vidgen.config": ("Config",),
    "vidgen.contract": (
        "AutoencoderConfig",
        "AutoencoderContract",
        "DenoiserConfig",
        "DenoiserContract",
        "KLAutoencoderConfig",
        "LatentSpec",
        "NormalisedAutoencoderConfig",
        "Problem",
        "SchedulerConfig",
        "SchedulerContract",
        "TextEncoderConfig",
        "TextEncoderContract",
        "TextSpec",
    ),
    "vidgen.hookspecs": ("hookimpl",),
    "vidgen.interfaces": (
        "Condition",
        "Denoiser",
        "KLAutoencoder",
        "NormalisedAutoencoder",
        "PackedLatents",
        "PackingDenoiser",
        "Prediction",
        "Scheduler",
        "TextEmbedding",
        "TextEncoder",
        "TimeGrid",
        "VideoAutoencoder",
    ),
    "vidgen.lora": ("Lora", "load_lora", "merge_loras", "unmerge_loras"),
    "vidgen.process": ("Process", "ProcessSpec"),
    "vidgen.published": ("PublishedLayout", "load_published"),
    "vidgen.quantisation": ("quantise",),
    "vidgen.recipe": ("Recipe", "check"),
    "vidgen.creation": ("create",),
    "vidgen.registration": ("register",),
    "vidgen.registry": ("find", "list_components", "plugins"),
    "vidgen.sampling.export": ("export",),
    "vidgen.sampling.loading": ("load",),
    "vidgen.sampling.pipeline": ("Pipeline", "compose"),
    "vidgen.sampling.stages": ("Chain", "StageConfig", "chain"),
    "vidgen.size": ("Size",),
    "vidgen.spec": ("KINDS", "ComponentSpec"),
    "vidgen.train.statistics": ("LatentStatistics", "latent_statistics"),
    "vidgen.video": ("Video",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = sorted([*_HOME_OF, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'vidgen' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
