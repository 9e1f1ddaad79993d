"""Checks of schedulers: grids on every process, and solvers against Gaussians whose answer is known."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

from vidgen.contract import SchedulerContract
from vidgen.errors import ConfigError
from vidgen.interfaces.scheduler import Scheduler, TimeGrid
from vidgen.process import PREDICTIONS, Process
from vidgen.testing.check import Measured, NotApplicable, Subject, Violated, check, distance
from vidgen.testing.mixture import (
    PROCESSES,
    GaussianMixture,
    measure_order,
    measure_weak_order,
    uniform_grid,
)

__all__: list[str] = []

STEPS = (1, 2, 7, 20)


@check("scheduler")
def grids_are_sound(subject: Subject) -> None:
    """On every process the times fall from the declared start to clean, in float64, and log-SNR rises."""
    scheduler, start = subject.make(), _contract(subject).start
    for (name, process), steps in product(_processes(subject), STEPS):
        grid = scheduler.grid(process, steps, tokens=320)
        if grid.t.shape != (steps + 1,) or grid.t.dtype != torch.float64:
            raise Violated(f"{name}: the grid of {steps} steps is {grid.t.dtype} {list(grid.t.shape)}")
        if not (grid.t[1:] < grid.t[:-1]).all() or grid.t[0] > start + 1e-9 or grid.t[-1] < 0:
            raise Violated(f"{name}: times do not fall from {start:g}: {grid.t.tolist()}")
        if grid.t[-1] > 0.1 or (steps > 1 and grid.t[0] < 0.5):
            raise Violated(f"{name}: times run from {grid.t[0]:.3g} to {grid.t[-1]:.3g} only")
        if not (grid.log_snr[1:] > grid.log_snr[:-1]).all():
            raise Violated(f"{name}: log-SNR does not rise along the grid")
        alpha, sigma = process.alpha_sigma(grid.t)
        if max(distance(grid.alpha, alpha), distance(grid.sigma, sigma)) > 1e-9:
            raise Violated(f"{name}: alpha and sigma of the grid are not those of the process")


@check("scheduler")
def starts_where_it_is_told(subject: Subject) -> Measured:
    """`grid(start=)` begins there, and what is no start or no number of steps raises ConfigError."""
    scheduler, process = subject.make(), _process(subject, "rectified-flow")
    for steps, start in ((0, None), (4, 1.5), (4, -0.1)):
        try:
            scheduler.grid(process, steps, start=start)
        except ConfigError:
            continue
        raise Violated(f"grid(steps={steps}, start={start}) is taken without a word")
    return Measured(
        abs(float(scheduler.grid(process, 5, start=0.6).t[0]) - 0.6), 1e-6, "the miss of the start"
    )


@check("scheduler")
def order_as_declared(subject: Subject) -> Measured:
    """The measured order of convergence is the declared one within 0.3, on a straight and on a curved process."""
    scheduler, contract = subject.make(), _contract(subject)
    if contract.stochastic:  # costly, so on one process
        orders = [measure_weak_order(scheduler, _process(subject, "vp-cosine"), "sample").value]
    else:
        both = (_process(subject, name) for name in ("rectified-flow", "vp-cosine"))
        orders = [measure_order(scheduler, process, "sample").value for process in both]
    seen = " and ".join(f"{order:.2f}" for order in orders)
    gap = max(abs(order - contract.order) for order in orders)
    return Measured(gap, 0.3, f"the distance of the measured {seen} from the declared {contract.order}")


@check("scheduler")
def evaluations_as_declared(subject: Subject) -> None:
    """A run costs at most the declared evaluations a step, and `on_step` is called after each step."""
    scheduler, contract = subject.make(), _contract(subject)
    calls: list[float] = []
    seen: list[int] = []

    def denoise(x: Tensor, t: float) -> Tensor:
        calls.append(t)
        return torch.zeros_like(x)

    grid = scheduler.grid(_process(subject, "rectified-flow"), 10)
    scheduler.solve(denoise, grid.begin(_noise()), grid, on_step=lambda index, x: seen.append(index))
    most = 10 * contract.evaluations_per_step
    if not 10 * (contract.evaluations_per_step - 1) < len(calls) <= most:
        raise Violated(
            f"10 steps cost {len(calls)} evaluations; declared: {contract.evaluations_per_step} a step"
        )
    if seen != list(range(10)):
        raise Violated(f"on_step was called for {seen}, not for each of 10 steps")
    if not all(isinstance(t, float) for t in calls):
        raise Violated("denoise(x, t) wants a plain float as t")


@check("scheduler")
def one_point_is_exact(subject: Subject) -> Measured:
    """Where all data is one point, every grid on every process ends exactly there."""
    scheduler, point, worst = subject.make(), torch.linspace(-2, 2, 12, dtype=torch.float64).view(1, 12), 0.0
    for (_, process), steps in product(_processes(subject), STEPS):
        grid = scheduler.grid(process, steps, tokens=320)
        if grid.t[-1] > 0:
            raise NotApplicable("the grid does not end at t = 0")
        found = scheduler.solve(lambda x, t: point.expand_as(x), grid.begin(_noise().double()), grid)
        worst = max(worst, distance(found, point.expand_as(found)))
    return Measured(worst, 1e-6)


@check("scheduler")
def a_gaussian_is_reached(subject: Subject) -> Measured:
    """Of a known Gaussian 200 steps make samples with its mean and its deviations, for every prediction."""
    scheduler, worst = subject.make(), 0.0
    mixture = GaussianMixture(
        weights=torch.ones(1, dtype=torch.float64),
        means=torch.tensor([[0.7, -0.4]], dtype=torch.float64),
        axes=torch.eye(2, dtype=torch.float64)[None],
        variances=torch.tensor([[0.5, 0.08]], dtype=torch.float64),
    )
    process = _process(subject, "vp-linear")
    grid = uniform_grid(process, 200)
    mean, covariance = mixture.moments(float(grid.alpha[0]), float(grid.sigma[0]))
    draw = torch.Generator().manual_seed(0)
    unit = torch.randn(4096, 2, generator=draw, dtype=torch.float64)
    unit = (unit - unit.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(unit.T.cov())).T
    x = mean + unit @ torch.linalg.cholesky(covariance).T
    mean, covariance = mixture.moments(float(grid.alpha[-1]), float(grid.sigma[-1]))
    for prediction in PREDICTIONS:
        torch.manual_seed(0)
        found = scheduler.solve(mixture.denoiser(process, prediction), x, grid)
        worst = max(worst, float((found.mean(0) - mean).abs().max()))
        worst = max(worst, float((found.T.cov() - covariance).abs().max()))
    return Measured(worst, 0.05 if _contract(subject).stochastic else 0.02, "the miss of the moments")


@check("scheduler")
def chance_as_declared(subject: Subject) -> None:
    """A deterministic solver draws nothing; a stochastic one follows its generators, sample by sample."""
    scheduler, stochastic = subject.make(), _contract(subject).stochastic
    grid = scheduler.grid(_process(subject, "vp-linear"), 6)
    x = grid.begin(_noise(2))

    def run(seeds: tuple[int, ...], rows: slice = slice(None)) -> Tensor:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return scheduler.solve(lambda x, t: 0.5 * x, x[rows], grid, generators=generators)

    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, again, other = run((1, 2)), run((1, 2)), run((1, 5))
    if not torch.equal(torch.get_rng_state(), state):
        raise Violated("the solver draws from torch's global generator though generators are given")
    if not torch.equal(one, again):
        raise Violated("the same seeds give other samples")
    if stochastic != bool((one != other).any()):
        word = "ignores its generators" if stochastic else "draws noise"
        raise Violated(f"declared {'stochastic' if stochastic else 'deterministic'}, but it {word}")
    if distance(run((2,), slice(1, 2)), one[1:]) > 1e-6:
        raise Violated("a sample depends on the others of its batch")


@check("scheduler")
def state_is_in_the_run(subject: Subject) -> None:
    """One scheduler solves two problems, and problems inside one another, as two schedulers would."""
    scheduler = subject.make()
    process = _process(subject, "vp-linear")
    grid, short = scheduler.grid(process, 8), scheduler.grid(process, 3)
    noise = _noise()

    def run(solver: Scheduler, along: TimeGrid, inner: bool = False, sign: int = 1) -> Tensor:
        def denoise(x: Tensor, t: float) -> Tensor:
            if inner:
                solver.solve(lambda y, s: 0.1 * y, x, short, generators=_seeded())
            return 0.5 * x * (1 - t)

        return solver.solve(denoise, along.begin(sign * noise), along, generators=_seeded())

    fresh = run(subject.make(), grid)
    run(scheduler, short, sign=-1)
    for name, found in (
        ("a second run", run(scheduler, grid)),
        ("a run around another", run(scheduler, grid, True)),
    ):
        if distance(found, fresh) > 0:
            raise Violated(f"{name} differs from a fresh scheduler's: state is kept on the object")


@check("scheduler")
def keeps_shape_and_type(subject: Subject) -> None:
    """Samples keep their shape and floating-point type, and the first x is not changed in place."""
    scheduler = subject.make()
    grid = scheduler.grid(_process(subject, "rectified-flow"), 4)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x = grid.begin(torch.randn(1, 2, 1, 3, 3, generator=torch.Generator().manual_seed(0))).to(dtype)
        kept = x.clone()
        found = scheduler.solve(lambda x, t: 0.5 * x, x, grid, generators=_seeded())
        if found.shape != x.shape or found.dtype != dtype:
            raise Violated(f"{dtype} {list(x.shape)} becomes {found.dtype} {list(found.shape)}")
        if not torch.equal(x, kept):
            raise Violated("the first x was changed in place")
        if not found.isfinite().all():
            raise Violated(f"not finite in {dtype}")


def _contract(subject: Subject) -> SchedulerContract:
    contract: SchedulerContract = subject.config.contract()
    return contract


def _processes(subject: Subject) -> Iterator[tuple[str, Process]]:
    """Yield one process of every family, or the one that the scheduler declares as its own."""
    own = _contract(subject).process
    for name, spec in (PROCESSES if own is None else {own.name: own}).items():
        yield name, Process(spec)


def _process(subject: Subject, name: str) -> Process:
    """Return a process by name, or the scheduler's own in its place."""
    return Process(_contract(subject).process or PROCESSES[name])


def _noise(batch: int = 1) -> Tensor:
    return torch.randn(batch, 12, generator=torch.Generator().manual_seed(0))


def _seeded() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(4)]
