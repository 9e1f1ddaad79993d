"""Settings of the suites. No torch here."""

from __future__ import annotations

from typing import ClassVar

from vidgen.bench.suite import SuiteConfig
from vidgen.config import config, require

__all__ = ["FlopsConfig", "MemoryConfig", "SolversConfig", "SpeedConfig"]

PROMPT = "a large red circle moving left on a black background"


@config
class SpeedConfig(SuiteConfig):
    """How the stages of a generation are timed.

    Attributes:
        warmup: Generations that do not count; the first is reported on its own.
        repeats: Generations that do.
        prompt: What is generated.
    """

    SERIAL: ClassVar[bool] = True
    GUESS: ClassVar[float] = 10.0

    warmup: int = 2
    repeats: int = 5
    prompt: str = PROMPT

    def validate(self) -> None:
        """Check the ranges."""
        require(self.warmup >= 1, f"SpeedConfig.warmup must be at least 1, not {self.warmup}.")
        require(self.repeats >= 1, f"SpeedConfig.repeats must be at least 1, not {self.repeats}.")


@config
class MemoryConfig(SuiteConfig):
    """What is generated while memory is watched.

    Attributes:
        prompt: What is generated.
    """

    SERIAL: ClassVar[bool] = True
    GUESS: ClassVar[float] = 5.0

    prompt: str = PROMPT


@config
class FlopsConfig(SuiteConfig):
    """What is generated while operations are counted.

    Attributes:
        prompt: What is generated.
        repeats: Generations that are timed, and products of matrices for the machine's peak.
        matrix: Side of those matrices.
    """

    SERIAL: ClassVar[bool] = True
    GUESS: ClassVar[float] = 8.0

    prompt: str = PROMPT
    repeats: int = 5
    matrix: int = 1024

    def validate(self) -> None:
        """Check the ranges."""
        for name in ("repeats", "matrix"):
            require(getattr(self, name) >= 1, f"FlopsConfig.{name} must be at least 1.")


@config
class SolversConfig(SuiteConfig):
    """How near a scheduler comes to the exact solution, by steps.

    Attributes:
        steps: Numbers of steps to try.
        reference: Scheduler whose many steps stand for the exact solution.
        reference_steps: How many.
        guidance: Scale of classifier-free guidance; 1 solves the plain equation.
        prompts: What is generated.
    """

    SERIAL: ClassVar[bool] = False
    GUESS: ClassVar[float] = 60.0

    steps: tuple[int, ...] = (5, 10, 20, 50)
    reference: str = "heun"
    reference_steps: int = 1000
    guidance: float = 1.0
    prompts: tuple[str, ...] = (PROMPT, "a small blue cross growing on a grey background")

    def validate(self) -> None:
        """Check the ranges."""
        require(bool(self.steps) and min(self.steps) >= 1, "SolversConfig.steps must name numbers of steps.")
        require(
            self.reference_steps > max(self.steps), "SolversConfig.reference_steps must be above all steps."
        )
        require(bool(self.prompts), "SolversConfig.prompts must name a prompt.")
