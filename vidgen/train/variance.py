"""The bound that trains a learned variance, https://arxiv.org/abs/2102.09672.

A denoiser with a learned variance says where between its two bounds the variance of a step lies: at the posterior's,
which is exact when the clean sample is known, or at the forward step's. The bound is the divergence between the true
step backward and the predicted one; the predicted mean is held still, so that only the variance learns from it.
"""

from __future__ import annotations

import math

from torch import Tensor

from vidgen.errors import ContractError
from vidgen.process import Process

__all__ = ["variance_bound"]


def variance_bound(
    process: Process, clean: Tensor, estimate: Tensor, x: Tensor, raw: Tensor, t: Tensor
) -> Tensor:
    """Return the divergence of one table step backward from t, in bits, ``[B]``: the mean over a sample.

    Args:
        process: A variance-preserving table.
        clean: The clean latents ``[B, C, t, h, w]``.
        estimate: The denoiser's estimate of them; no gradient flows into it.
        x: The noisy latents.
        raw: The learned variance: -1 for the posterior's, 1 for the forward step's, between them in the logarithm.
        t: ``[B]`` in (0, 1]. Within the first two steps of the table the second one's posterior variance holds, as
            published, since the first one's is 0.

    Raises:
        ContractError: For a process without a table of steps.
    """
    if process.spec.family == "rectified-flow" or process.spec.clean_scale:
        raise ContractError(
            "A learned variance is trained on a variance-preserving table without a clean scale."
        )
    step = float(process.index_to_time(0))
    shape = (-1, 1, 1, 1, 1)

    def bars(time: Tensor) -> Tensor:
        return process.alpha_sigma(time.cpu())[0].square().reshape(shape).to(x.device)

    def variances(time: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        here, there = bars(time), bars((time - step).clamp(min=0))
        forward = 1 - here / there
        return here, there, forward, forward * (1 - there) / (1 - here)

    here, there, forward, _ = variances(t.double())
    _, _, _, posterior = variances(t.double().clamp(min=2 * step))
    to_clean = there.sqrt() * forward / (1 - here)
    low, high = posterior.log(), forward.log().clamp(min=math.log(1e-20))
    difference = to_clean * (clean.double() - estimate.detach().double())
    part = (raw.double() + 1) / 2
    log_variance = part * high + (1 - part) * low
    divergence = 0.5 * (
        -1 + log_variance - low + (low - log_variance).exp() + difference.square() * (-log_variance).exp()
    )
    return divergence.flatten(1).mean(dim=1).float() / math.log(2)
