"""Whether generated videos show what their prompts ask for."""

from __future__ import annotations

import json
from collections import defaultdict
from statistics import fmean
from typing import TYPE_CHECKING

import torch

from vidgen.bench.suite import Suite
from vidgen.bench.work import Work
from vidgen.data import Sample
from vidgen.metrics import ssim
from vidgen.metrics.wilson import wilson
from vidgen.parts import build, read_choice
from vidgen.sampling.pipeline import Pipeline
from vidgen.video import Video
from vidgen_suites.config import HELD_OUT, GenerationConfig
from vidgen_suites.frechet import frechet_distance
from vidgen_suites.reconstruction import as_file

if TYPE_CHECKING:
    from vidgen_suites.clip import ClipScore
    from vidgen_suites.features import Features

__all__ = ["Generation", "judge"]


class Generation(Suite):
    """Generates from the prompts of a data set and reads the videos back."""

    config: GenerationConfig

    def measure(self, work: Work) -> None:
        """Measure how often each fact of a prompt is met, and how videos change from frame to frame."""
        judge(work, work.pipe, self.config)


def judge(work: Work, pipe: Pipeline, settings: GenerationConfig) -> None:
    """Generate from held-out prompts, add the figures and keep videos and the results of every prompt."""
    samples = _samples(work, settings)
    clip, features = _judges(work, settings)  # first: a slip of the pen is not found after an hour
    prompts, made = [sample.caption for sample in samples], list[Video]()
    for begin in range(0, len(prompts), settings.batch):
        some = prompts[begin : begin + settings.batch]
        seeds = [work.seed + begin + number for number in range(len(some))]
        made += pipe(some, seed=seeds, fit="pad", show_progress=False)
    metric = build(*read_choice("metric", settings.metric))
    scores: list[dict[str, float]] = [
        {name: float(value) for name, value in metric.score(video.numpy(), prompt).items()}
        for video, prompt in zip(made, prompts, strict=True)
    ]
    found: defaultdict[str, list[float]] = defaultdict(list)
    for score in scores:
        for name, value in score.items():
            found[name].append(value)
    answers = [name for name, values in found.items() if name != "all" and set(values) <= {0.0, 1.0}]
    if len(answers) > 1:
        parts = [fmean(score[name] for name in answers if name in score) for score in scores]
        work.add("facts right", parts, "", "more", mean=True)
    for name, values in found.items():
        if set(values) <= {0.0, 1.0}:
            share = wilson(int(sum(values)), len(values))
            work.add(f"{name} right", values, "", "more", mean=True, low=share.low, high=share.high)
        else:
            work.add(name, values, "", "more", mean=True)
    size, beside = work.sampling.size, dict[str, list[float]]()
    if size.frames > 1 and min(size.height, size.width) >= 11:
        beside["consistency"] = [float(ssim(video[1:].numpy(), video[:-1].numpy())) for video in made]
        work.add("consistency", beside["consistency"], "", "", mean=True)
    if clip:
        beside["clip score"] = [clip(one.numpy(), prompt) for one, prompt in zip(made, prompts, strict=True)]
        work.add(f"clip score ({clip.label})", beside["clip score"], "", "more", mean=True)
    if features and len(samples) > 1:
        sets = [features(some) for some in ([s.video for s in samples], [v.numpy() for v in made])]
        work.add(f"frechet distance ({features.label})", frechet_distance(*sets), "", "less")
    for prompt, video in list(zip(prompts, made, strict=True))[: settings.videos]:
        work.keep(f"video:{prompt}", "video/mp4", as_file(video))
    rows = [
        {"prompt": prompt, **score, **{name: values[place] for name, values in beside.items()}}
        for place, (prompt, score) in enumerate(zip(prompts, scores, strict=True))
    ]
    work.keep("prompts.json", "application/json", json.dumps(rows).encode())


def _judges(work: Work, settings: GenerationConfig) -> tuple[ClipScore | None, Features | None]:
    """Make the networks that judge, where they are asked for."""
    clip: ClipScore | None = None
    features: Features | None = None
    if settings.clip:
        from vidgen_suites.clip import ClipScore

        clip = ClipScore(settings.clip, settings.clip_weights, work.device)
    if settings.features:
        from vidgen_suites.features import Features

        features = Features(settings.features, settings.weights, work.device)
    return clip, features


def _samples(work: Work, settings: GenerationConfig) -> list[Sample]:
    data = build(*read_choice("data_set", settings.data or HELD_OUT))
    stride = max(1, len(data) // settings.samples)
    torch.manual_seed(work.seed)
    return [
        data.sample(index * stride, work.sampling.size) for index in range(min(settings.samples, len(data)))
    ]
