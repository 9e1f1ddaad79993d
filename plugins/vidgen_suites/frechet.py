"""The Frechet distance between two sets of videos, by the features of a timm model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from vidgen.errors import MissingDependencyError

__all__ = ["features_of", "frechet_distance", "make_features"]


def frechet_distance(one: Tensor, two: Tensor) -> float:
    """Return the squared Frechet (2-Wasserstein) distance of the Gaussians that fit two sets of features.

    Args:
        one: ``[n, D]``, at least two.
        two: ``[m, D]``.
    """
    first, second = one.double(), two.double()
    away = (first.mean(0) - second.mean(0)).square().sum()
    covariances = [values.T.cov() for values in (first, second)]
    # The trace of the root of a product is the sum of the roots of its eigenvalues, which are real and not negative.
    roots = torch.linalg.eigvals(covariances[0] @ covariances[1]).real.clamp(min=0).sqrt().sum()
    return float((away + covariances[0].trace() + covariances[1].trace() - 2 * roots).clamp(min=0))


def make_features(name: str, weights: str = "") -> nn.Module:
    """Make a timm model that returns features, with random weights (always the same) unless a file has others.

    Raises:
        MissingDependencyError: For a model that timm does not have.
    """
    import timm

    kept = torch.get_rng_state()
    torch.manual_seed(0)
    try:
        model = timm.create_model(name, pretrained=False, num_classes=0)
    except RuntimeError as problem:
        raise MissingDependencyError(f"timm has no model {name!r}: {problem}.") from problem
    finally:
        torch.set_rng_state(kept)
    if weights:
        from safetensors.torch import load_file

        path = Path(weights)
        tensors = load_file(path / "model.safetensors" if path.is_dir() else path)
        own = model.state_dict()
        model.load_state_dict({key: value for key, value in tensors.items() if key in own})
    return model.eval()


@torch.inference_mode()
def features_of(model: nn.Module, videos: Sequence[np.ndarray]) -> Tensor:
    """Return features ``[n, D]`` of uint8 videos ``[T, H, W, 3]``: those of the frames, averaged."""
    settings = getattr(model, "pretrained_cfg", {})
    mean, std = (torch.tensor(settings.get(key, (0.5, 0.5, 0.5)))[:, None, None] for key in ("mean", "std"))
    side = settings.get("input_size", (3, 224, 224))[-2:]
    found = []
    for video in videos:
        frames = rearrange(torch.from_numpy(np.array(video)), "t h w c -> t c h w").float() / 255
        frames = nn.functional.interpolate(frames, side, mode="bilinear", antialias=True)
        found.append(reduce(model((frames - mean) / std), "t d -> d", "mean"))
    return torch.stack(found)
