"""Named settings of the suites; ``tiny`` is for trying things out."""

from __future__ import annotations

from collections.abc import Mapping

from vidgen_suites.config import (
    FlopsConfig,
    GenerationConfig,
    LearningConfig,
    MemoryConfig,
    ReconstructionConfig,
    SolversConfig,
    SpeedConfig,
)

__all__ = ["FLOPS", "GENERATION", "LEARNING", "MEMORY", "RECONSTRUCTION", "SOLVERS", "SPEED"]

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
RECONSTRUCTION: Mapping[str, ReconstructionConfig] = {
    "default": ReconstructionConfig(),
    "tiny": ReconstructionConfig(clips=2),
}
GENERATION: Mapping[str, GenerationConfig] = {
    "default": GenerationConfig(),
    "tiny": GenerationConfig(samples=2, videos=1),
}
LEARNING: Mapping[str, LearningConfig] = {
    "default": LearningConfig(),
    "tiny": LearningConfig(steps=4, warmup=1, train_batch=2, samples=2, videos=1, losses=4, precision="fp32"),
}
