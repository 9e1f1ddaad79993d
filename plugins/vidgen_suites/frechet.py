"""The Frechet distance between two sets of videos, by features of a network."""

from __future__ import annotations

from torch import Tensor, nn

__all__ = ["frechet_distance"]


class Given(nn.Module):
    """Features in place of pictures, for a metric that wants a network.

    Args:
        width: D of them.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_features = width

    def forward(self, features: Tensor) -> Tensor:
        """Return them as they are."""
        return features


def frechet_distance(one: Tensor, two: Tensor) -> float:
    """Return the squared Frechet (2-Wasserstein) distance of the Gaussians that fit two sets of features.

    The formula is torchmetrics', in double precision.

    Args:
        one: ``[n, D]``, at least two.
        two: ``[m, D]``.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=Given(one.shape[-1])).to(one.device)
    # About their common mean: the metric subtracts squares of means, which cancel where features are far from zero.
    centre = one.double().mean(0)
    metric.update(one.double() - centre, real=True)
    metric.update(two.double() - centre, real=False)
    return max(0.0, float(metric.compute()))
