"""One small honest component a kind: what the conformance suite is tested on."""

from __future__ import annotations

import warnings
import zlib

import torch
from einops import rearrange
from torch import nn

import vidgen
from vidgen.config import config
from vidgen.errors import ConfigError
from vidgen.interfaces.scheduler import TimeGrid, draw_noise

STRIDE = {"p": 2, "q": 4, "r": 4}
CUBES = "b c (t p) (h q) (w r) -> b t h w (c p q r)"


@config
class ToyVAEConfig(vidgen.AutoencoderConfig):
    channels: int = 8

    def contract(self):
        latent = vidgen.LatentSpec(space=self.space, channels=self.channels, time_stride=2, space_stride=4)
        return vidgen.AutoencoderContract(latent=latent)


class ToyVAE(vidgen.VideoAutoencoder):
    """Linear on cubes of 2x4x4 pixels, the first frame repeated once."""

    def __init__(self, config: ToyVAEConfig):
        super().__init__(config)
        self.enter, self.leave = nn.Linear(96, config.channels), nn.Linear(config.channels, 96)
        self.register_buffer("mean", torch.zeros(config.channels))
        self.register_buffer("std", torch.ones(config.channels))

    def normalisation(self):
        return self.mean.clone(), self.std.clone()

    def set_normalisation(self, mean, std):
        self.mean.copy_(mean)
        self.std.copy_(std)

    def encode(self, video):
        self.check_video(video)
        cubes = rearrange(torch.cat([video[:, :, :1], video], dim=2), CUBES, **STRIDE)
        return ((self.enter(cubes) - self.mean) / self.std).movedim(-1, 1)

    def decode(self, latents, *, generator=None):
        cubes = self.leave(latents.movedim(1, -1) * self.std + self.mean)
        return rearrange(cubes, "b t h w (c p q r) -> b c (t p) (h q) (w r)", **STRIDE)[:, :, 1:]

    def forward_train(self, video):
        latents = self.encode(video)
        return self.decode(latents), {"kl": 1e-3 * latents.square().mean()}


@config
class ToyNetConfig(vidgen.DenoiserConfig):
    width: int = 32

    def contract(self):
        return self.base_contract(abilities=frozenset({"per_frame_time"}))


class ToyNet(vidgen.Denoiser):
    """A perceptron at each latent position, moved by the time and by the mean of the text."""

    def __init__(self, config: ToyNetConfig):
        super().__init__(config)
        known = config.follow()
        self.enter = nn.Linear(known.latent_channels, config.width)
        self.text = nn.Linear(known.text_width, config.width)
        self.time = nn.Linear(2, config.width)
        self.leave = nn.Linear(config.width, known.latent_channels)

    def prepare(self, text, condition, size):
        condition.check(self.config.contract(), "toy")
        mask = text.text_mask[..., None]
        words = text.tokens.masked_fill(~mask, 0).sum(1) / mask.sum(1).clamp(min=1).to(text.tokens.dtype)
        return {"text": self.text(words)[:, None, None, None], "size": size}

    def moved(self, time, x):
        time = time[:, None] if time.ndim == 1 else time
        return self.time(torch.stack([(3 * time).cos(), (3 * time).sin()], -1).to(x.dtype))[:, :, None, None]

    def forward(self, x, time, prepared):
        hidden = self.enter(x.movedim(1, -1)) + self.moved(time, x) + prepared["text"]
        return vidgen.Prediction(self.leave(nn.functional.silu(hidden)).movedim(-1, 1))


@config
class ToyWordsConfig(vidgen.TextEncoderConfig):
    width: int = 24

    def contract(self):
        spec = vidgen.TextSpec(space=self.space, width=self.width, pooled_width=0, max_tokens=8)
        return vidgen.TextEncoderContract(text=spec)


class ToyWords(vidgen.TextEncoder):
    """A vector a word."""

    def __init__(self, config: ToyWordsConfig):
        super().__init__(config)
        self.table = nn.Embedding(512, config.width)

    def words(self, prompts):
        if isinstance(prompts, str) or not prompts or not all(isinstance(p, str) for p in prompts):
            raise ConfigError("encode() takes a list of prompts")
        return [prompt.split() or ["<none>"] for prompt in prompts]

    def encode(self, prompts):
        rows = self.words(prompts)
        if max(map(len, rows)) > 8:
            warnings.warn("the prompt is cut to 8 words", UserWarning, stacklevel=2)
        numbers = [
            torch.tensor([zlib.crc32(w.encode("utf-8", "replace")) % 512 for w in row[:8]]) for row in rows
        ]
        padded = nn.utils.rnn.pad_sequence(numbers, batch_first=True, padding_value=-1)
        padded = padded.to(self.table.weight.device)
        mask = padded >= 0
        return vidgen.TextEmbedding(self.table(padded.clamp(min=0)) * mask[..., None], mask)


@config
class ToyEulerConfig(vidgen.SchedulerConfig):
    pass


class ToyEuler(vidgen.Scheduler):
    """Euler along uniform times."""

    def __init__(self, config: ToyEulerConfig):
        super().__init__(config)

    def grid(self, process, steps, *, tokens=None, start=None):
        start = 0.999 if start is None else start
        if steps < 1 or not 0 < start <= 1:
            raise ConfigError("steps must be at least 1, start in (0, 1]")
        return TimeGrid.of(process, torch.linspace(start, 0, steps + 1, dtype=torch.float64))

    def solve(self, denoise, x, grid, *, generators=None, on_step=None):
        for i in range(grid.steps):
            clean = denoise(x, float(grid.t[i]))
            (a, b), (s, u) = (map(float, v[i : i + 2]) for v in (grid.alpha, grid.sigma))
            x = b * clean + (u / s) * (x - a * clean)
            if on_step:
                on_step(i, x)
        return x


@config
class ToyNoisyConfig(vidgen.SchedulerConfig):
    def contract(self):
        return vidgen.SchedulerContract(order=1, stochastic=True)


class ToyNoisy(ToyEuler):
    """The same, drawing a part of the noise anew."""

    def __init__(self, config: ToyNoisyConfig):
        super().__init__(config)

    def solve(self, denoise, x, grid, *, generators=None, on_step=None):
        for i in range(grid.steps):
            clean = denoise(x, float(grid.t[i]))
            (a, b), (s, u) = (map(float, v[i : i + 2]) for v in (grid.alpha, grid.sigma))
            kept = a * u / (b * s)
            drawn = u * max(0.0, 1 - kept**2) ** 0.5
            held = max(0.0, u**2 - drawn**2) ** 0.5
            x = b * clean + (held / s) * (x - a * clean)
            x = x + drawn * draw_noise(x, generators) if drawn > 0 else x
            if on_step:
                on_step(i, x)
        return x


TOYS = {"autoencoder": ToyVAE, "denoiser": ToyNet, "text_encoder": ToyWords, "scheduler": ToyEuler}
