"""A training recipe: parts, how to train them, on what; checked before any work. No torch here."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vidgen.config import Config
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
from vidgen.train.settings import DataConfig, GivenConfig, TrainConfig

__all__ = ["DataConfig", "DataTable", "GivenConfig", "TrainConfig", "TrainRecipe"]


@dataclass(frozen=True, slots=True)
class DataTable:
    """A data table, its data set's spec and configuration, and a sample's tokens where `train.tokens` counts them."""

    table: DataConfig
    spec: ComponentSpec
    settings: Config
    tokens: int = 0

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
        return recipe.following().able().fitting().budgeted()

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
            batch = max(1, budget // tokens)
            return replace(table, table=table.table.replace(batch=batch), tokens=tokens)

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

    def able(self) -> TrainRecipe:
        """Return the recipe if its denoiser can do what ``[train]`` asks of it.

        Raises:
            ContractError: When it lacks an ability: to take given frames, to pack, to share tokens out.
            RecipeError: When what it is asked does not go together.
        """
        asked, denoiser = self.train, self.slots.get("denoiser")
        if denoiser is None:
            return self
        name, abilities = repr(denoiser.spec.name), denoiser.contract().abilities
        if asked.given.anything and not abilities & {"per_frame_time", "given"}:
            raise ContractError(
                f"train.given: the denoiser {name} takes no given frames (it has neither "
                "'per_frame_time' nor 'given'); leave the table out, and give frames when sampling all the same."
            )
        if asked.pack and "pack" not in abilities:
            raise ContractError(
                f"train.pack: the denoiser {name} takes one size at a time (it lacks 'pack'); leave it out: "
                "train.tokens alone fills a batch from one table."
            )
        if asked.sequence_parallel > 1 and "sequence_parallel" not in abilities:
            raise ContractError(
                f"train.sequence_parallel: the denoiser {name} cannot share its tokens out (it lacks "
                "'sequence_parallel'); leave it out."
            )
        if asked.pack and (self.adapt or (asked.given.anything and "given" in abilities)):
            what = "adapt" if self.adapt else "train.given, told beside the noise,"
            raise RecipeError(
                f"{what} takes one size at a time, so it does not go with train.pack; leave one out."
            )
        return self

    def fitting(self) -> TrainRecipe:
        """Return the recipe if its parts can make the sizes of its data.

        Raises:
            SizeError: When they cannot; names the table, the part and the sizes it can make.
            RecipeError: When texts are to be cached that a learning text encoder makes.
        """
        slot, denoiser = self.slots["autoencoder"], self.slots.get("denoiser")
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
