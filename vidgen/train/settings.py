"""What the tables ``[train]`` and ``[[data]]`` of a training recipe can say. No torch here."""

from __future__ import annotations

import math
from typing import Literal

from vidgen.config import Config, config, require
from vidgen.size import Size

__all__ = ["DataConfig", "GivenConfig", "TrainConfig"]

Part = Literal["autoencoder", "denoiser", "text_encoder"]


@config
class GivenConfig(Config):
    """How often latent frames are given while a denoiser learns, as weights beside each other.

    Attributes:
        none: Nothing: text alone.
        image: The first frame: image-to-video.
        ends: Some first and some last frames: a transition.
        past: Some first frames: continuation.
        future: Some last frames: continuation backward.
        random: Any frames.
    """

    none: float = 1.0
    image: float = 0.0
    ends: float = 0.0
    past: float = 0.0
    future: float = 0.0
    random: float = 0.0

    def validate(self) -> None:
        """Check the ranges."""
        weights = self.to_dict()
        for name, weight in weights.items():
            require(0 <= weight < math.inf, f"train.given.{name} must be 0 or more, finite, not {weight}.")
        require(sum(weights.values()) > 0, "train.given needs a weight above 0.")

    @property
    def anything(self) -> bool:
        """Whether frames are ever given."""
        return self.image + self.ends + self.past + self.future + self.random > 0


