"""What every combination makes of the same training."""

from __future__ import annotations

import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import torch

import vidgen
from vidgen.bench.locks import locked
from vidgen.bench.marks import mark_of
from vidgen.bench.store import digest
from vidgen.bench.suite import Suite
from vidgen.bench.work import Work
from vidgen.errors import CheckpointError, RecipeError
from vidgen.parts import build, read_choice
from vidgen.recipe import Slot
from vidgen.sampling.pipeline import Pipeline
from vidgen.spec import INTERFACES
from vidgen.train.cache import fill_caches
from vidgen.train.config import TrainConfig, TrainRecipe
from vidgen.train.objectives import DenoiserObjective
from vidgen.train.trainer import Trainer
from vidgen_suites.config import HELD_OUT, LearningConfig
from vidgen_suites.generation import judge

__all__ = ["Learning"]

TRIAL = 12
"""Steps that say how fast a training is; the first half warms up."""


class Learning(Suite):
    """Trains denoiser and (if it is random) text encoder, once for all schedulers, then judges what came of it."""

    config: LearningConfig

    def measure(self, work: Work) -> None:
        """Measure the losses, in training and on held-out samples, and what is generated."""
        settings = self.config
        names = (
            "steps",
            "seconds",
            "train_batch",
            "learning_rate",
            "warmup",
            "learn",
            "cache",
            "precision",
            "train",
        )
        fields = [getattr(settings, name) for name in names]
        with work.sharing("learning", INTERFACES[:3], *fields) as folder:
            there = (folder / "pipeline").exists()
            if not there:
                self._train(work, folder)
            try:
                log, pipe = _log(folder), self._trained(work, folder / "pipeline")
            except (CheckpointError, RecipeError, OSError, json.JSONDecodeError):
                if not there:
                    raise
                shutil.rmtree(folder)  # it was damaged since
                self._train(work, folder)
                log, pipe = _log(folder), self._trained(work, folder / "pipeline")
        curve = [[one["step"], one["denoising"]] for one in log]
        work.keep("curve:training loss by step", "application/json", json.dumps(curve).encode())
        work.add("training loss", curve[-1][1], "", "less")
        work.add("samples learned from", curve[-1][0] * settings.train_batch, "samples")
        work.add("pace", [one["pace"] for one in log], "samples/s", "more")
        work.add("validation loss", self._losses(work, pipe), "", "less", mean=True)
        judge(work, pipe, settings)

    def _train(self, work: Work, folder: Path) -> None:
        """Train into a folder; what a killed row left there is gone on with."""
        settings, path = self.config, folder / "recipe.json"
        if not path.exists():
            steps = self._affordable(work, folder) if settings.seconds else settings.steps
            folder.mkdir(parents=True, exist_ok=True)
            new = path.with_suffix(".tmp")
            new.write_text(json.dumps(self._recipe(work, steps)))
            new.replace(path)
        self._run(work, path, folder)

    def _affordable(self, work: Work, folder: Path) -> int:
        """Return how many steps take the seconds that a training has, by the time of a few that are thrown away."""
        trial = folder.with_name(f"{folder.name}.trial")
        shutil.rmtree(trial, ignore_errors=True)
        trial.mkdir(parents=True)
        path = trial / "recipe.json"
        recipe = self._recipe(work, TRIAL)
        path.write_text(json.dumps({**recipe, "train": {**recipe["train"], "log_every": 1}}))
        self._run(work, path, trial)
        paces = [json.loads(line)["pace"] for line in (trial / "log.jsonl").read_text().splitlines()]
        shutil.rmtree(trial)
        pace = statistics.median(paces[TRIAL // 2 :])
        return max(1, round(self.config.seconds * pace / self.config.train_batch))

    def _run(self, work: Work, path: Path, folder: Path) -> None:
        """Train; rows with the same autoencoder share encoded samples, and wait for the one that encodes them."""
        recipe = TrainRecipe.load(path)
        if self.config.cache:
            with locked(Path(f"{recipe.train.cache}.lock")):
                fill_caches(recipe, Path(recipe.train.cache))
        Trainer(recipe, folder).run()

    def _recipe(self, work: Work, steps: int) -> dict[str, Any]:
        """Return the recipe of a training as plain data."""
        settings, size = self.config, work.sampling.size
        slots = {kind: Slot.read(kind, work.data[kind]) for kind in INTERFACES}
        latent = slots["autoencoder"].contract().latent
        learned = ["denoiser"] if slots["text_encoder"].trained else ["denoiser", "text_encoder"]
        own = mark_of("autoencoder", work.data["autoencoder"])
        shared = digest(own, 0 if slots["autoencoder"].trained else work.seed)
        train = {
            "train": learned,
            "steps": steps,
            "seed": work.seed,
            "learning_rate": settings.learning_rate,
            "warmup": settings.warmup,
            "precision": settings.precision,
            "log_every": max(1, steps // 50),
            "ema": 0.99,
            **(settings.train or {}),
            "cache": str((work.shared / f"latents-{shared}").resolve()),
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
        return {**work.data, "train": train, "data": [data]}

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


def _log(folder: Path) -> list[dict[str, Any]]:
    """Return what a training wrote down."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
