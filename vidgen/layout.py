"""Reading and writing the folders of other libraries: whole systems by the class names that stand in them.

A folder as diffusers writes it holds ``model_index.json``, which names the class of the pipeline and of each part, and a
folder a part. Which of our parts serve a class is known by plugins: components of the kinds ``pipeline_layout`` and
``scheduler_layout`` list the class names that they read. Nothing of such a folder is ever imported. No torch here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidgen.config import Config, config
from vidgen.errors import CheckpointError, UnknownNameError, closest
from vidgen.parts import build
from vidgen.process import Prediction, ProcessSpec
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
    "find_layout",
    "read_pipeline",
    "read_scheduler",
]

INDEX = "model_index.json"
"""What a folder of a whole system holds."""


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
    """

    slot: Slot
    process: ProcessSpec
    prediction: Prediction


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
        """Return the ``scheduler_config.json`` that `read` gives `scheduler` for; None where there is none."""
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
    return layout.read(folder, index)


def read_scheduler(folder: str | Path) -> PublishedScheduler:
    """Translate the ``scheduler_config.json`` of a folder.

    Raises:
        CheckpointError: When it is missing or damaged.
        UnknownNameError: For a class that no plugin reads.
        ConfigError: For settings that are not implemented.
    """
    settings = read_json(Path(folder) / "scheduler_config.json")
    layout: SchedulerLayout = find_layout("scheduler_layout", str(settings.get("_class_name")))
    return layout.read(settings)