@config
class TrainConfig(Config):
    """How to train.

    Attributes:
        train: The parts to train: ``["autoencoder"]``, or ``denoiser`` with or without ``text_encoder``.
        steps: Optimiser steps in all.
        freeze: Wildcards of parameters that stay as they are, such as ``encoder*``.
        keep_space: The trained autoencoder still speaks the latents it spoke (only its decoder was trained): its space
            keeps its name and its normalisation.
        seed: Of initialisation, data order and noise.
        optimizer: ``adamw``, ``muon`` for the hidden matrices beside AdamW for the rest, or ``adamw8bit``, whose states
            take a byte a value (needs bitsandbytes or torchao).
        learning_rate: Of AdamW.
        muon_learning_rate: Of Muon's matrices.
        weight_decay: Of both.
        warmup: Steps of linear warm-up.
        schedule: Of the learning rate after it; ``linear`` and ``cosine`` end at zero, ``trapezoid`` is constant and
            falls over the last `decay` of the steps.
        decay: Part of the steps over which a trapezoid falls.
        clip: Largest norm of the gradient.
        ema: Decay of the averaged weights, which are the ones to be used; 0 for none.
        ema_kind: ``constant`` decays so from the start, ``warmup`` by at most (1 + step) / (10 + step), ``power`` by
            (1 - 1 / step) ** (ema_power + 1), a part of the whole training (arXiv 2312.02696), whatever `ema` is.
        ema_power: Of ``power``: 6.94 averages over 10 % of the training, 16.97 over 5 %.
        precision: ``bf16`` autocast, ``fp32``, or ``auto``: what is fast here.
        accumulate: Batches to an optimiser step, of each process.
        tokens: Tokens of the denoiser to a batch, instead of ``batch`` in every ``[[data]]``: large videos come in
            small batches, small ones in large; 0 for none.
        pack: Fill each batch with samples of all tables, whatever their sizes, in one sequence within `tokens`; for
            denoisers with the ability `pack`. Then `share` says how many of the tokens a table gives.
        attention: The backend of attention while training; ``loop`` is PyTorch's own, and packs without padding.
        global_batches: Batches to an optimiser step of all processes together, instead of `accumulate`: then what is
            learned does not depend on their number. 0 for none.
        checkpointing: Compute the activations of the denoiser's blocks again going backward instead of keeping them.
        sequence_parallel: So many neighbouring processes share the tokens of each sample out (Ulysses); for denoisers
            with the ability `sequence_parallel`, whose heads it must divide.
        shard: Share the parameters, gradients and optimiser states of a denoiser out among the processes (FSDP2).
        caption_dropout: Part of the captions that are left empty, for classifier-free guidance.
        times: How the times of a denoiser are drawn: ``logit-normal`` or ``uniform``.
        time_mean: Mean of the logit-normal times; above 0 leans to noise.
        time_std: Their standard deviation.
        weighting: Of the denoiser's errors: ``none``, or ``min-snr`` (arXiv 2303.09556), which counts errors of the
            clean sample by the signal-to-noise ratio, but at most by `min_snr_gamma`.
        min_snr_gamma: See `weighting`.
        noise_offset: Deviation of what is added to the noise of a whole channel of a video, so that its brightness is
            learned too.
        given: How often frames are given, for denoisers with `per_frame_time` or `given`.
        reconstruction: Pixel loss of an autoencoder; ``psnr`` is the logarithm of each video's squared error, so that
            easy and hard videos count alike; ``log-mse`` that of the batch's, so that hard ones count more.
        perceptual: Weight of the multi-scale edge term of an autoencoder.
        start_from_data: Let a fresh autoencoder prepare itself from its data (`sora-vae`: principal components).
        cache: Folder of encoded data, which trainings may share; empty for ``latents`` in the training's own.
        workers: Data-loading processes.
        log_every: Steps between log lines.
        checkpoint_minutes: Minutes between checkpoints.
        sample_every: Steps between samples; 0 for none.
        prompts: What to sample.
    """

    train: tuple[Part, ...] = ("denoiser", "text_encoder")
    steps: int = 1000
    freeze: tuple[str, ...] = ()
    keep_space: bool = False
    seed: int = 0
    optimizer: Literal["adamw", "adamw8bit", "muon"] = "adamw"
    learning_rate: float = 3e-4
    muon_learning_rate: float = 0.02
    weight_decay: float = 0.01
    warmup: int = 100
    schedule: Literal["constant", "cosine", "linear", "trapezoid"] = "trapezoid"
    decay: float = 0.2
    clip: float = 1.0
    ema: float = 0.999
    ema_kind: Literal["constant", "power", "warmup"] = "warmup"
    ema_power: float = 6.94
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    accumulate: int = 1
    tokens: int = 0
    pack: bool = False
    attention: str = "loop"
    global_batches: int = 0
    checkpointing: bool = False
    sequence_parallel: int = 1
    shard: bool = False
    caption_dropout: float = 0.1
    times: Literal["logit-normal", "uniform"] = "logit-normal"
    time_mean: float = 0.0
    time_std: float = 1.0
    weighting: Literal["min-snr", "none"] = "none"
    min_snr_gamma: float = 5.0
    noise_offset: float = 0.0
    given: GivenConfig = GivenConfig()
    reconstruction: Literal["charbonnier", "l1", "log-mse", "mse", "psnr"] = "charbonnier"
    perceptual: float = 0.1
    start_from_data: bool = True
    cache: str = ""
    workers: int = 0
    log_every: int = 20
    checkpoint_minutes: float = 5.0
    sample_every: int = 0
    prompts: tuple[str, ...] = ()

    def validate(self) -> None:
        """Check ranges and combinations."""
        require(
            bool(self.train), "train.train names no part; choose autoencoder, or denoiser (and text_encoder)."
        )
        mixed = "autoencoder" in self.train and len(self.train) > 1
        require(
            not mixed,
            "train.train: an autoencoder is trained alone; train the denoiser in a recipe of its own.",
        )
        alone = self.train == ("text_encoder",)
        require(not alone, "train.train: a text encoder learns with the denoiser; add 'denoiser'.")
        for name in ("steps", "accumulate", "log_every", "sequence_parallel"):
            require(getattr(self, name) >= 1, f"train.{name} must be at least 1, not {getattr(self, name)}.")
        for name in ("tokens", "warmup", "workers", "seed", "sample_every", "checkpoint_minutes", "weight_decay",
                     "noise_offset", "ema_power", "global_batches", "time_std", "perceptual"):  # fmt: skip
            require(getattr(self, name) >= 0, f"train.{name} must be 0 or more, not {getattr(self, name)}.")
        for name in ("learning_rate", "muon_learning_rate", "clip", "min_snr_gamma"):
            require(getattr(self, name) > 0, f"train.{name} must be positive, not {getattr(self, name)}.")
        for name in ("learning_rate", "muon_learning_rate", "weight_decay", "time_mean", "time_std", "noise_offset",
                     "perceptual", "ema_power"):  # fmt: skip
            require(
                math.isfinite(getattr(self, name)), f"train.{name} must be finite, not {getattr(self, name)}."
            )
        require(self.seed < 2**32, f"train.seed must be below 2**32, not {self.seed}.")
        for name in ("checkpointing", "pack", "sequence_parallel", "shard"):
            asked = getattr(self, name) > (name == "sequence_parallel")  # which is 1 for none
            require("denoiser" in self.train or not asked, f"train.{name} is for denoisers; leave it out.")
        require(self.tokens > 0 or not self.pack, "train.pack needs train.tokens = N, the tokens of a batch.")
        require(
            not self.pack or self.sequence_parallel == 1,
            "train.pack and train.sequence_parallel do not go together; leave one of them out.",
        )
        require(
            not self.shard or (self.optimizer == "adamw" and not self.sample_every),
            "train.shard needs optimizer = 'adamw' and sample_every = 0: others want whole weights.",
        )
        require(
            not self.global_batches or self.accumulate == 1,
            "train.global_batches replaces train.accumulate; name one of them.",
        )
        twice = len(set(self.train)) < len(self.train)
        require(not twice, f"train.train names a part twice: {', '.join(self.train)}.")
        for name in ("caption_dropout", "ema", "decay"):
            require(
                0 <= getattr(self, name) <= 1, f"train.{name} must be in [0, 1], not {getattr(self, name)}."
            )


@config
class DataConfig(Config):
    """One table ``[[data]]``: a data set at one size.

    Attributes:
        name: The data set's name.
        size: Frames x height x width.
        batch: Samples to a batch.
        share: How often this table gives the batch, relative to the others.
        cache: Training a denoiser, so many samples are encoded once and their latents kept; 0 encodes on the fly.
        cache_text: Keep what a frozen text encoder makes of these samples' captions too, in one wording each.
    """

    name: str
    size: str
    batch: int = 8
    share: float = 1.0
    cache: int = 0
    cache_text: bool = False

    def validate(self) -> None:
        """Check ranges."""
        Size.parse(self.size)
        share = 0 < self.share < math.inf
        require(self.batch >= 1 and share, "data.batch must be at least 1 and data.share positive, finite.")
        require(self.cache >= 0, f"data.cache must be 0 or more, not {self.cache}.")
        require(
            self.cache > 0 or not self.cache_text, "data.cache_text needs data.cache = N, how many samples."
        )
