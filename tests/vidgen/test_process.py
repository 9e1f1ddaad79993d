"""The arithmetic of processes: end points, conversions, tables, inverses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vidgen.errors import ConfigError
from vidgen.process import PREDICTIONS, Process, ProcessSpec
from vidgen.testing.mixture import PROCESSES

ENTRIES = torch.arange(1, 1001, dtype=torch.float64) / 1000
TIMES = torch.linspace(0, 1, 777, dtype=torch.float64)
every_process = pytest.mark.parametrize("name", PROCESSES)


@every_process
def test_time_zero_is_exactly_clean_and_snr_falls(name: str) -> None:
    process = Process(PROCESSES[name])
    alpha, sigma = process.alpha_sigma(TIMES)
    assert (float(alpha[0]), float(sigma[0])) == (1.0, 0.0)
    assert (process.log_snr(TIMES).diff()[1:-1] < 0).all()
    assert (sigma.diff() > 0).all()
    assert alpha.dtype == sigma.dtype == torch.float64


@every_process
def test_only_zero_terminal_processes_end_in_pure_noise(name: str) -> None:
    spec = PROCESSES[name]
    alpha, sigma = Process(spec).alpha_sigma(1.0)
    assert (float(alpha) == 0.0) == spec.ends_in_noise == (name in {"rectified-flow", "zero-terminal-snr"})
    if spec.ends_in_noise:
        assert float(sigma) == 1.0


@every_process
@pytest.mark.parametrize("prediction", PREDICTIONS)
@given(t=st.floats(1e-3, 0.999), seed=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_to_clean_inverts_every_target(name: str, prediction: str, t: float, seed: int) -> None:
    process = Process(PROCESSES[name])
    generator = torch.Generator().manual_seed(seed)
    clean, noise = (torch.randn(2, 3, 2, 2, 2, dtype=torch.float64, generator=generator) for _ in range(2))
    times = torch.tensor([t, t / 2], dtype=torch.float64)
    x = process.add_noise(clean, noise, times)
    found = process.to_clean(prediction, process.target(prediction, clean, noise, times), x, times)
    torch.testing.assert_close(found, clean, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("prediction", ["sample", "v", "flow"])
@pytest.mark.parametrize("name", ["rectified-flow", "zero-terminal-snr"])
def test_pure_noise_still_tells_the_clean_sample_except_for_epsilon(name: str, prediction: str) -> None:
    process = Process(PROCESSES[name])
    clean, noise = torch.randn(2, 1, 3, 2, 2, 2, dtype=torch.float64)
    one = torch.tensor([1.0])
    x = process.add_noise(clean, noise, one)
    assert torch.equal(x, noise)
    found = process.to_clean(prediction, process.target(prediction, clean, noise, one), x, one)
    torch.testing.assert_close(found, clean)
    assert not process.to_clean("epsilon", noise, x, one).isfinite().any()


def test_targets_have_the_published_signs() -> None:
    process = Process(ProcessSpec(family="vp-linear"))
    clean, noise, t = torch.full((1, 1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1, 1), 3.0), torch.tensor([0.3])
    alpha, sigma = (float(value) for value in process.alpha_sigma(0.3))
    found = {name: float(process.target(name, clean, noise, t)) for name in PREDICTIONS}
    wanted = {"epsilon": 3.0, "sample": 2.0, "flow": 1.0, "v": 3 * alpha - 2 * sigma}
    assert found == pytest.approx(wanted, rel=1e-6)


def test_a_time_a_frame_reaches_its_own_frame() -> None:
    process = Process(ProcessSpec())
    clean, noise = torch.zeros(2, 4, 3, 2, 2), torch.ones(2, 4, 3, 2, 2)
    times = torch.tensor([[0.0, 0.5, 1.0], [1.0, 0.25, 0.0]])
    x = process.add_noise(clean, noise, times)
    assert torch.equal(x, times[:, None, :, None, None].expand_as(x))


def test_vp_linear_is_the_product_of_one_minus_beta() -> None:
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    alpha, _ = Process(ProcessSpec(family="vp-linear")).alpha_sigma(ENTRIES)
    torch.testing.assert_close(alpha**2, (1 - betas).cumprod(0), rtol=1e-10, atol=0)


def test_vp_scaled_linear_is_linear_in_the_root_of_beta() -> None:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alpha, _ = Process(PROCESSES["vp-scaled-linear"]).alpha_sigma(ENTRIES)
    torch.testing.assert_close(alpha**2, (1 - betas).cumprod(0), rtol=1e-10, atol=0)


def test_zero_terminal_snr_keeps_the_first_entry_and_scales_the_roots_evenly() -> None:
    first_and_last = ENTRIES[[0, -1]]
    plain, _ = Process(PROCESSES["vp-scaled-linear"]).alpha_sigma(first_and_last)
    zero, _ = Process(PROCESSES["zero-terminal-snr"]).alpha_sigma(first_and_last)
    assert float(zero[1]) == 0.0
    assert float(zero[0]) == pytest.approx(float(plain[0]), rel=1e-12)
    middle = torch.tensor(0.5)
    part = Process(PROCESSES["zero-terminal-snr"]).alpha_sigma(middle)[0] / zero[0]
    wanted = (Process(PROCESSES["vp-scaled-linear"]).alpha_sigma(middle)[0] - plain[1]) / (
        plain[0] - plain[1]
    )
    assert float(part) == pytest.approx(float(wanted), rel=1e-9)


@pytest.mark.parametrize("shift", [0.5, 3.0])
def test_snr_shift_divides_the_ratio_at_every_entry(shift: float) -> None:
    plain, shifted = (Process(ProcessSpec(family="vp-linear", snr_shift=s)) for s in (1.0, shift))
    difference = 2 * (plain.log_snr(ENTRIES) - shifted.log_snr(ENTRIES))
    torch.testing.assert_close(difference, torch.full_like(difference, math.log(shift)), rtol=1e-8, atol=1e-8)


def test_snr_shift_and_zero_terminal_snr_together_end_in_noise() -> None:
    both = Process(ProcessSpec(family="vp-linear", snr_shift=3.0, zero_terminal_snr=True))
    assert float(both.alpha_sigma(1.0)[0]) == 0.0


def test_clean_scale_multiplies_alpha_and_leaves_sigma() -> None:
    plain, scaled = (
        Process(PROCESSES[name]).alpha_sigma(ENTRIES) for name in ("vp-scaled-linear", "clean-scaled")
    )
    factor = torch.tensor(PROCESSES["clean-scaled"].clean_scale, dtype=torch.float64)
    torch.testing.assert_close(scaled[0], plain[0] * factor, rtol=1e-9, atol=0)
    torch.testing.assert_close(scaled[1], plain[1])


def test_a_table_is_read_at_its_entries_and_linear_between() -> None:
    process = Process(ProcessSpec(family="table", table=(0.9, 0.5, 0.1, 0.0)))
    alpha, _ = process.alpha_sigma(torch.tensor([0.0, 0.25, 0.5, 0.625, 0.75, 1.0]))
    torch.testing.assert_close(alpha**2, torch.tensor([1.0, 0.9, 0.5, 0.3, 0.1, 0.0], dtype=torch.float64))
    assert process.spec.ends_in_noise


def test_index_and_time_are_inverse() -> None:
    for name in ("vp-linear", "table"):
        process = Process(PROCESSES[name])
        entries = len(process.spec.table) or 1000
        index = torch.arange(entries)
        torch.testing.assert_close(process.time_to_index(process.index_to_time(index)), index.double())
        assert float(process.index_to_time(entries - 1)) == 1.0


@every_process
@given(t=st.floats(1e-4, 0.9999))
@settings(max_examples=30, deadline=None)
def test_time_of_log_snr_inverts_log_snr(name: str, t: float) -> None:
    process = Process(PROCESSES[name])
    assert float(process.time_of_log_snr(process.log_snr(t))) == pytest.approx(t, abs=1e-9)


@every_process
def test_infinite_log_snr_means_the_ends(name: str) -> None:
    ends = Process(PROCESSES[name]).time_of_log_snr(torch.tensor([math.inf, -math.inf]))
    assert ends.tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"family": "table"},
        {"table": (0.5, 0.1)},
        {"family": "table", "table": (0.5, 0.6)},
        {"family": "table", "table": (1.5, 0.6)},
        {"family": "table", "table": (0.5, -0.1)},
        {"snr_shift": 2.0},
        {"zero_terminal_snr": True},
        {"family": "vp-linear", "snr_shift": 0.0},
        {"family": "vp-linear", "clean_scale": (1.0, 0.5)},
        {"family": "vp-linear", "steps": 2, "clean_scale": (0.5, 1.0)},
        {"family": "vp-linear", "steps": 2, "clean_scale": (0.5, 0.0)},
        {"family": "vp-linear", "steps": 1},
        {"family": "vp-linear", "beta_start": 0.5, "beta_end": 0.1},
        {"family": "vp"},
    ],
)
def test_malformed_processes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ProcessSpec.from_dict(wrong)
