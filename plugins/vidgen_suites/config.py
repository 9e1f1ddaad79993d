"""Settings of the suites. No torch here."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, Literal

from vidgen.bench.suite import SuiteConfig
from vidgen.config import Config, config, require
from vidgen.parts import read_choice
from vidgen.spec import INTERFACES
from vidgen.train.settings import TrainConfig

__all__ = [
    "HELD_OUT",
    "FlopsConfig",
    "GenerationConfig",
    "LearningConfig",
    "MemoryConfig",
    "ReconstructionConfig",
    "SolversConfig",
    "SpeedConfig",
]

PROMPT = "a large red circle moving left on a black background"
HELD_OUT = {"name": "kinetic", "split": "test", "paraphrase": False, "samples": 224}
"""The captions and videos that suites judge by where nothing else is named."""
SUFFIXES = (".safetensors", ".bin", ".ckpt", ".pt", ".pth")


def check_there(settings: Config, *names: str, tags: bool = True) -> None:
    """Refuse weights that are not there, before anything is measured; what may be a tag is left to the model.

    Raises:
        ConfigError: For a path that leads nowhere.
    """
    for name in names:
        text = getattr(settings, name)
        path = not tags or os.sep in text or "/" in text or text.endswith(SUFFIXES)
        require(
            not text or not path or Path(text).exists(),
            f"{type(settings).__name__}.{name}: there is no file or folder {text!r}.",
        )


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
    SHARES: ClassVar[tuple[str, ...]] = INTERFACES[:3]

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


@config
class ReconstructionConfig(SuiteConfig):
    """What goes through an autoencoder and back.

    Attributes:
        data: A data set: its name, or a table with name and fields.
        clips: How many of its samples, from the first.
        lpips_weights: A file, or a folder with one: the weights of AlexNet, VGG16 or SqueezeNet 1.1 as torchvision
            publishes them, or of a whole LPIPS network. Empty measures no LPIPS: by random weights it would be none.
    """

    READS: ClassVar[tuple[str, ...]] = ("autoencoder",)
    GUESS: ClassVar[float] = 10.0

    data: Any = None
    clips: int = 8
    lpips_weights: str = ""

    def validate(self) -> None:
        """Check the ranges."""
        require(self.clips >= 1, f"ReconstructionConfig.clips must be at least 1, not {self.clips}.")

    def check(self) -> None:
        """Refuse a data set that nobody registered, wrong fields, and weights that are not there."""
        read_choice("data_set", self.data or HELD_OUT)
        check_there(self, "lpips_weights", tags=False)


@config
class GenerationConfig(SuiteConfig):
    """What is generated and judged.

    Attributes:
        data: A data set whose captions are the prompts: its name, or a table with name and fields.
        metric: What reads a video against its prompt: its name, or a table with name and fields.
        samples: How many prompts, evenly out of the data set.
        batch: Prompts at a time.
        videos: How many videos are kept with the row.
        features: A model by whose features the distributions of generated videos and of the data are compared (Frechet
            distance): of timm for single frames, of torchvision.models.video (``r3d_18``) for whole clips; empty for
            none.
        weights: Of that model: a file or a folder with one, or a tag (``default`` is the model's own); empty for random
            features.
        clip: A model of open_clip for the CLIP score, such as ``ViT-B-32``; empty for none.
        clip_weights: Of that model: a file or a folder with one, or a tag; empty for random weights.
    """

    GUESS: ClassVar[float] = 60.0

    data: Any = None
    metric: Any = "kinetic"
    samples: int = 28
    batch: int = 4
    videos: int = 2
    features: str = ""
    weights: str = ""
    clip: str = ""
    clip_weights: str = ""

    def validate(self) -> None:
        """Check the ranges."""
        own = type(self).__name__
        for name in ("samples", "batch"):
            require(getattr(self, name) >= 1, f"{own}.{name} must be at least 1, not {getattr(self, name)}.")
        require(self.videos >= 0, f"{own}.videos must be 0 or more, not {self.videos}.")
        require(bool(self.features) or not self.weights, f"{own}.weights are of features; name a model.")
        require(bool(self.clip) or not self.clip_weights, f"{own}.clip_weights are of clip; name a model.")
        require(":" not in self.clip, f"{own}.clip is a model of open_clip's table, not {self.clip!r}.")

    def check(self) -> None:
        """Refuse a data set or a metric that nobody registered, wrong fields, and weights that are not there."""
        read_choice("data_set", self.data or HELD_OUT)
        read_choice("metric", self.metric)
        check_there(self, "weights", "clip_weights")


@config
class LearningConfig(GenerationConfig):
    """How every combination is trained before it is judged as in `GenerationConfig`; schedulers share one training.

    Attributes:
        steps: Optimiser steps.
        seconds: Train for about so long instead: as many steps as a few that are timed say. What others do on the
            machine meanwhile changes what is learned, so prefer `steps` where it is shared.
        train_batch: Samples to a step.
        learning_rate: Of AdamW.
        warmup: Steps of linear warm-up.
        learn: A data set to learn from: its name, or a table with name and fields.
        cache: So many samples are encoded once for all rows with the same autoencoder; 0 encodes on the fly.
        precision: ``fp32``, ``bf16`` or ``auto``.
        train: Any other fields of a training recipe's ``[train]``, such as ``{optimizer = "muon"}``.
        losses: Held-out samples for the validation loss.
    """

    GUESS: ClassVar[float] = 300.0
    SHARES: ClassVar[tuple[str, ...]] = INTERFACES[:3]

    steps: int = 300
    train_batch: int = 8
    learning_rate: float = 1e-3
    warmup: int = 30
    learn: Any = "kinetic"
    seconds: float = 0.0
    cache: int = 0
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    train: Any = None
    losses: int = 64

    def validate(self) -> None:
        """Check the ranges."""
        GenerationConfig.validate(self)
        for name in ("steps", "train_batch", "losses"):
            require(
                getattr(self, name) >= 1,
                f"LearningConfig.{name} must be at least 1, not {getattr(self, name)}.",
            )

    def check(self) -> None:
        """Refuse data sets and a metric that nobody registered, and wrong fields."""
        GenerationConfig.check(self)
        read_choice("data_set", self.learn)
        TrainConfig.from_dict(self.train or {})
