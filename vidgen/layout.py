"""Reading and writing the folders of other libraries: whole systems by the class names that stand in them.

A folder as diffusers writes it holds ``model_index.json``, which names the class of the pipeline and of each part,
and a folder a part. Which of our parts serve a class is known by plugins: components of the kinds ``pipeline_layout``
and ``scheduler_layout`` list the class names that they read. Nothing of such a folder is ever imported. No torch here.
"""

from __future__ import annotations

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidgen.config import Config, config
from vidgen.errors import CheckpointError, ConfigError, UnknownNameError, closest
from vidgen.parts import build
from vidgen.process import Prediction, ProcessSpec
from vidgen.published import read_fields
from vidgen.recipe import Recipe, Slot
from vidgen.registry import find, list_components
from vidgen.tensors import read_json

if TYPE_CHECKING:
    from vidgen.sampling.pipeline import Pipeline

__all__ = [
    "INDEX",
    "LayoutConfig",
    "PipelineLayout",
    "PublishedScheduler",
    "SchedulerLayout",
    "check_classes",
    "find_layout",
    "read_pipeline",
    "read_recipe",
    "read_scheduler",
    "write_part",
    "write_scheduler",
]

INDEX = "model_index.json"
"""What a folder of a whole system holds."""
BESIDE = ("image_processor", "scheduler", "tokenizer", "tokenizer_2")
"""Parts of one that are no networks; their classes are read by others."""


@config
class LayoutConfig(Config):
    """Which classes a layout reads.

    Attributes:
        classes: Names as they stand under ``_class_name``.
    """

    classes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedScheduler:
    """What a ``scheduler_config.json`` amounts to here, where the process belongs to the denoiser.

    Attributes:
        slot: Solver and grid.
        process: The process that the denoiser was trained on.
        prediction: What the denoiser's output means.
        inverted: The published denoiser is told 1 - t and gives the negative of its prediction (Mochi).
    """

    slot: Slot
    process: ProcessSpec
    prediction: Prediction
    inverted: bool = False


class SchedulerLayout(ABC):
    """Translates between a published sampler's settings and a solver, a process and a prediction.

    Args:
        config: The class names that it reads.
    """

    def __init__(self, config: LayoutConfig) -> None:
        self.config = config

    @abstractmethod
    def read(self, settings: Mapping[str, Any]) -> PublishedScheduler:
        """Translate a ``scheduler_config.json``, ``_class_name`` among its fields.

        Raises:
            ConfigError: For a setting that is not implemented; names it and its value.
        """

    def write(self, scheduler: PublishedScheduler) -> dict[str, Any] | None:
        """Return the ``scheduler_config.json`` that `read` gives `scheduler` for; None where there is none.

        Raises:
            ConfigError: Instead of None, where the layout can say which settings would have to change.
        """
        return None


