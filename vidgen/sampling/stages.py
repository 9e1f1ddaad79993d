"""Chains of stages: text to image to video, then larger, then smoother, each stage by any model.

After MagicVideo-V2 (https://arxiv.org/abs/2401.04468). A stage is a call of a pipeline: more pixels and more frames are
video-to-video (`strength`) on the clip made larger, or blended linearly in time; so no new kinds of parts are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from vidgen.config import Config, config, require
from vidgen.errors import ConfigError, RecipeError
from vidgen.recipe import read_guidance, read_tables
from vidgen.sampling.loading import load
from vidgen.sampling.pipeline import Pipeline
from vidgen.sampling.visual import VISUAL
from vidgen.video import Video

__all__ = ["CASCADE", "Chain", "StageConfig", "chain"]


@config
class StageConfig(Config):
    """One stage.

    Attributes:
        kind: ``text-to-image``, ``text-to-video``, ``image-to-video`` (from the stage before), or ``video-to-video``:
            the stage before, brought to this stage's size and changed by `strength`.
        model: A tag, a folder or a Hub id; empty for the default model.
        prompt: Empty for the chain's; ``{prompt}`` in it stands for that.
        frames: None keeps the stage before's, or the model's default.
        height: Likewise.
        width: Likewise.
        strength: How much `video-to-video` makes anew.
        steps: None for the model's default.
        guidance: None for the model's default; else a scale, a guider's name, or a table with name and fields.
    """

    kind: Literal["text-to-image", "text-to-video", "image-to-video", "video-to-video"]
    model: str = ""
    prompt: str = ""
    frames: int | None = None
    height: int | None = None
    width: int | None = None
    strength: float = 0.5
    steps: int | None = None
    guidance: Any = None

    def validate(self) -> None:
        """Check the ranges."""
        for name in ("frames", "height", "width", "steps"):
            value = getattr(self, name)
            require(value is None or value > 0, f"A stage's {name} is at least 1, not {value}.")
        require(0 < self.strength <= 1, f"A stage's strength lies in (0, 1], not {self.strength}.")
        still = self.kind == "text-to-image"
        require(not still or self.frames in (None, 1), f"text-to-image makes 1 frame, not {self.frames}.")
        if self.guidance is not None:
            object.__setattr__(self, "guidance", read_guidance(self.guidance, "A stage's guidance"))


CASCADE = (
    StageConfig(kind="text-to-image", height=64, width=64),
    StageConfig(kind="image-to-video", frames=17, height=64, width=64),
    StageConfig(kind="video-to-video", height=128, width=128, strength=0.6),
    StageConfig(kind="video-to-video", frames=33, strength=0.4),
)
"""What the default model is chained to: an image, 17x64x64, 17x128x128, 33x128x128."""


class Chain:
    """Stages that run one after the other. Made by `chain`.

    Args:
        stages: In order.
        pipes: The pipeline of each stage.
    """

    def __init__(self, stages: Sequence[StageConfig], pipes: Sequence[Pipeline]) -> None:
        self.stages, self.pipes = tuple(stages), tuple(pipes)

    def __repr__(self) -> str:
        return f"Chain({', '.join(stage.kind for stage in self.stages)})"

    def __call__(
        self,
        prompt: str,
        *,
        seed: int | None = None,
        prompts: Mapping[int, str] | None = None,
        keep: str | Path | None = None,
        show_progress: bool | None = None,
        **options: Any,
    ) -> Video:
        """Run all stages and return what the last one makes.

        Args:
            prompt: For every stage.
            seed: Of the first stage; the next ones count up.
            prompts: Other prompts, by the number of the stage.
            keep: A folder for what each stage makes, ``0-text-to-image.png``, ``1-image-to-video.mp4`` and so on.
            show_progress: None shows bars on a terminal.
            **options: As in a call of a pipeline, for every stage that does not say otherwise: `negative`, `refiner`,
                `steps`, `guidance`, `guidance_embed`, `on_step`.

        Raises:
            ConfigError: For a prompt of a stage that is not there, and for options that are a stage's own.
        """
        own = sorted((VISUAL | {"frames", "height", "width", "fps", "fit", "output"}) & options.keys())
        if own:
            raise ConfigError(f"{own[0]} is a stage's own: say it in the stage, or call a pipeline.")
        if not isinstance(prompt, str) or not isinstance(seed, Integral | None):
            raise ConfigError(
                f"A chain takes one prompt and a whole number as seed, not {prompt!r} and {seed!r}."
            )
        strange = [number for number in prompts or () if number not in range(len(self.stages))]
        if strange:
            raise ConfigError(f"There is no stage {strange[0]}; they count from 0 to {len(self.stages) - 1}.")
        made: Video | None = None
        seed = int(torch.randint(2**31, ()).item() if seed is None else seed)
        for number, (stage, pipe) in enumerate(zip(self.stages, self.pipes, strict=True)):
            text = (prompts or {}).get(number) or stage.prompt.replace("{prompt}", prompt) or prompt
            size = {"frames": stage.frames, "height": stage.height, "width": stage.width}
            known: dict[str, Any] = {}
            if stage.kind == "text-to-image":
                size["frames"] = 1
            elif made is not None and stage.kind == "image-to-video":
                size = {**size, "height": size["height"] or made.height, "width": size["width"] or made.width}
                known = {"image": made[:1]}
            elif made is not None and stage.kind == "video-to-video":
                made = _resampled(made, stage)
                size = dict(zip(("frames", "height", "width"), made.size, strict=True))
                known = {"video": made, "strength": stage.strength, "fps": made.fps}
            ways = {"steps": stage.steps, "guidance": stage.guidance}
            known |= {name: value for name, value in ways.items() if value is not None}
            made = pipe(text, seed=seed + number, show_progress=show_progress, **{**options, **size, **known})
            if keep is not None:
                suffix = "png" if len(made) == 1 else "mp4"
                made.save(Path(keep) / f"{number}-{stage.kind}.{suffix}")
        assert made is not None
        made.metadata["seed"] = seed
        return made


def chain(stages: str | Path | Sequence[StageConfig | Mapping[str, Any]] | None = None) -> Chain:
    """Return a chain, its models loaded once each.

    Args:
        stages: Stages or their tables, a TOML or JSON file with ``[[stage]]`` tables, or None for the default model's.

    Raises:
        RecipeError: For a file without stages.
        ConfigError: For unknown fields, and stages that nothing comes before.
    """
    if isinstance(stages, (str, Path)):
        read = read_tables(stages)
        tables = read.get("stage")
        if not isinstance(tables, list) or not tables or len(read) > 1:
            raise RecipeError(
                f"{stages} is no chain: it has tables [[stage]], each with a kind, and nothing else."
            )
        stages = tables
    chosen = [
        stage if isinstance(stage, StageConfig) else StageConfig.from_dict(stage)
        for stage in (CASCADE if stages is None else stages)
    ]
    if not chosen or chosen[0].kind in ("image-to-video", "video-to-video"):
        raise ConfigError("A chain begins with text-to-image or text-to-video, for nothing comes before.")
    models = {name: load(name or None) for name in dict.fromkeys(stage.model for stage in chosen)}
    return Chain(chosen, [models[stage.model] for stage in chosen])


def _resampled(video: Video, stage: StageConfig) -> Video:
    """Return a clip at a stage's size: resized, and blended linearly between its frames; it lasts as long."""
    video = video.resize(stage.height or video.height, stage.width or video.width)
    count = stage.frames or len(video)
    if count == len(video):
        return video
    frames = video.numpy().astype(np.float32)
    place = np.linspace(0, len(video) - 1, count)
    low = np.minimum(place.astype(int), max(len(video) - 2, 0))
    high = np.minimum(low + 1, len(video) - 1)
    part = (place - low)[:, None, None, None]
    blended = frames[low] * (1 - part) + frames[high] * part
    lasts = len(video) > 1 and count > 1
    rate = video.fps * (count - 1) / (len(video) - 1) if lasts else video.fps
    return Video(blended.round().astype(np.uint8), rate, video.metadata)
