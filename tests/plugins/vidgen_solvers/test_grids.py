"""Grids: end points, strictly falling times, and the published formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import vidgen
from vidgen.errors import ConfigError, PluginError, UnknownNameError
from vidgen.process import Process, ProcessSpec
from vidgen.registry import registry
from vidgen.testing.mixture import PROCESSES

GRIDS = ("uniform", "karras", "shifted", "shifted/dynamic", "linear-quadratic")
FLOW = Process(ProcessSpec())


@pytest.mark.parametrize("grid", GRIDS)
@given(
    name=st.sampled_from(list(PROCESSES)),
    steps=st.integers(1, 200),
    start=st.floats(0.02, 1.0),
    part=st.floats(0.0, 0.9),
    tokens=st.integers(1, 100_000),
)
@settings(max_examples=60, deadline=None)
def test_times_fall_strictly_from_start_to_end_and_snr_rises(
    grid: str, name: str, steps: int, start: float, part: float, tokens: int
) -> None:
    end = part * start
    scheduler = vidgen.create("scheduler", "euler", grid=grid, end=end)
    found = scheduler.grid(Process(PROCESSES[name]), steps, tokens=tokens, start=start)
    assert found.steps == steps
    assert found.t.dtype == found.alpha.dtype == found.sigma.dtype == torch.float64
    assert (float(found.t[0]), float(found.t[-1])) == (start, end)
    assert (found.t.diff() < 0).all()
    assert (found.log_snr.diff() > 0).all()


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("steps", [1, 2, 3, 20, 1000])
def test_the_whole_range_works_for_every_process(grid: str, name: str, steps: int) -> None:
    process = Process(PROCESSES[name])
    found = vidgen.create("scheduler", "euler", grid=grid).grid(process, steps, tokens=1000)
    assert (float(found.t[0]), float(found.t[-1]), float(found.sigma[-1])) == (1.0, 0.0, 0.0)
    assert (found.log_snr.diff() > 0).all()


def test_uniform_times_stand_at_equal_distances() -> None:
    t = vidgen.create("scheduler", "euler").grid(FLOW, 4).t
    assert t.tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]


@given(shift=st.floats(0.1, 10), start=st.floats(0.1, 1.0), steps=st.integers(2, 50))
@settings(deadline=None)
def test_shift_divides_the_flow_ratio_evenly(shift: float, start: float, steps: int) -> None:
    t = vidgen.create("scheduler", "euler", grid="shifted", shift=shift).grid(FLOW, steps, start=start).t
    even = t / (shift - (shift - 1) * t)
    torch.testing.assert_close(
        even.diff(), torch.full((steps,), -float(even[0]) / steps, dtype=torch.float64)
    )


@pytest.mark.parametrize(
    ("tokens", "wanted"), [(256, math.exp(0.5)), (4096, math.exp(1.15)), (2176, math.exp(0.825))]
)
def test_dynamic_shift_grows_with_the_tokens(tokens: int, wanted: float) -> None:
    dynamic = vidgen.create("scheduler", "euler", grid="shifted", dynamic=True).grid(FLOW, 10, tokens=tokens)
    fixed = vidgen.create("scheduler", "euler", grid="shifted", shift=wanted).grid(FLOW, 10)
    torch.testing.assert_close(dynamic.t, fixed.t)


def test_dynamic_shift_without_tokens_says_so() -> None:
    with pytest.raises(ConfigError, match="tokens"):
        vidgen.create("scheduler", "euler", grid="shifted/dynamic").grid(FLOW, 10)


@pytest.mark.parametrize("rho", [1.0, 7.0])
def test_karras_is_even_in_the_root_of_the_ratio(rho: float) -> None:
    found = vidgen.create("scheduler", "euler", grid="karras", rho=rho).grid(FLOW, 20)
    inner = (found.sigma / found.alpha)[1:-1] ** (1 / rho)
    torch.testing.assert_close(inner.diff(), inner.diff()[:1].expand(18))
    assert float(inner[-1] ** rho) == pytest.approx(0.002)
    assert float(inner[0] - inner.diff()[0]) ** rho == pytest.approx(80.0)


@pytest.mark.parametrize("steps", [2, 10, 51])
def test_linear_quadratic_has_a_straight_head_and_an_evenly_bent_tail(steps: int) -> None:
    t = vidgen.create("scheduler", "euler", grid="linear-quadratic").grid(FLOW, steps).t
    head = steps // 2
    way = (1 - t).diff()
    assert float(1 - t[head]) == pytest.approx(0.025)
    torch.testing.assert_close(way[:head], torch.full((head,), 0.025 / head, dtype=torch.float64))
    tail = way[head:].diff()
    torch.testing.assert_close(tail, tail[:1].expand_as(tail))


@pytest.fixture
def stranger() -> Iterator[None]:
    @vidgen.register("grid", "cosine-steps")
    class CosineSteps:
        def __init__(self, power: float = 1.0, rho: float = 3.0) -> None:
            self.power = power

        def __call__(
            self, process: Process, steps: int, *, start: float, end: float, tokens: int | None
        ) -> Tensor:
            part = torch.linspace(0, math.pi / 2, steps + 1, dtype=torch.float64).cos() ** self.power
            part[-1] = 0.0
            return end + (start - end) * part

    @vidgen.register("grid", "backwards")
    class Backwards:
        def __init__(self) -> None: ...

        def __call__(
            self, process: Process, steps: int, *, start: float, end: float, tokens: int | None
        ) -> Tensor:
            return torch.linspace(end, start, steps + 1, dtype=torch.float64)

    yield
    for name in ("cosine-steps", "backwards"):
        registry().remove("grid", name)


@pytest.mark.usefixtures("stranger")
def test_a_strangers_grid_works_by_name_and_is_checked() -> None:
    found = vidgen.create("scheduler", "heun", grid="cosine-steps", rho=2.0).grid(FLOW, 10)
    assert float(found.t[5]) == pytest.approx(math.cos(math.pi / 4))
    with pytest.raises(PluginError, match="backwards"):
        vidgen.create("scheduler", "heun", grid="backwards").grid(FLOW, 10)


def test_an_unknown_grid_names_close_ones_even_in_the_contract() -> None:
    config = vidgen.find("scheduler", "euler").preset().replace(grid="karas")
    with pytest.raises(UnknownNameError, match="karras"):
        config.contract()


@pytest.mark.parametrize(
    "wrong", [{"shift": 3.0}, {"grid": "karras", "shift": 3.0}, {"grid": "shifted", "rho": 3.0}]
)
def test_an_option_of_another_grid_is_refused_not_dropped(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="grid"):
        vidgen.create("scheduler", "euler", **wrong)


@pytest.mark.parametrize(
    "wrong", [{"start": 1.5}, {"start": 0.2, "end": 0.3}, {"end": -0.1}, {"grid": "karras", "rho": 0.0}]
)
def test_malformed_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        vidgen.create("scheduler", "euler", **wrong)


def test_less_than_one_step_or_a_start_below_the_end_is_refused() -> None:
    scheduler = vidgen.create("scheduler", "euler", end=0.5)
    with pytest.raises(ConfigError, match="steps must be at least 1"):
        scheduler.grid(FLOW, 0)
    for start in (0.5, 1.5):
        with pytest.raises(ConfigError, match="start"):
            scheduler.grid(FLOW, 10, start=start)


def test_the_contract_tells_the_first_time() -> None:
    assert vidgen.find("scheduler", "euler").preset().replace(start=0.999).contract().start == 0.999
