"""Solvers: equal to independent formulas where known, finite at the ends, of the order they declare."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import vidgen
from vidgen.errors import ConfigError
from vidgen.interfaces.scheduler import TimeGrid
from vidgen.process import PREDICTIONS, Prediction, Process, ProcessSpec
from vidgen.testing.mixture import (
    PROCESSES,
    GaussianMixture,
    measure_order,
    measure_weak_order,
    two_gaussians,
    uniform_grid,
)

ORDERS = {"euler": 1, "heun": 2, "dpmpp-2m": 2, "unipc": 3, "unipc/third": 4}
SOLVERS = (*ORDERS, "ancestral")
VP = [name for name in PROCESSES if name not in {"rectified-flow", "clean-scaled"}]
PAIRS = [(name, prediction) for name in PROCESSES for prediction in PREDICTIONS]
# The whole product takes minutes: it is marked slow.
FEW_PAIRS = [("rectified-flow", "flow"), ("zero-terminal-snr", "v"), ("clean-scaled", "epsilon")]
FLOW = Process(PROCESSES["rectified-flow"])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def one_gaussian() -> GaussianMixture:
    mixture = two_gaussians()
    return GaussianMixture(
        torch.ones(1, dtype=torch.float64), mixture.means[:1], mixture.axes[:1], mixture.variances[:1]
    )


@pytest.mark.parametrize("name", ORDERS)
def test_declared_orders(name: str) -> None:
    contract = vidgen.create("scheduler", name).config.contract()
    assert contract.order == ORDERS[name]
    assert not contract.stochastic


def check_order(name: str, process: str, prediction: Prediction) -> None:
    scheduler = vidgen.create("scheduler", name)
    found = measure_order(scheduler, Process(PROCESSES[process]), prediction)
    assert found.value == pytest.approx(scheduler.config.contract().order, abs=0.3), found


@pytest.mark.parametrize(("process", "prediction"), FEW_PAIRS)
@pytest.mark.parametrize("name", ORDERS)
def test_measured_order_is_the_declared_one(name: str, process: str, prediction: Prediction) -> None:
    check_order(name, process, prediction)


@pytest.mark.slow
@pytest.mark.parametrize(("process", "prediction"), [pair for pair in PAIRS if pair not in FEW_PAIRS])
@pytest.mark.parametrize("name", ORDERS)
def test_measured_order_for_every_other_pair(name: str, process: str, prediction: Prediction) -> None:
    check_order(name, process, prediction)


@pytest.mark.slow
@pytest.mark.parametrize(("process", "prediction"), PAIRS)
def test_weak_order_of_ancestral_is_the_declared_one(process: str, prediction: Prediction) -> None:
    scheduler = vidgen.create("scheduler", "ancestral")
    found = measure_weak_order(scheduler, Process(PROCESSES[process]), prediction)
    assert found.value == pytest.approx(scheduler.config.contract().order, abs=0.3), found


@pytest.mark.parametrize(("process", "prediction"), FEW_PAIRS[:2])
def test_ancestral_has_the_moments_of_the_exact_process(process: str, prediction: Prediction) -> None:
    mixture, chosen = two_gaussians(), Process(PROCESSES[process])
    grid = uniform_grid(chosen, 300)
    generator = torch.Generator().manual_seed(0)
    clean = mixture.sample((4096,), generator)
    x = grid.alpha[0] * clean + grid.sigma[0] * torch.randn(
        clean.shape, dtype=torch.float64, generator=generator
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        found = vidgen.create("scheduler", "ancestral").solve(mixture.denoiser(chosen, prediction), x, grid)
    mean, covariance = mixture.moments(float(grid.alpha[-1]), float(grid.sigma[-1]))
    # 4 standard errors for the mean; for the covariance 5 %, about two of its standard errors.
    assert ((found.mean(0) - mean).abs() < 4 * (covariance.diag() / 4096).sqrt()).all()
    torch.testing.assert_close(
        found.T.cov() / covariance.norm(), covariance / covariance.norm(), atol=0.05, rtol=0
    )


@given(name=st.sampled_from(VP), t=st.floats(0.01, 0.999), part=st.floats(0.0, 0.99), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_an_euler_step_is_ddim_on_a_variance_preserving_process(
    name: str, t: float, part: float, seed: int
) -> None:
    process = Process(PROCESSES[name])
    x, eps = noise(3, 4, seed=seed), noise(3, 4, seed=seed + 100)
    grid = uniform_grid(process, 1, start=t, end=part * t)
    bar, next_bar = (float(alpha) ** 2 for alpha in grid.alpha)
    found = vidgen.create("scheduler", "euler").solve(
        lambda x, t: process.to_clean("epsilon", eps, x, t), x, grid
    )  # fmt: skip
    wanted = (
        math.sqrt(next_bar) * (x - math.sqrt(1 - bar) * eps) / math.sqrt(bar) + math.sqrt(1 - next_bar) * eps
    )
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)


@given(start=st.floats(0.01, 1.0), steps=st.integers(1, 30), seed=st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_euler_is_flow_euler_on_the_straight_process(start: float, steps: int, seed: int) -> None:
    x = noise(2, 3, seed=seed)
    scheduler = vidgen.create("scheduler", "euler")

    def velocity(x: Tensor, t: float) -> Tensor:
        return torch.tanh(x) * (1 + t)

    grid = scheduler.grid(FLOW, steps, start=start)
    found = scheduler.solve(lambda x, t: FLOW.to_clean("flow", velocity(x, t), x, t), x, grid)
    wanted = x
    for here, there in zip(grid.t.tolist(), grid.t.tolist()[1:], strict=False):
        wanted = wanted + (there - here) * velocity(wanted, here)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_heun_is_flow_heun_on_the_straight_process() -> None:
    x, scheduler = noise(2, 3), vidgen.create("scheduler", "heun")

    def velocity(x: Tensor, t: float) -> Tensor:
        return torch.tanh(x) * (1 + t)

    grid = scheduler.grid(FLOW, 7)
    found = scheduler.solve(lambda x, t: FLOW.to_clean("flow", velocity(x, t), x, t), x, grid)
    wanted = x
    for here, there in zip(grid.t.tolist(), grid.t.tolist()[1:], strict=False):
        first = velocity(wanted, here)
        second = velocity(wanted + (there - here) * first, there) if there > 0 else first
        wanted = wanted + (there - here) * (first + second) / 2
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_unipc_is_dpmpp_2m_where_both_are_first_order() -> None:
    """Over two steps from pure noise to clean nothing is corrected or extrapolated: both are first order."""
    process, x = FLOW, noise(4, 2)
    denoise = two_gaussians().denoiser(process)
    one, two = (vidgen.create("scheduler", name) for name in ("dpmpp-2m", "unipc"))
    grid = one.grid(process, 2)
    torch.testing.assert_close(one.solve(denoise, x, grid), two.solve(denoise, x, grid))


def test_ancestral_draws_the_exact_backward_step_of_ddpm() -> None:
    """With the clean sample known, one step has the mean and variance of q(x_s | x_t, x_0)."""
    process, clean, x = Process(PROCESSES["vp-linear"]), 0.7, 0.2
    grid = uniform_grid(process, 1, start=0.5, end=0.3)
    bar, next_bar = (float(alpha) ** 2 for alpha in grid.alpha)
    found = vidgen.create("scheduler", "ancestral").solve(
        lambda x, t: torch.full_like(x, clean),
        torch.full((2, 100_000), x, dtype=torch.float64),
        grid,
        generators=generators(0, 1),
    )
    ratio = bar / next_bar
    variance = (1 - next_bar) / (1 - bar) * (1 - ratio)
    mean = math.sqrt(next_bar) * (1 - ratio) / (1 - bar) * clean
    mean += math.sqrt(ratio) * (1 - next_bar) / (1 - bar) * x
    assert float(found.mean()) == pytest.approx(mean, abs=4 * math.sqrt(variance / 200_000))
    assert float(found.var()) == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize("name", PROCESSES)
def test_ancestral_without_noise_is_euler(name: str) -> None:
    process, x = Process(PROCESSES[name]), noise(5, 2)
    denoise = two_gaussians().denoiser(process)
    still = vidgen.create("scheduler", "ancestral", eta=0.0)
    assert not still.config.contract().stochastic
    euler = vidgen.create("scheduler", "euler")
    grid = euler.grid(process, 9)
    torch.testing.assert_close(still.solve(denoise, x, grid), euler.solve(denoise, x, grid))


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("steps", [1, 2, 3, 20])
def test_the_whole_range_is_finite_for_every_prediction_that_is_not_singular(
    name: str, process: str, steps: int
) -> None:
    chosen, mixture = Process(PROCESSES[process]), two_gaussians()
    for grid_name in ("uniform", "karras"):
        scheduler = vidgen.create("scheduler", name, grid=grid_name)
        grid = scheduler.grid(chosen, steps)
        results = []
        for prediction in PREDICTIONS:
            if prediction == "epsilon" and chosen.spec.ends_in_noise:
                continue
            x = grid.begin(noise(8, 2))
            results.append(
                scheduler.solve(
                    mixture.denoiser(chosen, prediction), x, grid, generators=generators(*range(8))
                )
            )  # fmt: skip
            assert results[-1].isfinite().all()
        for other in results[1:]:
            torch.testing.assert_close(other, results[0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("process", PROCESSES)
def test_a_known_clean_sample_is_reached_exactly(name: str, process: str) -> None:
    """Every solver is exact where the clean estimate does not change; stochastic ones end there as well."""
    chosen, clean = Process(PROCESSES[process]), noise(4, 3, seed=7)
    scheduler = vidgen.create("scheduler", name)
    grid = scheduler.grid(chosen, 11)
    found = scheduler.solve(lambda x, t: clean, noise(4, 3), grid, generators=generators(*range(4)))
    torch.testing.assert_close(found, clean)


@pytest.mark.parametrize("name", ORDERS)
def test_a_single_gaussian_is_carried_to_its_own_moments(name: str) -> None:
    """The exact flow of one Gaussian stretches each axis: x_t = alpha m + sqrt(alpha^2 C + sigma^2) z."""
    gaussian = one_gaussian()
    grid = uniform_grid(FLOW, 200)
    z = noise(64, 2)

    def place(i: int) -> Tensor:
        alpha, sigma = float(grid.alpha[i]), float(grid.sigma[i])
        along = (alpha**2 * gaussian.variances[0] + sigma**2).sqrt() * z
        return alpha * gaussian.means[0] + along @ gaussian.axes[0].T

    found = vidgen.create("scheduler", name).solve(gaussian.denoiser(FLOW), place(0), grid)
    error = float((found - place(-1)).square().mean().sqrt())
    assert error < {1: 1e-2, 2: 1e-4, 3: 1e-5, 4: 1e-6}[ORDERS[name]]


@pytest.mark.parametrize("name", SOLVERS)
def test_same_generators_same_result_and_the_batch_does_not_matter(name: str) -> None:
    scheduler, denoise = vidgen.create("scheduler", name), two_gaussians().denoiser(FLOW)
    grid, x = scheduler.grid(FLOW, 6), noise(3, 5, 2)
    together = scheduler.solve(denoise, x, grid, generators=generators(1, 2, 3))
    assert torch.equal(together, scheduler.solve(denoise, x, grid, generators=generators(1, 2, 3)))
    alone = scheduler.solve(denoise, x[1:2], grid, generators=generators(2))
    torch.testing.assert_close(alone, together[1:2], rtol=1e-12, atol=1e-12)


def test_ancestral_noise_follows_the_generators() -> None:
    scheduler, denoise = vidgen.create("scheduler", "ancestral"), two_gaussians().denoiser(FLOW)
    grid, x = scheduler.grid(FLOW, 6), noise(2, 5, 2)
    one, two = (
        scheduler.solve(denoise, x, grid, generators=generators(*seeds)) for seeds in ((1, 2), (1, 3))
    )
    assert torch.equal(one[0], two[0])
    assert not torch.allclose(one[1], two[1])
    with pytest.raises(ConfigError, match="one generator a sample"):
        scheduler.solve(denoise, x, grid, generators=generators(1))


@pytest.mark.parametrize("name", SOLVERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_x_keeps_its_dtype_and_every_step_is_reported(name: str, dtype: torch.dtype) -> None:
    scheduler, seen = vidgen.create("scheduler", name), []
    grid, evaluations = scheduler.grid(FLOW, 8), []

    def denoise(x: Tensor, t: float) -> Tensor:
        evaluations.append(t)
        assert x.dtype == dtype
        return x / 2

    found = scheduler.solve(
        denoise,
        noise(2, 3).to(dtype),
        grid,
        generators=generators(0, 1),
        on_step=lambda i, x: seen.append((i, x)),
    )
    assert found.dtype == dtype
    assert [i for i, _ in seen] == list(range(8))
    assert torch.equal(seen[-1][1], found)
    per_step = scheduler.config.contract().evaluations_per_step
    assert len(evaluations) == per_step * 8 - (per_step - 1)
    assert 0.0 not in evaluations


def test_state_does_not_leak_between_runs() -> None:
    for name in ORDERS:
        scheduler, denoise = vidgen.create("scheduler", name), two_gaussians().denoiser(FLOW)
        grid, x = scheduler.grid(FLOW, 5), noise(3, 2)
        first = scheduler.solve(denoise, x, grid)
        scheduler.solve(denoise, noise(3, 2, seed=5), scheduler.grid(FLOW, 3))
        assert torch.equal(scheduler.solve(denoise, x, grid), first)


def test_a_misspelt_eta_is_refused() -> None:
    with pytest.raises(ConfigError, match="eta"):
        vidgen.create("scheduler", "ancestral", etas=0.5)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        vidgen.create("scheduler", "ancestral", eta=1.5)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ancestral_with_a_clean_scale_is_videocrafter2s_ddim(eta: float) -> None:
    """Written out from the published sampler: x_0 is scaled, the noise's size comes from the plain table."""
    scale = tuple(np.linspace(1, 0.7, 400)) + (0.7,) * 600
    spec = ProcessSpec(family="vp-scaled-linear", beta_start=0.00085, beta_end=0.012, clean_scale=scale)
    process = Process(spec)
    betas = np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2
    bars = np.cumprod(1 - betas)
    indices = np.array([999, 799, 599, 399, 199])
    x = torch.randn(1, 1, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def epsilon(x: Tensor, index: float) -> Tensor:
        return torch.tanh(x + index / 1000)

    expected, draw = x.clone(), torch.Generator().manual_seed(1)
    for here, there in itertools.pairwise(indices):
        noise = epsilon(expected, here)
        clean = (expected - math.sqrt(1 - bars[here]) * noise) / math.sqrt(bars[here]) / scale[here]
        ratio = bars[here] / bars[there]
        sigma = eta * math.sqrt((1 - bars[there]) / (1 - bars[here]) * (1 - ratio))
        towards = math.sqrt(1 - bars[there] - sigma**2) * noise
        drawn = torch.randn(x.shape[1:], generator=draw)[None].double() if eta else 0.0
        expected = math.sqrt(bars[there]) * scale[there] * clean + towards + sigma * drawn

    def denoise(x: Tensor, t: float) -> Tensor:
        return process.to_clean("epsilon", epsilon(x, float(process.time_to_index(t))), x, t)

    grid = TimeGrid.of(process, process.index_to_time(torch.from_numpy(indices)), start="unit")
    generators = [torch.Generator().manual_seed(1)]
    found = vidgen.create("scheduler", "ancestral", eta=eta).solve(denoise, x, grid, generators=generators)
    assert torch.allclose(found, expected, atol=1e-8)
