"""What a training recipe says beside its parts: the tables ``[train]`` and ``[[data]]``. No torch here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from vidgen.config import Config, config, require
from vidgen.errors import ContractError, RecipeError, SizeError, closest
from vidgen.parts import resolve
from vidgen.recipe import (
    FLAGS,
    Recipe,
    Sampling,
    Slot,
    check_format,
    default_sampling,
    read_flags,
    read_tables,
)
from vidgen.registry import find
from vidgen.size import Size
from vidgen.spec import INTERFACES, ComponentSpec

__all__ = ["DataConfig", "GivenConfig", "TrainConfig", "TrainRecipe"]

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
            require(weight >= 0, f"train.given.{name} must be 0 or more, not {weight}.")
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
        global_batches: Batches to an optimiser step of all processes together, instead of `accumulate`: then what is
            learned does not depend on their number. 0 for none.
        checkpointing: Compute the activations of the denoiser's blocks again going backward instead of keeping them.
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
    global_batches: int = 0
    checkpointing: bool = False
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
        for name in ("steps", "accumulate", "log_every"):
            require(getattr(self, name) >= 1, f"train.{name} must be at least 1, not {getattr(self, name)}.")
        for name in ("tokens", "warmup", "workers", "seed", "sample_every", "checkpoint_minutes", "weight_decay",
                     "noise_offset", "ema_power", "global_batches"):  # fmt: skip
            require(getattr(self, name) >= 0, f"train.{name} must be 0 or more, not {getattr(self, name)}.")
        require(self.min_snr_gamma > 0, f"train.min_snr_gamma must be positive, not {self.min_snr_gamma}.")
        require(self.seed < 2**32, f"train.seed must be below 2**32, not {self.seed}.")
        for name in ("checkpointing", "shard"):
            wanted = getattr(self, name) and "denoiser" not in self.train
            require(not wanted, f"train.{name} is for denoisers; leave it out.")
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
        require(
            self.learning_rate > 0 and self.clip > 0, "train.learning_rate and train.clip must be positive."
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
        require(self.batch >= 1 and self.share > 0, "data.batch must be at least 1 and data.share positive.")
        require(self.cache >= 0, f"data.cache must be 0 or more, not {self.cache}.")
        require(
            self.cache > 0 or not self.cache_text, "data.cache_text needs data.cache = N, how many samples."
        )


@dataclass(frozen=True, slots=True)
class DataTable:
    """A data table with its data set's spec and configuration."""

    table: DataConfig
    spec: ComponentSpec
    settings: Config

    @property
    def size(self) -> Size:
        """The size of its samples."""
        return Size.parse(self.table.size)


