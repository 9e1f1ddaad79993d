"""What every combination makes of the same training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

import vidgen
from vidgen.bench.suite import Suite
from vidgen.bench.work import Work
from vidgen.parts import build, read_choice
from vidgen.recipe import Slot
from vidgen.sampling.pipeline import Pipeline
from vidgen.spec import INTERFACES
from vidgen.train.config import TrainConfig, TrainRecipe
from vidgen.train.objectives import DenoiserObjective
from vidgen.train.trainer import Trainer
from vidgen_suites.config import HELD_OUT, LearningConfig
from vidgen_suites.generation import judge

__all__ = ["Learning"]


class Learning(Suite):
    """Trains denoiser and (if it is random) text encoder, once for all schedulers, then judges what came of it."""

    config: LearningConfig

    def measure(self, work: Work) -> None:
        """Measure the losses, in training and on held-out samples, and what is generated."""
        settings = self.config
        names = ("steps", "train_batch", "learning_rate", "warmup", "learn", "cache", "precision")
        fields = [getattr(settings, name) for name in names]
        with work.sharing("learning", INTERFACES[:3], *fields) as folder:
            if not (folder / "pipeline").exists():
                self._train(work, folder)
            log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
            pipe = self._trained(work, folder / "pipeline")
        curve = [[one["step"], one["denoising"]] for one in log]
        work.keep("curve:training loss", "application/json", json.dumps(curve).encode())
        work.add("training loss", curve[-1][1], "", "less")
        work.add("pace", [one["pace"] for one in log], "samples/s", "more")
        work.add("validation loss", self._losses(work, pipe), "", "less", mean=True)
        judge(work, pipe, settings)

    def _train(self, work: Work, folder: Path) -> None:
        """Train into a folder; what a killed row left there is gone on with."""
        settings, size = self.config, work.sampling.size
        slots = {kind: Slot.read(kind, work.data[kind]) for kind in INTERFACES}
        latent = slots["autoencoder"].contract().latent
        learned = ["denoiser"] if slots["text_encoder"].trained else ["denoiser", "text_encoder"]
        train = {
            "train": learned,
            "steps": settings.steps,
            "seed": work.seed,
            "learning_rate": settings.learning_rate,
            "warmup": settings.warmup,
            "precision": settings.precision,
            "log_every": max(1, settings.steps // 50),
            "ema": 0.99,
        }
        spec, chosen = read_choice("data_set", settings.learn)
        fields = {name: value for name, value in chosen.to_dict().items() if value is not None}
        data: dict[str, Any] = {
            "name": spec.name,
            "config": fields,
            "size": str(latent.padded(size)),
            "batch": settings.train_batch,
            "cache": settings.cache,
        }
        folder.mkdir(parents=True, exist_ok=True)
        recipe = folder / "recipe.json"
        recipe.write_text(json.dumps({**work.data, "train": train, "data": [data]}))
        Trainer(TrainRecipe.load(recipe), folder).run()

    def _trained(self, work: Work, folder: Path) -> Pipeline:
        """Return what was trained, with this row's scheduler."""
        pipe = vidgen.load(folder, device=work.device, dtype=work.dtype)
        return pipe.replace(
            scheduler=Slot.read("scheduler", work.data["scheduler"]),
            sampling=work.sampling,
            foreign=pipe.recipe.foreign,
            adapt=pipe.recipe.adapt,
        )

    @torch.inference_mode()
    def _losses(self, work: Work, pipe: Pipeline) -> list[float]:
        """Return the loss of held-out samples, one each, at the same times and with the same noise for every row."""
        settings = self.config
        data = build(*read_choice("data_set", settings.data or HELD_OUT))
        objective = DenoiserObjective(
            pipe.denoiser, pipe.text_encoder, TrainConfig(caption_dropout=0.0)
        ).eval()
        size = pipe.autoencoder.latent.padded(work.sampling.size)
        found = []
        for index in range(settings.losses):
            sample = data.sample(index % len(data), size)
            video = vidgen.Video.from_numpy(sample.video).tensor().to(pipe.device, pipe.dtype)
            latents = pipe.autoencoder.encode(video)
            chance = torch.Generator().manual_seed(index)
            found.append(float(objective(latents, [sample.caption], chance)["denoising"]))
        return found
