"""How near a scheduler comes to the exact solution of the denoiser's equation, by number of steps."""

from __future__ import annotations

import contextlib
import json

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vidgen.bench.suite import Suite
from vidgen.bench.work import Work
from vidgen.checkpoint import atomic_file
from vidgen.errors import VideoError
from vidgen.metrics import psnr
from vidgen.sampling.pipeline import Pipeline
from vidgen_suites.config import SolversConfig

__all__ = ["Solvers"]


class Solvers(Suite):
    """Compares latents and videos with those of very many steps, from the same noise."""

    config: SolversConfig

    def measure(self, work: Work) -> None:
        """Measure the relative distance of the latents and the PSNR of the videos, for every number of steps."""
        settings, pipe = self.config, work.pipe
        exact, shown = self._reference(work)
        distances, likeness = [], []
        for steps in settings.steps:
            latents, videos = self._run(pipe, steps, work.seed)
            away = (latents - exact).flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)
            near = psnr(videos, shown)
            work.add(f"distance at {steps} steps", away.tolist(), "", "less")
            work.add(f"psnr at {steps} steps", near.tolist(), "dB", "more", mean=True)
            distances.append([steps, away.mean().item()])
            likeness.append([steps, near.mean().item()])
        cost = pipe.recipe.scheduler.contract().evaluations_per_step
        work.add("evaluations a step", cost, "", "less")
        for name, curve in (("distance", distances), ("psnr", likeness)):
            work.keep(f"curve:{name} by steps", "application/json", json.dumps(curve).encode())

    def _reference(self, work: Work) -> tuple[Tensor, Tensor]:
        """Return the exact latents and videos, which rows that differ in the scheduler alone share."""
        settings = self.config
        fields = [settings.reference, settings.reference_steps, settings.guidance, settings.prompts]
        with work.sharing("solvers", ("autoencoder", "denoiser", "text_encoder"), *fields) as path:
            file = path.with_suffix(".safetensors")
            with contextlib.suppress(OSError, KeyError, SafetensorError):  # none, or a damaged one
                there = load_file(file, device=str(work.device))
                return there["latents"], there["videos"]
            pipe = work.pipe.replace(
                scheduler=settings.reference,
                sampling=work.sampling,
                foreign=work.pipe.recipe.foreign,
                adapt=work.pipe.recipe.adapt,
            )
            latents, videos = self._run(pipe, settings.reference_steps, work.seed)
            with atomic_file(file) as new:
                save_file({"latents": latents.contiguous(), "videos": videos.contiguous()}, new)
            return latents, videos

    def _run(self, pipe: Pipeline, steps: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return the last latents ``[B, C, t, h, w]`` and the videos ``[B, 3, T, H, W]``."""
        last: list[Tensor] = []
        made = pipe(
            self.config.prompts,
            seed=seed,
            steps=steps,
            guidance=self.config.guidance,
            fit="pad",
            on_step=lambda _, latents: last.__setitem__(slice(None), [latents]),
            show_progress=False,
        )
        latents = last[0].float()
        if not torch.isfinite(latents).all():
            raise VideoError(f"The latents hold NaN or infinite values after {steps} steps.")
        return latents, torch.cat([video.tensor() for video in made]).to(latents.device)
