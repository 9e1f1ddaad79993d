"""Features of videos: frame by frame by a timm model, or of whole clips by a video model of torchvision."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from vidgen.errors import CheckpointError, ConfigError, closest
from vidgen.hub import only_cached_when_unreachable
from vidgen_suites.weights import read_tensors

__all__ = ["Features"]

HEADS = ("fc", "head", "classifier")
"""What a video model of torchvision ends in."""
Three = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Network:
    """A network without its head, and what it wants to see.

    Attributes:
        model: To features ``[n, D]``.
        size: Height and width.
        mean: Of the colours, subtracted.
        std: Of the colours, divided by.
        clips: It takes whole clips ``[n, 3, T, H, W]``, not pictures ``[n, 3, H, W]``.
        least: Frames of a clip at least; fewer are repeated evenly.
        fixed: It takes exactly `least` frames, picked evenly.
    """

    model: nn.Module
    size: tuple[int, int]
    mean: Three
    std: Three
    clips: bool = False
    least: int = 1
    fixed: bool = False


class Features:
    """Features of videos by any model of timm (averaged over the frames) or of torchvision.models.video (whole clips).

    Frames are scaled to the model's size whole: nothing is cut off.

    Args:
        name: Such as ``resnet50``, ``vit_small_patch14_dinov2``, ``r3d_18``, ``mvit_v2_s``, ``swin3d_t``.
        weights: A file or a folder with one, or a tag of the model's, such as timm's ``lvd142m`` and torchvision's
            ``KINETICS400_V1`` (``default`` is the model's own); empty for random weights, always the same.
        device: Where it computes.

    Raises:
        ConfigError: For a model or a tag that neither knows.
        CheckpointError: For weights that cannot be had, or are of another model.
    """

    def __init__(self, name: str, weights: str = "", device: torch.device | str = "cpu") -> None:
        import torchvision

        video = torchvision.models.list_models(module=torchvision.models.video)
        self.device = device
        self.label = f"{name}, {Path(weights).name or 'random features'}"
        with _seeded():
            self.network = (_of_clips if name in video else _of_frames)(name, weights)
        self.network.model.to(device).eval()

    @torch.inference_mode()
    def __call__(self, videos: Sequence[np.ndarray]) -> Tensor:
        """Return ``[n, D]`` of uint8 videos ``[T, H, W, 3]``."""
        return torch.stack([self._of(video) for video in videos])

    def _of(self, video: np.ndarray) -> Tensor:
        network = self.network
        if network.clips and (network.fixed or len(video) < network.least):
            video = video[np.linspace(0, len(video) - 1, network.least).round().astype(int)]
        mean, std = (torch.tensor(one)[:, None, None] for one in (network.mean, network.std))
        frames = rearrange(torch.from_numpy(np.array(video)), "t h w c -> t c h w").float() / 255
        frames = nn.functional.interpolate(frames, network.size, mode="bilinear", antialias=True)
        frames = ((frames - mean) / std).to(self.device)
        if network.clips:
            return network.model(rearrange(frames, "t c h w -> 1 c t h w"))[0]
        return reduce(network.model(frames), "t d -> d", "mean")


def _of_frames(name: str, weights: str) -> Network:
    import timm

    file = Path(weights) if weights and Path(weights).exists() else None
    tag = "" if file or weights == "default" else weights
    if not timm.is_model(name):
        raise ConfigError(
            f"Neither timm nor torchvision.models.video has a model {name!r}.{closest(name, timm.list_models())}"
        )
    tags = [one.partition(".")[2] for one in timm.list_pretrained(f"{name.partition('.')[0]}.*")]
    if tag and tag not in tags:
        raise ConfigError(
            f"timm has no weights {tag!r} for {name}, nor is it a file.{closest(tag, tags)} "
            f"Tags: {', '.join(tags) or 'none'}."
        )
    with _said(name, weights):
        full = f"{name.partition('.')[0]}.{tag}" if tag else name
        model: Any = timm.create_model(full, pretrained=bool(weights and not file), num_classes=0)
    if file:
        _load(model, file)
    settings = model.pretrained_cfg
    return Network(model, tuple(settings["input_size"][-2:]), settings["mean"], settings["std"])


def _of_clips(name: str, weights: str) -> Network:
    import torchvision

    file = Path(weights) if weights and Path(weights).exists() else None
    known: Any = torchvision.models.get_model_weights(name)
    tags = [one.name for one in known]
    model = torchvision.models.get_model(name, weights=None)
    if weights and not file:
        if weights != "default" and weights not in tags:
            raise ConfigError(
                f"torchvision has no weights {weights!r} for {name}, nor is it a file.{closest(weights, tags)} "
                f"Tags: {', '.join(tags)}."
            )
        chosen = known.DEFAULT if weights == "default" else known[weights]
        with _said(name, weights):
            model.load_state_dict(chosen.get_state_dict(progress=False, check_hash=True, weights_only=True))
    for head in HEADS:
        if hasattr(model, head):
            setattr(model, head, nn.Identity())
    if file:
        _load(model, file)
    wants, facts = known.DEFAULT.transforms(), known.DEFAULT.meta
    size = (wants.crop_size[0], wants.crop_size[-1])
    least, fixed = facts.get("min_temporal_size", 1), hasattr(model, "pos_encoding")
    return Network(model, size, tuple(wants.mean), tuple(wants.std), True, least, fixed)


def _load(model: nn.Module, file: Path) -> None:
    """Load what the model has; the head of the file is left."""
    own, tensors = model.state_dict(), read_tensors(file)
    wrong = [name for name in own if name not in tensors or tensors[name].shape != own[name].shape]
    if wrong:
        raise CheckpointError(f"{file} lacks {wrong[0]} of this shape: it is of another model.")
    model.load_state_dict({name: tensors[name] for name in own})


@contextlib.contextmanager
def _seeded() -> Iterator[None]:
    """Make random weights the same whenever they are made."""
    kept = torch.get_rng_state()
    torch.manual_seed(0)
    try:
        yield
    finally:
        torch.set_rng_state(kept)


@contextlib.contextmanager
def _said(name: str, weights: str) -> Iterator[None]:
    """Say in one line why weights cannot be fetched; without network only the cache is looked into."""
    try:
        with only_cached_when_unreachable():
            yield
    except Exception as problem:  # a hub's client, a web server or a hash: each raises its own
        line = next(iter(str(problem).splitlines()), type(problem).__name__)
        raise CheckpointError(
            f"{name}: the weights {weights or 'that it starts from'!r} are not in the cache and cannot be fetched "
            f"({line}); name a file, or fetch them once online."
        ) from problem