class PipelineLayout(ABC):
    """Translates between another library's folder of a whole system and a recipe.

    Args:
        config: The class names that it reads.
    """

    def __init__(self, config: LayoutConfig) -> None:
        self.config = config

    @abstractmethod
    def read(self, folder: Path, index: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a folder; weights are named by their folders and not read yet.

        Args:
            folder: Holds ``model_index.json``.
            index: What stands in that file.

        Raises:
            CheckpointError: For a folder that is not whole.
            ConfigError: For settings that are not implemented.
        """

    def write(self, pipe: Pipeline, folder: Path) -> bool:
        """Write a pipeline into a new folder that `read` reads; False where its parts are not of this layout."""
        return False


def find_layout(kind: str, class_name: str) -> Any:
    """Return the layout that reads a class.

    Args:
        kind: ``pipeline_layout`` or ``scheduler_layout``.
        class_name: As in ``_class_name``.

    Raises:
        UnknownNameError: When no plugin reads it; says which classes are read.
    """
    readers = {
        one: name
        for name in list_components(kind)
        for one in getattr(find(kind, name).preset(), "classes", ())
    }
    if class_name not in readers:
        what = kind.removesuffix("_layout")
        raise UnknownNameError(
            f"No plugin reads the {what} class {class_name!r}.{closest(class_name, readers)} "
            f"Read are: {', '.join(sorted(readers)) or 'none'}."
        )
    spec = find(kind, readers[class_name])
    return build(spec, spec.preset())


def read_pipeline(folder: str | Path) -> Recipe:
    """Return the recipe of a folder with a ``model_index.json``; reads no weights.

    Raises:
        CheckpointError: When it is missing or damaged.
        UnknownNameError: For a class that no plugin reads.
        ConfigError: For settings that are not implemented.
    """
    folder = Path(folder)
    index = read_json(folder / INDEX)
    name = index.get("_class_name")
    if not isinstance(name, str):
        raise CheckpointError(
            f"{folder / INDEX} names no class (_class_name); it is no folder of a pipeline."
        )
    layout: PipelineLayout = find_layout("pipeline_layout", name)
    return read_fields(folder / INDEX, index, lambda fields: layout.read(folder, fields))


def read_recipe(path: str | Path) -> Recipe:
    """Read a recipe: a TOML or JSON file, the folder of a pipeline, or a folder with a ``model_index.json``.

    Raises:
        RecipeError: When there is none, or it is malformed.
        CheckpointError: For a folder of another library that is not complete.
        UnknownNameError: For a class that no plugin reads.
    """
    return read_pipeline(path) if (Path(path) / INDEX).exists() else Recipe.load(path)


def read_scheduler(folder: str | Path) -> PublishedScheduler:
    """Translate the ``scheduler_config.json`` of a folder.

    Raises:
        CheckpointError: When it is missing or damaged.
        UnknownNameError: For a class that no plugin reads.
        ConfigError: For settings that are not implemented.
    """
    path = Path(folder) / "scheduler_config.json"
    settings = read_json(path)
    layout: SchedulerLayout = find_layout("scheduler_layout", str(settings.get("_class_name")))
    return read_fields(path, settings, layout.read)


def check_classes(folder: Path, index: Mapping[str, Any], classes: Mapping[str, Collection[str]]) -> None:
    """Refuse a folder of which a part is missing, or of a class that its layout does not read.

    A part that nobody knows is warned of.

    Args:
        folder: Holds ``model_index.json``.
        index: What stands in it: by name of a part its library and class, or two times None.
        classes: The classes that are read, by name of a part.

    Raises:
        CheckpointError: For a part without a folder.
        UnknownNameError: For a class that is not read.
    """
    for name, entry in index.items():
        if name.startswith("_") or not isinstance(entry, (list, tuple)) or len(entry) != 2 or not entry[1]:
            continue
        if name not in classes and name not in BESIDE:
            warnings.warn(
                f"{folder / INDEX}: {name} ({entry[1]}) is not read; what it does is left out.", stacklevel=4
            )
        elif not (folder / name).is_dir():
            raise CheckpointError(
                f"{folder} lacks the folder {name!r} that its {INDEX} names: "
                "the download is not complete; fetch it again."
            )
        if name in classes and entry[1] not in classes[name]:
            raise UnknownNameError(
                f"{folder / INDEX}: {name} is of the class {entry[1]!r}, which is not read in a "
                f"{index.get('_class_name')}; read is: {', '.join(classes[name])}."
            )


def write_part(part: Any, folder: Path, file: str) -> None:
    """Write a part in its published layout: ``config.json`` and one safetensors file.

    Raises:
        ConfigError: For a part that knows no published fields.
    """
    from safetensors.torch import save_file

    if not hasattr(part.config, "to_published"):
        raise ConfigError(f"{type(part).__name__} cannot be written in a published layout.")
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(part.config.to_published(), indent=2) + "\n")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in part.state_dict().items()}
    save_file(tensors, folder / file, metadata={"format": "pt"})


def write_scheduler(scheduler: PublishedScheduler, folder: Path) -> str:
    """Write a ``scheduler_config.json`` into a new folder and return its class.

    Raises:
        ConfigError: When no layout has a sampler that does the same.
    """
    refused: ConfigError | None = None
    for name in list_components("scheduler_layout"):
        spec = find("scheduler_layout", name)
        try:
            settings = build(spec, spec.preset()).write(scheduler)
        except ConfigError as problem:
            refused, settings = problem, None
        if settings is not None:
            folder.mkdir(parents=True)
            (folder / "scheduler_config.json").write_text(json.dumps(settings, indent=2) + "\n")
            return str(settings["_class_name"])
    raise refused or ConfigError(
        f"No published sampler does what {scheduler.slot.spec.name!r} does; choose another scheduler."
    )
