"""What is learned: the losses of autoencoders and of denoisers, as modules that hold the parts they train."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias, cast

import torch
from torch import Tensor, nn

from vidgen.interfaces import (
    Condition,
    Denoiser,
    PackedLatents,
    PackingDenoiser,
    Prediction,
    TextEmbedding,
    TextEncoder,
    VideoAutoencoder,
)
from vidgen.process import Prediction as Meaning
from vidgen.process import Process
from vidgen.size import Size
from vidgen.train.batches import Embedded
from vidgen.train.config import TrainConfig
from vidgen.train.given import draw_given
from vidgen.train.variance import variance_bound

__all__ = ["AutoencoderObjective", "DenoiserObjective", "edge_loss", "min_snr_weight"]

Texts: TypeAlias = Sequence[str] | Embedded
"""Captions, or what the text encoder made of them."""


def edge_loss(left: Tensor, right: Tensor, levels: int = 3) -> Tensor:
    """Return a perceptual distance that needs no weights: differences of edges at several scales.

    The eye follows edges; so the differences between neighbouring pixels in height and width are compared, at full
    size and at halves of it.

    Args:
        left: ``[B, 3, T, H, W]``.
        right: The same shape.
        levels: Number of scales.
    """
    total = left.new_zeros(())
    for level in range(levels):
        difference = left - right
        for axis in (-1, -2):
            if difference.shape[axis] > 1:
                total = total + difference.diff(dim=axis).abs().mean()
        if level + 1 < levels and min(left.shape[-2:]) >= 2:
            left, right = (nn.functional.avg_pool3d(x, (1, 2, 2)) for x in (left, right))
    return total / levels


def min_snr_weight(process: Process, prediction: Meaning, time: Tensor, gamma: float) -> Tensor:
    """Return the weight of squared errors in a prediction that counts those of the clean sample by min(SNR, gamma).

    Min-SNR weighting (arXiv 2303.09556), for any process: an error of 1 in the prediction is one of ``d x_0`` in the
    clean sample, by `Process.to_clean`.

    Args:
        process: Gives alpha and sigma.
        prediction: What the denoiser's output means.
        time: Of any shape; t = 0 and t = 1 too.
        gamma: Largest weight of the clean sample's error.

    Returns:
        float64 of the shape of `time`, finite.
    """
    alpha, sigma = process.alpha_sigma(time)
    if prediction == "sample":
        return (alpha / sigma).square().clamp(max=gamma)
    if prediction == "epsilon":
        return (gamma * (sigma / alpha).square()).clamp(max=1)
    slope = alpha + sigma if prediction == "flow" else alpha.square() + sigma.square()
    return torch.minimum(alpha.square(), gamma * sigma.square()) / slope.square()


class AutoencoderObjective(nn.Module):
    """Reconstruction, a perceptual term, and the part's own losses (KL, commitment).

    Args:
        autoencoder: The part to train.
        settings: How.
    """

    def __init__(self, autoencoder: VideoAutoencoder, settings: TrainConfig) -> None:
        super().__init__()
        self.autoencoder, self.settings = autoencoder, settings

    def forward(self, video: Tensor) -> dict[str, Tensor]:
        """Return the losses of videos ``[B, 3, T, H, W]`` in [-1, 1]; their sum is to be minimised."""
        made, losses = self.autoencoder.forward_train(video)
        made, video = made.float(), video.float()
        difference = made - video
        pixel = {
            "mse": lambda: difference.square().mean(),
            "l1": lambda: difference.abs().mean(),
            "psnr": lambda: (difference.square().flatten(1).mean(dim=1) + 1e-5).log().mean(),
            "log-mse": lambda: (difference.square().mean() + 1e-5).log(),
            "charbonnier": lambda: (difference.square() + 1e-4).sqrt().mean(),
        }[self.settings.reconstruction]()
        result = {"reconstruction": pixel, **losses}
        if self.settings.perceptual:
            result["perceptual"] = self.settings.perceptual * edge_loss(made, video)
        return result


@dataclass(frozen=True, slots=True)
class Task:
    """What a denoiser is asked of a batch.

    Attributes:
        latents: Clean, ``[B, C, t, h, w]``.
        noise: Of the same shape.
        x: The two mixed.
        time: ``[B]`` or ``[B, t]``.
        text: Captions, some of them dropped.
        condition: What else is told.
        learned: Boolean ``[B, 1, t, 1, 1]``, where errors count; None for everywhere.
    """

    latents: Tensor
    noise: Tensor
    x: Tensor
    time: Tensor
    text: TextEmbedding
    condition: Condition
    learned: Tensor | None


class DenoiserObjective(nn.Module):
    """The denoiser's regression at random times, with dropped captions and given frames.

    A learned variance learns from a bound of its own (`variance_bound`). Frames that are given are clean, at time 0 for
    denoisers with `per_frame_time`, where they are not learned; told beside the noisy latents to those with `given`.

    Args:
        denoiser: The part to train.
        text_encoder: Trained with it, or None where text is embedded outside.
        settings: How.
    """

    def __init__(self, denoiser: Denoiser, text_encoder: TextEncoder, settings: TrainConfig) -> None:
        super().__init__()
        self.denoiser, self.text_encoder, self.settings = denoiser, text_encoder, settings
        contract = denoiser.config.contract()
        self.process, self.prediction = Process(contract.process), contract.prediction
        self.abilities = contract.abilities

    def forward(
        self,
        latents: Tensor | Sequence[Tensor],
        text: Texts | Sequence[Texts],
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Return the loss of clean latents ``[B, C, t, h, w]``, or of several such batches packed into one sequence.

        Packed, it is the mean of the batches' own losses, each counted by its samples.

        Args:
            latents: Clean; a list of batches of any sizes for denoisers with `pack`.
            text: Their captions, or what the text encoder made of them; a list of such for a list.
            generator: Of captions that are dropped, times, noise and given frames; on the CPU.
        """
        if isinstance(latents, Tensor):
            task = self._task(latents, cast("Texts", text), generator)
            prepared = self.denoiser.prepare(task.text, task.condition, Size(*latents.shape[2:]))
            return self._losses(task, self.denoiser(task.x, task.time, prepared))
        pairs = zip(latents, cast("Sequence[Texts]", text), strict=True)
        tasks = [self._task(*pair, generator) for pair in pairs]
        each = [self._losses(task, made) for task, made in zip(tasks, self._packed(tasks), strict=True)]
        shares = torch.tensor([len(x) for x in latents], device=latents[0].device)
        return {
            name: (torch.stack([losses[name] for losses in each]) * shares).sum() / shares.sum()
            for name in each[0]
        }

    def _task(self, latents: Tensor, text: Texts, generator: torch.Generator) -> Task:
        """Draw what the denoiser is asked of latents ``[B, C, t, h, w]``."""
        batch, settings = len(latents), self.settings
        drop = (torch.rand(batch, generator=generator) < settings.caption_dropout).tolist()
        if isinstance(text, Embedded):
            embedding = text.without(drop).to(latents.device)
        else:
            embedding = self.text_encoder.encode(
                ["" if gone else word for gone, word in zip(drop, text, strict=True)]
            )
        time = self._draw_times(batch, generator).to(latents.device)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        if settings.noise_offset:
            offset = torch.randn(*latents.shape[:2], 1, 1, 1, generator=generator)
            noise = noise + settings.noise_offset * offset.to(latents)
        condition, learned = Condition(), None
        if settings.given.anything:
            given = draw_given(settings.given, batch, latents.shape[2], generator).to(latents.device)
            if "given" in self.abilities:
                mask = given[:, None, :, None, None].expand(-1, 1, -1, *latents.shape[3:]).to(latents)
                condition = Condition(given=torch.cat([mask * latents, mask], dim=1))
            else:
                time = torch.where(given, 0.0, time[:, None])
                learned = ~given[:, None, :, None, None]
        x = self.process.add_noise(latents, noise, time)
        return Task(latents, noise, x, time, embedding, condition, learned)

    def _packed(self, tasks: Sequence[Task]) -> list[Prediction]:
        """Return the denoiser's answer to each batch, all of them asked in one sequence."""
        x = PackedLatents.of([sample for task in tasks for sample in task.x])
        text = TextEmbedding.cat([task.text for task in tasks])
        time = torch.cat([task.time.flatten() for task in tasks])
        denoiser = cast("PackingDenoiser", self.denoiser)
        made = denoiser(x, time, denoiser.prepare(text, Condition(), x.sizes))

        def batches(values: Tensor) -> list[Tensor]:
            samples = iter(PackedLatents(values, x.sizes).split())
            return [torch.stack([next(samples) for _ in task.x]) for task in tasks]

        variances = [None] * len(tasks) if made.log_variance is None else batches(made.log_variance)
        return list(map(Prediction, batches(made.value), variances))

    def _losses(self, task: Task, made: Prediction) -> dict[str, Tensor]:
        latents, time, settings = task.latents, task.time, self.settings
        output = made.value.float()
        target = self.process.target(self.prediction, latents, task.noise, time).float()
        error = (output - target).square()
        if settings.weighting == "min-snr":
            weight = min_snr_weight(self.process, self.prediction, time, settings.min_snr_gamma).to(error)
            error = error * (weight[:, None, None] if weight.ndim == 1 else weight[:, None])[..., None, None]
        if task.learned is not None:
            return {"denoising": (error * task.learned).sum() / task.learned.expand_as(error).sum()}
        losses = {"denoising": error.mean()}
        if made.log_variance is not None:
            clean = self.process.to_clean(self.prediction, output.detach(), task.x.float(), time)
            bound = variance_bound(self.process, latents, clean, task.x, made.log_variance, time)
            losses["variance"] = bound.mean()
        return losses

    def _draw_times(self, batch: int, generator: torch.Generator) -> Tensor:
        settings = self.settings
        if settings.times == "uniform":
            return torch.rand(batch, generator=generator)
        normal = torch.randn(batch, generator=generator)
        return torch.sigmoid(settings.time_mean + settings.time_std * normal)
