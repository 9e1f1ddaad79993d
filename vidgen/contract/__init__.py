"""Contracts: what each part declares about itself, and whether four of them fit. No torch here."""

from vidgen.contract.bases import (
    AutoencoderConfig,
    DenoiserConfig,
    KLAutoencoderConfig,
    NormalisedAutoencoderConfig,
    SchedulerConfig,
    TextEncoderConfig,
    default_config,
)
from vidgen.contract.declared import (
    ABILITIES,
    AutoencoderContract,
    DenoiserContract,
    LatentSpec,
    SchedulerContract,
    TextEncoderContract,
    TextSpec,
)
from vidgen.contract.fit import Contracts, Problem, Status, find_problems, must_train

__all__ = [
    "ABILITIES",
    "AutoencoderConfig",
    "AutoencoderContract",
    "Contracts",
    "DenoiserConfig",
    "DenoiserContract",
    "KLAutoencoderConfig",
    "LatentSpec",
    "NormalisedAutoencoderConfig",
    "Problem",
    "SchedulerConfig",
    "SchedulerContract",
    "Status",
    "TextEncoderConfig",
    "TextEncoderContract",
    "TextSpec",
    "default_config",
    "find_problems",
    "must_train",
]