@dataclass(frozen=True, slots=True)
class TrainRecipe:
    """A recipe to train: parts, how, on what.

    Attributes:
        slots: The parts by kind; for an autoencoder it alone is needed.
        sampling: Defaults of the trained pipeline.
        train: How.
        data: On what.
        adapt: Trainable projections bridge different channels and widths.
        foreign: Trained parts may meet spaces that they do not know (and learn them).
    """

    slots: Mapping[str, Slot]
    sampling: Sampling
    train: TrainConfig
    data: tuple[DataTable, ...]
    adapt: bool = False
    foreign: bool = False

    @classmethod
    def load(cls, path: str | Path, overrides: Mapping[str, Any] | None = None) -> TrainRecipe:
        """Read a TOML or JSON file.

        Args:
            path: The file.
            overrides: Fields of ``[train]`` to change.

        Raises:
            RecipeError: For a missing table or part, and for unknown keys.
        """
        tables = read_tables(path)
        known = (*INTERFACES, "sampling", "train", "data", "format_version", *FLAGS)
        for key in tables:
            if key not in known:
                raise RecipeError(
                    f"{path} has an unknown table {key!r}.{closest(key, known)} Tables: {', '.join(known)}."
                )
        if "train" not in tables or not tables.get("data"):
            raise RecipeError(f"{path} is no training recipe: it needs the tables [train] and [[data]].")
        check_format(tables)
        if not isinstance(tables["data"], list):
            raise RecipeError("[[data]] is a list of tables, each with name and size.")
        settings = TrainConfig.from_dict(tables["train"]).replace(**(overrides or {}))
        needed = ("autoencoder",) if settings.train == ("autoencoder",) else INTERFACES
        missing = [kind for kind in needed if kind not in tables]
        if missing:
            raise RecipeError(
                f"{path} lacks {' and '.join(missing)}; training {settings.train[0]} needs {', '.join(needed)}."
            )
        slots = {kind: Slot.read(kind, tables[kind]) for kind in needed}
        given = tables.get("sampling", {})
        sampling = (
            default_sampling(given, slots["autoencoder"], slots["denoiser"])
            if "denoiser" in slots
            else Sampling.from_dict(given)
        )
        if settings.tokens and any("batch" in table for table in tables["data"]):
            raise RecipeError(
                "train.tokens says how large a batch is, and so does data.batch; leave one out."
            )
        data = tuple(_data_table(table) for table in tables["data"])
        recipe = cls(slots, sampling, settings, data, **read_flags(tables))
        return recipe.following().fitting().budgeted()

    def budgeted(self) -> TrainRecipe:
        """Return the recipe with as many samples in each table's batch as `train.tokens` allow, at least one.

        Raises:
            RecipeError: When no denoiser is there whose tokens could be counted.
        """
        budget, denoiser = self.train.tokens, self.slots.get("denoiser")
        if not budget:
            return self
        if denoiser is None:
            raise RecipeError(
                "train.tokens counts a denoiser's tokens; an autoencoder's [[data]] takes batch."
            )
        latent, patch = self.slots["autoencoder"].contract().latent, denoiser.contract().patch

        def fill(table: DataTable) -> DataTable:
            tokens = math.prod(-(-n // p) for n, p in zip(latent.latent_size(table.size), patch, strict=True))
            return replace(table, table=table.table.replace(batch=max(1, budget // tokens)))

        return replace(self, data=tuple(map(fill, self.data)))

    @property
    def whole(self) -> Recipe | None:
        """The four parts as a recipe; None where an autoencoder is trained alone."""
        if "denoiser" not in self.slots:
            return None
        return Recipe(**self.slots, sampling=self.sampling, adapt=self.adapt, foreign=self.foreign)

    def following(self) -> TrainRecipe:
        """Return the recipe with everything filled that the denoiser takes from its neighbours.

        Raises:
            ContractError: When the parts do not fit.
        """
        whole = self.whole
        if whole is None:
            return self
        whole = whole.following()
        problems = whole.problems()
        if problems:
            raise ContractError(" ".join(map(str, problems)))
        return replace(self, slots={kind: whole.slot(kind) for kind in INTERFACES})

    def fitting(self) -> TrainRecipe:
        """Return the recipe if its parts can make the sizes of its data.

        Raises:
            SizeError: When they cannot; names the table, the part and the sizes it can make.
            ContractError: When frames are to be given to a denoiser that takes none.
            RecipeError: When texts are to be cached that a learning text encoder makes.
        """
        slot, denoiser = self.slots["autoencoder"], self.slots.get("denoiser")
        abilities = denoiser.contract().abilities if denoiser else frozenset()
        if denoiser and self.train.given.anything and not abilities & {"per_frame_time", "given"}:
            raise ContractError(
                f"train.given: the denoiser {denoiser.spec.name!r} takes no given frames (it has neither "
                "'per_frame_time' nor 'given'); leave the table out, and give frames when sampling all the same."
            )
        learned = "text_encoder" in self.train.train or self.adapt
        if learned and any(table.table.cache_text for table in self.data):
            raise RecipeError(
                "data.cache_text keeps what a frozen text encoder says, but this one learns; "
                'leave it out, or train = ["denoiser"] (without adapt).'
            )
        latent = slot.contract().latent
        limit = denoiser.contract().max_latent if denoiser else None
        for number, table in enumerate(self.data):
            where = f"data[{number}] ({table.spec.name} {table.size})"
            if not latent.fits(table.size):
                near = " or ".join(map(str, latent.nearest(table.size)))
                image = table.size.frames == 1 < latent.padded(table.size).frames
                what = "takes no single images" if image else "cannot make this size"
                raise SizeError(f"{where}: the autoencoder {slot.spec.name!r} {what}; take {near}.")
            size = latent.latent_size(table.size)
            if denoiser and limit and any(a > b for a, b in zip(size, limit, strict=True)):
                most = latent.pixel_size(limit)
                raise SizeError(f"{where}: the denoiser {denoiser.spec.name!r} makes at most {most}.")
        return self


def _data_table(table: Any) -> DataTable:
    if not isinstance(table, Mapping):
        raise RecipeError("[[data]] is a list of tables, each with name and size.")
    own = {key: value for key, value in table.items() if key != "config"}
    parsed = DataConfig.from_dict(own)
    spec, fields = find("data_set", parsed.name), table.get("config", {})
    if not isinstance(fields, Mapping):
        raise RecipeError(f"data.config must be a table of fields, not {fields!r}.")
    return DataTable(parsed, spec, resolve(spec, None, None, fields))
