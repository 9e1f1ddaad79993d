"""The bound of a learned variance: equal to the divergence written out, least where the truth is, blind to the mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import vidgen
from vidgen.errors import ContractError
from vidgen.process import Process, ProcessSpec
from vidgen.train.config import TrainConfig
from vidgen.train.objectives import DenoiserObjective
from vidgen.train.variance import variance_bound

PROCESS = Process(ProcessSpec(family="vp-linear"))
BETAS = np.linspace(1e-4, 2e-2, 1000)
BARS = np.cumprod(1 - BETAS)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("index", [1, 10, 500, 999])
def test_it_is_the_divergence_of_two_gaussians(index):
    """From DDPM's own coefficients, through torch's normal distributions."""
    clean, estimate, x, raw = (draw(2, 1, 1, 2, 2, seed=seed) for seed in range(4))
    raw = raw.tanh()
    bar, before, beta = BARS[index], BARS[index - 1], BETAS[index]
    posterior = beta * (1 - before) / (1 - bar)
    c0, ct = math.sqrt(before) * beta / (1 - bar), math.sqrt(1 - beta) * (1 - before) / (1 - bar)
    part = (raw.double() + 1) / 2
    std = (0.5 * (part * math.log(beta) + (1 - part) * math.log(posterior))).exp()
    truth = torch.distributions.Normal(c0 * clean.double() + ct * x.double(), math.sqrt(posterior))
    guess = torch.distributions.Normal(c0 * estimate.double() + ct * x.double(), std)
    expected = torch.distributions.kl_divergence(truth, guess).flatten(1).mean(dim=1) / math.log(2)
    time = PROCESS.index_to_time(torch.tensor([index, index]))
    found = variance_bound(PROCESS, clean, estimate, x, raw, time)
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)


def test_a_known_clean_sample_wants_the_posterior_variance():
    clean, x = draw(1, 1, 1, 2, 2), draw(1, 1, 1, 2, 2, seed=1)
    time = torch.tensor([0.4])
    bounds = [
        float(variance_bound(PROCESS, clean, clean, x, torch.full_like(clean, raw), time))
        for raw in (-1.0, -0.5, 0.5, 1.0)
    ]
    assert bounds[0] == pytest.approx(0, abs=1e-6)
    assert bounds == sorted(bounds)


def test_only_the_variance_learns_from_it():
    clean, x = draw(1, 1, 1, 2, 2), draw(1, 1, 1, 2, 2, seed=1)
    estimate, raw = (draw(1, 1, 1, 2, 2, seed=seed).requires_grad_() for seed in (2, 3))
    variance_bound(PROCESS, clean, estimate, x, raw, torch.tensor([0.7])).sum().backward()
    assert estimate.grad is None
    assert raw.grad is not None
    assert raw.grad.abs().min() > 0


@pytest.mark.parametrize("time", [1e-6, 0.0005, 0.001, 0.0015, 1.0])
def test_it_is_finite_at_both_ends(time):
    clean, x, raw = (draw(1, 1, 1, 2, 2, seed=seed) for seed in range(3))
    assert torch.isfinite(variance_bound(PROCESS, clean, x, x, raw, torch.tensor([time]))).all()


def test_a_process_without_a_table_is_refused():
    flow = Process(ProcessSpec())
    with pytest.raises(ContractError, match="table"):
        variance_bound(flow, *(draw(1, 1, 1, 2, 2),) * 4, torch.tensor([0.5]))


def test_a_denoiser_with_a_learned_variance_trains_both():
    denoiser = vidgen.create("denoiser", "latte/tiny", latent_channels=4, text_width=64)
    with torch.no_grad():
        for value in denoiser.parameters():
            value.add_(0.05 * torch.randn(value.shape, generator=torch.Generator().manual_seed(0)))
    objective = DenoiserObjective(denoiser, vidgen.create("text_encoder", "words/tiny"), TrainConfig())
    losses = objective(draw(2, 4, 2, 4, 4), ["a", "b"], torch.Generator().manual_seed(0))
    assert set(losses) == {"denoising", "variance"}
    grads = {}
    for name, loss in losses.items():
        denoiser.zero_grad()
        loss.backward(retain_graph=True)
        rows = denoiser.proj_out.weight.grad.unflatten(0, (-1, 8))
        grads[name] = (float(rows[:, :4].abs().sum()), float(rows[:, 4:].abs().sum()))
    assert grads["denoising"][0] > 0
    assert grads["denoising"][1] == 0
    assert grads["variance"][0] == 0
    assert grads["variance"][1] > 0
