"""LPIPS: how different two pictures look, by what an ImageNet network sees in them.

Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", 2018. The computation and the
linear weights (version 0.1) are torchmetrics'; the network's weights come from a file.
"""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from vidgen.errors import CheckpointError, SizeError
from vidgen_suites.weights import read_tensors

__all__ = ["Lpips"]

SMALLEST = 32
"""Pixels: below, the networks have nothing left to pool."""
FRAMES_AT_ONCE = 8
Name = Literal["alex", "squeeze", "vgg"]


class Lpips:
    """The mean LPIPS of the frames of two videos: 0 for equal ones, the less the more alike.

    Args:
        weights: A file, or a folder with one: AlexNet, VGG16 or SqueezeNet 1.1 as torchvision publishes it
            (``features.0.weight``; which one, the tensors tell), or a whole LPIPS network with its linear weights
            (``net.slice1.0.weight``, ``lin0.model.1.weight``). Linear weights that it lacks are the published ones.
        device: Where it computes.

    Raises:
        CheckpointError: For a file that cannot be read or holds none of these.
    """

    def __init__(self, weights: str, device: torch.device | str = "cpu") -> None:
        from torchmetrics.functional.image import lpips

        tensors = {_plain(name): tensor for name, tensor in read_tensors(weights).items()}
        self.name = _network(tensors, weights)
        model = lpips._LPIPS(net=self.name, pretrained=True, pnet_rand=True)  # pnet_rand: nothing is fetched
        features = {key: _plain(key) for key in model.state_dict() if key.startswith("net.")}
        linear = {key: key for key in model.state_dict() if re.match(r"lin\d", key) and key in tensors}
        _load(model, {own: tensors.get(name) for own, name in {**features, **linear}.items()}, weights)
        self.model: nn.Module = model.to(device)
        self.device = device

    @torch.inference_mode()
    def __call__(self, made: np.ndarray, clip: np.ndarray) -> float:
        """Compare two videos.

        Args:
            made: uint8 ``[T, H, W, 3]``, at least 32x32 pixels.
            clip: Likewise.

        Raises:
            SizeError: For smaller frames.
        """
        if min(made.shape[1:3]) < SMALLEST:
            height, width = made.shape[1:3]
            raise SizeError(
                f"LPIPS needs frames of at least {SMALLEST}x{SMALLEST} pixels, not {height}x{width}; "
                "leave lpips_weights out."
            )
        found = []
        for begin in range(0, len(made), FRAMES_AT_ONCE):
            pair = (_frames(video[begin : begin + FRAMES_AT_ONCE]).to(self.device) for video in (made, clip))
            found.append(self.model(*pair).flatten())
        return float(torch.cat(found).mean())


def _frames(video: np.ndarray) -> Tensor:
    """Return ``[T, 3, H, W]`` in [-1, 1]."""
    return rearrange(torch.from_numpy(np.array(video)), "t h w c -> t c h w").float() / 127.5 - 1


def _plain(name: str) -> str:
    """Return torchvision's name of a tensor: LPIPS networks cut the same layers into slices."""
    return re.sub(r"^net\.slices?\.?\d+\.", "features.", name)


def _network(tensors: dict[str, Tensor], weights: str) -> Name:
    """Return which network's weights these are."""
    if any(".squeeze." in name for name in tensors):
        return "squeeze"
    first = tensors.get("features.0.weight")
    shapes: dict[tuple[int, ...], Name] = {(64, 3, 11, 11): "alex", (64, 3, 3, 3): "vgg"}
    name = shapes.get(tuple(first.shape)) if first is not None else None
    if name is None:
        raise CheckpointError(
            f"{weights} holds none of the networks of LPIPS: AlexNet, VGG16 or SqueezeNet 1.1 as torchvision "
            "publishes them."
        )
    return name


def _load(model: nn.Module, tensors: dict[str, Tensor | None], weights: str) -> None:
    own = model.state_dict()
    for name, tensor in tensors.items():
        if tensor is None or tensor.shape != own[name].shape:
            what = "lacks" if tensor is None else "has another shape for"
            raise CheckpointError(f"{weights} {what} {_plain(name)}: it is no whole network of LPIPS.")
    model.load_state_dict(tensors, strict=False)
