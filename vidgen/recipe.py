"""A recipe: four slots with their configurations, a whole system as data. Checked without importing torch."""

from __future__ import annotations

import json
import math
import textwrap
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vidgen.checkpoint import FORMAT_VERSION
from vidgen.config import Config, config, require
from vidgen.contract import Contracts, DenoiserConfig, Problem, Status, find_problems, must_train
from vidgen.errors import ContractError, RecipeError, VidgenError, closest
from vidgen.parts import Address, choice_table, resolve, spec_of
from vidgen.registry import find, list_components
from vidgen.size import Size
from vidgen.spec import INTERFACES, ComponentSpec
from vidgen.trained import trained_config

__all__ = [
    "Recipe",
    "Sampling",
    "Slot",
    "check",
    "check_format",
    "default_sampling",
    "nearest_size",
    "read_flags",
    "read_guidance",
    "read_tables",
]

FLAGS = ("foreign", "adapt")
"""What a recipe may allow its parts; see `Recipe`."""


@config
class Sampling(Config):
    """Defaults of a pipeline's call.

    Attributes:
        frames: Frames of a video.
        height: Pixels.
        width: Pixels.
        fps: Frames a second.
        steps: Solver steps.
        guidance: Scale of classifier-free guidance (1 is none), or a guider: its name, or a table with name and fields.
        guidance_embed: Scale that the denoiser itself is told, for those with that ability; None leaves it to them.
        refiner: What prompts are rewritten by: a prompt refiner's name, or a table with name and fields.
    """

    frames: int = 17
    height: int = 64
    width: int = 64
    fps: float = 16.0
    steps: int = 20
    guidance: Any = 3.0
    guidance_embed: float | None = None
    refiner: Any = None

    def validate(self) -> None:
        """Check ranges."""
        for name in ("frames", "height", "width", "steps"):
            require(
                getattr(self, name) >= 1, f"Sampling.{name} must be at least 1, not {getattr(self, name)}."
            )
        require(self.fps > 0, f"Sampling.fps must be positive, not {self.fps}.")
        object.__setattr__(self, "guidance", read_guidance(self.guidance, "Sampling.guidance"))
        if self.refiner is not None:
            object.__setattr__(self, "refiner", choice_table("prompt_refiner", self.refiner))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` reads back equal; TOML has no null, so None is left out."""
        return {name: value for name, value in Config.to_dict(self).items() if value is not None}

    @property
    def size(self) -> Size:
        """Frames x height x width."""
        return Size(self.frames, self.height, self.width)


@dataclass(frozen=True, slots=True)
class Slot:
    """One part of a recipe.

    Attributes:
        spec: Which part.
        config: Its configuration, whole.
        weights: Where its weights come from; None for random ones.
        told: Fields that weights in a published layout cannot know, such as the space that a denoiser was trained on.
    """

    spec: ComponentSpec
    config: Config
    weights: str | None = None
    told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trained(self) -> bool:
        """Whether it comes with weights: from `weights`, or from a source that its configuration names."""
        return self.weights is not None or bool(getattr(self.config, "pretrained", False))

    @classmethod
    def read(cls, kind: str, value: Any) -> Slot:
        """Read ``"name/preset@weights"``, a table with name, preset, weights and config, or a configuration.

        Raises:
            RecipeError: For a table with unknown keys or without a name.
        """
        if isinstance(value, Slot):
            return value
        if isinstance(value, str):
            value = {"name": value}
        if isinstance(value, Config):
            return cls(spec_of(kind, value), value)
        if not isinstance(value, Mapping) or "name" not in value:
            what = textwrap.shorten(repr(value), 60)
            raise RecipeError(
                f"{kind} must be a name or a table with a name, a configuration or a part that has one, not {what}."
            )
        known = ("name", "preset", "weights", "config")
        for key in value:
            if key not in known:
                raise RecipeError(
                    f"{kind} has no key {key!r}.{closest(key, known)} Keys: {', '.join(known)}."
                )
        for key in ("name", "preset", "weights"):
            if key in value and not isinstance(value[key], (str, Path)):
                raise RecipeError(f"{kind}: {key} must be a word in quotes, not {value[key]!r}.")
        if not isinstance(value.get("config", {}), Mapping):
            raise RecipeError(f"{kind}: config must be a table of fields, not {value['config']!r}.")
        address = Address.parse(str(value["name"]))
        spec = find(kind, address.name)
        weights = value.get("weights", address.weights)
        preset, fields = value.get("preset", address.preset), value.get("config", {})
        if weights is not None:
            if preset:
                raise RecipeError(
                    f"{kind} {spec.name!r}: weights bring their own configuration; leave preset and config."
                )
            return cls(spec, trained_config(spec, weights, fields), str(weights), fields)
        return cls(spec, resolve(spec, preset, None, fields))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `read` understands."""
        if self.weights is not None:
            known = {"config": dict(self.told)} if self.told else {}
            return {"name": self.spec.name, "weights": self.weights, **known}
        # TOML has no null: a field left out takes the value of the preset, so one is named in which it is None.
        plain = self.config.to_dict()
        empty = [name for name, value in plain.items() if value is None]
        fields = {name: value for name, value in plain.items() if value is not None}
        for preset in (None, *self.spec.presets):
            base = self.spec.preset(preset)
            if all(getattr(base, name) is None for name in empty):
                named = {} if preset is None else {"preset": preset}
                return {"name": self.spec.name, **named, "config": fields}
        what = ", ".join(empty)
        raise RecipeError(
            f"{self.spec.kind} {self.spec.name!r}: no preset leaves {what} open, so TOML cannot say it."
        )

    def contract(self) -> Any:
        """Return what the part declares.

        Raises:
            ContractError: When it cannot be read.
        """
        try:
            return self.config.contract()  # type: ignore[attr-defined]
        except VidgenError:
            raise
        except Exception as problem:  # a stranger's may raise anything
            raise ContractError(
                f"{self.spec.kind} {self.spec.name!r} declares no contract: {problem}"
            ) from problem


@dataclass(frozen=True, slots=True)
class Recipe:
    """A whole system as data.

    Attributes:
        autoencoder: Pixels to latents.
        denoiser: The backbone.
        text_encoder: Prompts to tokens.
        scheduler: Solver and grid.
        sampling: Defaults of a call.
        foreign: Trained parts may meet spaces that they do not know.
        adapt: Trainable projections bridge different channels and widths.
    """

    autoencoder: Slot
    denoiser: Slot
    text_encoder: Slot
    scheduler: Slot
    sampling: Sampling = field(default_factory=Sampling)
    foreign: bool = False
    adapt: bool = False

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """Read ``{"autoencoder": name or table, ...}``.

        Raises:
            RecipeError: For unknown keys and missing parts.
        """
        known = (*INTERFACES, "sampling", "format_version", *FLAGS)
        for key in data:
            if key not in known:
                raise RecipeError(
                    f"A recipe has no {key!r}.{closest(str(key), known)} Keys: {', '.join(known)}."
                )
        missing = [kind for kind in INTERFACES if kind not in data]
        if missing:
            raise RecipeError(
                f"The recipe lacks {' and '.join(missing)}; `vidgen list {missing[0]}` shows what there is."
            )
        check_format(data)
        slots: dict[str, Any] = {kind: Slot.read(kind, data[kind]) for kind in INTERFACES}
        flags: dict[str, Any] = read_flags(data)
        sampling = default_sampling(data.get("sampling", {}), slots["autoencoder"], slots["denoiser"])
        return cls(**slots, sampling=sampling, **flags)

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a TOML or JSON file, or the one in a pipeline's folder; weights may be named relative to it.

        Tables for training (``train``, ``data``) are left aside.
        """
        path = Path(path)
        folder = path if path.is_dir() else path.parent
        tables = {key: value for key, value in read_tables(path).items() if key not in ("train", "data")}
        for kind, slot in tables.items():
            weights = slot.get("weights") if isinstance(slot, dict) else None
            if isinstance(weights, str) and weights not in list_components("pretrained"):
                beside = folder / weights
                tables[kind] = {**slot, "weights": str(beside if beside.is_dir() else weights)}
        return cls.from_dict(tables)

    def slot(self, kind: str) -> Slot:
        """Return the slot of a kind."""
        return getattr(self, kind)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `from_dict` reads back."""
        slots = {kind: self.slot(kind).to_dict() for kind in INTERFACES}
        flags = {name: True for name in FLAGS if getattr(self, name)}
        return {"format_version": FORMAT_VERSION, **flags, **slots, "sampling": self.sampling.to_dict()}

    def contracts(self) -> Contracts:
        """Return what the four parts declare."""
        parts = {kind: self.slot(kind).contract() for kind in INTERFACES}
        return Contracts(**parts, names={kind: self.slot(kind).spec.name for kind in INTERFACES})

    def problems(self) -> list[Problem]:
        """Return why the parts cannot run together; empty when they fit."""
        return find_problems(self.contracts(), foreign=self.foreign, adapt=self.adapt)

    def status(self) -> Status:
        """Return what this combination is: native, must be trained, or refused."""
        if self.problems():
            return "refused"
        random = [kind for kind in INTERFACES[:3] if not self.slot(kind).trained]
        return "must be trained" if must_train(self.contracts(), random=random) else "native"

    def following(self) -> Recipe:
        """Return the recipe with everything filled that the denoiser takes from its neighbours."""
        settings = self.denoiser.config
        if not isinstance(settings, DenoiserConfig):
            return self
        contracts = self.contracts()
        filled = settings.follow(contracts.autoencoder.latent, contracts.text_encoder.text)
        return replace(self, denoiser=replace(self.denoiser, config=filled))


def default_sampling(given: Mapping[str, Any], autoencoder: Slot, denoiser: Slot) -> Sampling:
    """Read the defaults of a call; sides of the video that are left out become such as the parts can make."""
    size = nearest_size(Sampling.from_dict(given).size, autoencoder, denoiser)
    return Sampling.from_dict({**size._asdict(), **given})


def nearest_size(size: Size, autoencoder: Slot, denoiser: Slot) -> Size:
    """Return the size itself if the parts can make it, else the next smaller one that they can."""
    latent, most = autoencoder.contract().latent, denoiser.contract().max_latent
    near = latent.nearest(size)[-1]
    return near if most is None else Size(*map(min, near, latent.pixel_size(most)))


def read_guidance(value: Any, where: str) -> Any:
    """Return what says how to guide as plain data: a scale, or a guider's table of a name and fields.

    Raises:
        ConfigError: For a scale that is not finite, and for what names no guider.
    """
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return choice_table("guider", value)
    require(math.isfinite(value), f"{where} must be finite, not {value}.")
    return float(value)


def check_format(data: Mapping[str, Any]) -> None:
    """Refuse a recipe of a newer format, or with a format that is no number."""
    version = data.get("format_version", FORMAT_VERSION)
    if not isinstance(version, int) or isinstance(version, bool):
        raise RecipeError(f"format_version is a number such as {FORMAT_VERSION}, not {version!r}.")
    if version > FORMAT_VERSION:
        raise RecipeError(f"The recipe has format {version}, newer than {FORMAT_VERSION}: upgrade vidgen.")


def read_flags(data: Mapping[str, Any]) -> dict[str, bool]:
    """Return the `FLAGS` of a recipe; refuses what is neither true nor false."""
    flags = {name: data.get(name, False) for name in FLAGS}
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise RecipeError(f"{name} is true or false, not {value!r}.")
    return flags


def read_tables(path: str | Path) -> dict[str, Any]:
    """Read a TOML or JSON file as plain data.

    Raises:
        RecipeError: When it is missing, of another kind, or malformed (with the place).
    """
    path = Path(path)
    if path.is_dir():
        path = path / "recipe.toml"
    elif not path.suffix and not path.exists():
        raise RecipeError(f"There is no folder or recipe {path}.")
    if path.suffix not in (".toml", ".json"):
        raise RecipeError(f"A recipe is a .toml or .json file, not {path.name!r}.")
    try:
        text = path.read_text()
        data = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except FileNotFoundError:
        raise RecipeError(f"There is no recipe {path}.") from None
    except (OSError, ValueError) as problem:
        raise RecipeError(f"{path} cannot be read: {problem}.") from problem
    if not isinstance(data, dict):
        raise RecipeError(f"{path} must hold tables, not {type(data).__name__}.")
    return data


def check(recipe: Recipe | str | Path | Mapping[str, Any]) -> list[Problem]:
    """Return why the parts of a recipe do not fit; an empty list when they do. Imports no torch.

    Args:
        recipe: A `Recipe`, a path, or ``{"autoencoder": name, "denoiser": name, ...}``.
    """
    if isinstance(recipe, (str, Path)):
        recipe = Recipe.load(recipe)
    elif not isinstance(recipe, Recipe):
        recipe = Recipe.from_dict(recipe)
    return recipe.problems()
