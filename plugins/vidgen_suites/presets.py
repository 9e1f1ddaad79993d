"""Named settings of the suites; ``tiny`` is for trying things out."""

from __future__ import annotations

from collections.abc import Mapping

from vidgen_suites.config import FlopsConfig, MemoryConfig, SolversConfig, SpeedConfig

__all__ = ["FLOPS", "MEMORY", "SOLVERS", "SPEED"]

SPEED: Mapping[str, SpeedConfig] = {
    "default": SpeedConfig(),
    "long": SpeedConfig(warmup=3, repeats=15),
    "tiny": SpeedConfig(warmup=1, repeats=2),
}
MEMORY: Mapping[str, MemoryConfig] = {"default": MemoryConfig()}
FLOPS: Mapping[str, FlopsConfig] = {"default": FlopsConfig(), "tiny": FlopsConfig(repeats=2, matrix=256)}
SOLVERS: Mapping[str, SolversConfig] = {
    "default": SolversConfig(),
    "tiny": SolversConfig(steps=(2, 4), reference_steps=16, prompts=("a circle",)),
}
