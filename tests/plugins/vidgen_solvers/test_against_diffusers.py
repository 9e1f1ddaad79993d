"""Solvers and grids against diffusers' samplers, read from their own saved settings.

The model is a seeded, nonlinear function of x and of the number that it is told. Our x is float64, and diffusers'
samplers are let compute in it too, as far as they can be: what is left is rounding of their own.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

import vidgen
import vidgen.recipe
from vidgen.errors import ConfigError, UnknownNameError
from vidgen.layout import PublishedScheduler, SchedulerLayout, find_layout
from vidgen.process import Process, ProcessSpec

diffusers = pytest.importorskip("diffusers")

SHAPE = (2, 3, 1, 2, 2)
TOLERANCE = 1e-5
"""Of the sample after every step, absolute, or relative to its largest value where that is above 1."""
Model = Callable[[Tensor, float], Tensor]


def draw(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def model(seed: int) -> Model:
    mix, shift = draw(seed, 3, 3), draw(seed + 1, 3, 1, 1, 1)

    def predict(x: Tensor, told: float) -> Tensor:
        return torch.sin(torch.einsum("ij,bjthw->bithw", mix, x.double()) + shift + told / 300).to(x.dtype)

    return predict


def saved(scheduler: Any) -> dict[str, Any]:
    return json.loads(scheduler.to_json_string())


def layout(name: str = "DDIMScheduler") -> SchedulerLayout:
    return find_layout("scheduler_layout", name)


def theirs(scheduler: Any, predict: Model, noises: list[Tensor], steps: int, **extra: Any) -> tuple[Any, Any]:
    """Return what the model was told and x after each step, scaled to our process."""
    with exactly(scheduler):
        scheduler.set_timesteps(steps, **extra)
    # now and then diffusers' trailing spacing has an entry too many, -1, where N / steps is no exact number
    assume(float(scheduler.timesteps.min()) >= 0)
    x = noises[0] * float(getattr(scheduler, "init_noise_sigma", 1.0))
    ratios = hasattr(scheduler, "scale_model_input") and "Euler" in type(scheduler).__name__
    ratios = ratios or type(scheduler).__name__ == "HeunDiscreteScheduler"
    cog = "old_pred_original_sample" in inspect.signature(scheduler.step).parameters
    told, states, old, times = [], [], None, scheduler.timesteps
    for i, t in enumerate(times):
        x_in = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        told.append(float(t))
        output = predict(x_in, float(t))
        with exactly(scheduler, noises[len(states) + 1] if len(states) + 1 < len(noises) else None):
            if cog:
                x, old = scheduler.step(output, old, t, times[i - 1] if i else None, x)
            else:
                x = scheduler.step(output, t, x, return_dict=False)[0]
        # Heun is in the middle of a step otherwise
        if getattr(scheduler, "dt", None) is None or i == len(times) - 1:
            sigma = float(scheduler.sigmas[scheduler.step_index]) if ratios else 0.0
            states.append(x.double() / (1 + sigma**2) ** 0.5)
    return told, states


class Double:
    """numpy or torch without a float32."""

    def __init__(self, library: Any) -> None:
        self.library, self.float32 = library, library.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(self.library, name)


@contextmanager
def exactly(scheduler: Any, noise: Tensor | None = None) -> Iterator[None]:
    """Let a sampler of diffusers draw this noise, and compute in float64."""
    module = sys.modules[type(scheduler).__module__]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "randn_tensor", lambda *a, **k: noise, raising=False)
        patch.setattr(module, "torch", Double(torch))
        patch.setattr(module, "np", Double(np), raising=False)
        yield


def ours(
    found: PublishedScheduler,
    predict: Model,
    noises: list[Tensor],
    steps: int,
    tokens: int | None,
    heard: list[float],
) -> tuple[list[float], list[Tensor]]:
    """Return what our model is told and x after each step; the model hears diffusers' numbers, compared by `check`."""
    process, told, states = Process(found.process), [], []
    scheduler = vidgen.create("scheduler", found.slot.spec.name, config=found.slot.config)

    def denoise(x: Tensor, t: float) -> Tensor:
        told.append(float(process.told(t)))
        return process.to_clean(found.prediction, predict(x, heard[len(told) - 1]), x, t)

    grid = scheduler.grid(process, steps, tokens=tokens)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vidgen_solvers.solver.draw_noise", lambda x, _: noises[len(states) + 1])
        scheduler.solve(denoise, grid.begin(noises[0]), grid, on_step=lambda i, x: states.append(x))
    return told, states


def refine(scheduler: Any, process: Process) -> None:
    """Compare the tables, then let diffusers' sampler have its own in float64: near both ends float32 tells in x."""
    entries = len(scheduler.alphas_cumprod)
    bars = process.alpha_sigma(process.index_to_time(torch.arange(entries)))[0].square()
    torch.testing.assert_close(scheduler.alphas_cumprod.double(), bars, rtol=1e-4, atol=1e-7)
    scheduler.alphas_cumprod = bars
    if hasattr(scheduler, "final_alpha_cumprod") and scheduler.final_alpha_cumprod < 1:
        scheduler.final_alpha_cumprod = bars[0]


def told_within(settings: dict[str, Any]) -> float:
    """Return how far the numbers told may differ: nothing for entries of a table and for times of a flow.

    Between two entries diffusers' samplers interpolate sigma / alpha or its logarithm, and we the cumulative product,
    which places the same noise a few hundredths of an entry apart; rounded numbers may then differ by one.
    """
    respaced = any(settings.get(f"use_{kind}_sigmas") for kind in ("karras", "exponential", "beta"))
    if settings["_class_name"].startswith(("DPMSolver", "UniPC")):
        return 1.0 if respaced or settings.get("use_lu_lambdas") else 1e-3
    fractions = respaced or settings.get("timestep_spacing") == "linspace"
    return 0.06 if fractions and settings["_class_name"].startswith(("Euler", "Heun")) else 1e-3


def check(
    scheduler: Any, steps: int, seed: int, *, mu: float | None = None, tokens: int | None = None
) -> None:
    """Compare a run with the layout's reading of the saved settings, step by step; and the way back."""
    settings = saved(scheduler)
    found = layout().read(settings)
    if found.process.family != "rectified-flow":
        refine(scheduler, Process(found.process))
    noises = [draw(seed + i, *SHAPE) for i in range(steps + 1)]
    extra = {} if mu is None else {"mu": mu}
    told, states = theirs(scheduler, model(seed), noises, steps, **extra)
    our_told, our_states = ours(found, model(seed), noises, steps, tokens, told)
    assert our_told == pytest.approx(told, abs=told_within(settings))
    assert len(states) == len(our_states) == steps
    for one, other in zip(our_states, states, strict=True):
        scale = max(1.0, float(other.abs().max()))
        assert float((one - other).abs().max()) < TOLERANCE * scale, found.slot
    written = layout().write(found)
    assert written is not None
    again = getattr(diffusers, written["_class_name"]).from_config(json.loads(json.dumps(written)))
    plain = type(scheduler).from_config(scheduler.config)
    for one in (again, plain):
        one.set_timesteps(steps, **extra)
    assert torch.equal(again.timesteps, plain.timesteps)
    if hasattr(plain, "sigmas"):
        torch.testing.assert_close(again.sigmas, plain.sigmas)


BETAS = st.sampled_from(
    [
        {"beta_schedule": "linear"},
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"beta_schedule": "linear", "beta_start": 0.001, "beta_end": 0.013, "num_train_timesteps": 600},
        {"trained_betas": [0.001 + 0.00003 * k for k in range(500)], "num_train_timesteps": 500},
    ]
)
ZERO = st.sampled_from(
    [{"rescale_betas_zero_snr": True, "prediction_type": kind} for kind in ("v_prediction", "sample")]
)
PREDICTIONS = st.sampled_from([{"prediction_type": kind} for kind in ("epsilon", "v_prediction", "sample")])
SPACINGS = st.sampled_from([{"timestep_spacing": kind} for kind in ("leading", "trailing", "linspace")])
LEADING = st.sampled_from([{"timestep_spacing": "leading", "steps_offset": k} for k in (0, 1, 3)])
RESPACED = st.sampled_from([{f"use_{kind}_sigmas": True} for kind in ("karras", "exponential", "beta")])
PLAIN: st.SearchStrategy[dict[str, Any]] = st.just({})
STEPS, SEEDS = st.integers(2, 20), st.integers(0, 1000)


def merged(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda tables: {key: one for table in tables for key, one in table.items()})


def parity(*parts: st.SearchStrategy[dict[str, Any]], steps: st.SearchStrategy[int] = STEPS) -> Any:
    """Give a test options, a number of steps and a seed."""

    def decorate(test: Any) -> Any:
        quiet = [HealthCheck.too_slow]
        return settings(max_examples=8, deadline=None, suppress_health_check=quiet)(
            given(options=merged(*parts), steps=steps, seed=SEEDS)(test)
        )

    return decorate


WHOLE = st.sampled_from([2, 4, 5, 10, 20])
"""Steps that divide the tables: between others diffusers' DDIM steps to entries that it does not evaluate next."""
TRAILING = st.just({"timestep_spacing": "trailing"})
PLAIN_DDIM = st.just({"clip_sample": False})


@parity(PLAIN_DDIM, BETAS, st.one_of(PREDICTIONS, ZERO), LEADING)
def test_ddim_leading(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.DDIMScheduler(**options), steps, seed)


@parity(PLAIN_DDIM, BETAS, st.one_of(PREDICTIONS, ZERO), TRAILING, steps=WHOLE)
def test_ddim_trailing(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.DDIMScheduler(**options), steps, seed)


@parity(PLAIN_DDIM, st.just({"set_alpha_to_one": False, "steps_offset": 1}), BETAS, PREDICTIONS)
def test_ddim_that_ends_at_the_first_entry(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.DDIMScheduler(**options), steps, seed)


@parity(PLAIN_DDIM, BETAS, st.one_of(PREDICTIONS, ZERO), SPACINGS)
def test_ddpm_draws_the_same(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.DDPMScheduler(**options), steps, seed)


COG = merged(
    st.one_of(LEADING, TRAILING),
    st.one_of(PREDICTIONS, ZERO),
    st.sampled_from([{}, {"snr_shift_scale": 1.0}]),
)


@parity(COG, steps=WHOLE)
def test_cogvideox_ddim(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.CogVideoXDDIMScheduler(**options), steps, seed)


@parity(COG, steps=WHOLE)
def test_cogvideox_dpm_draws_the_same(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.CogVideoXDPMScheduler(**options), steps, seed)


@parity(BETAS, st.one_of(ZERO, merged(PREDICTIONS, st.one_of(PLAIN, RESPACED))), SPACINGS)
def test_euler(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.EulerDiscreteScheduler(**options), steps, seed)


@parity(BETAS, st.sampled_from([{}, {"prediction_type": "v_prediction"}]), SPACINGS)
def test_euler_ancestral_draws_the_same(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.EulerAncestralDiscreteScheduler(**options), steps, seed)


@parity(BETAS, PREDICTIONS, SPACINGS, st.one_of(PLAIN, RESPACED))
def test_heun(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.HeunDiscreteScheduler(**options), steps, seed)


DPM = st.fixed_dictionaries(
    {
        "solver_order": st.integers(1, 3),
        "solver_type": st.sampled_from(["midpoint", "heun"]),
        "lower_order_final": st.booleans(),
        "euler_at_final": st.booleans(),
    }
)
SDE = st.just({"algorithm_type": "sde-dpmsolver++", "solver_order": 2, "solver_type": "midpoint"})
ENDS = st.sampled_from([{}, {"final_sigmas_type": "sigma_min"}])
KARRAS = st.sampled_from(
    [{"use_karras_sigmas": True}, {"use_exponential_sigmas": True}, {"use_beta_sigmas": True}]
)
LU = st.just({"use_lu_lambdas": True})


@parity(BETAS, st.one_of(PREDICTIONS, ZERO), SPACINGS, DPM, ENDS, st.one_of(PLAIN, SDE))
def test_dpmpp_on_a_table(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.DPMSolverMultistepScheduler(**options), steps, seed)


@parity(BETAS, PREDICTIONS, st.one_of(KARRAS, LU), DPM)
def test_dpmpp_at_other_ratios(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.DPMSolverMultistepScheduler(**options), steps, seed)


SHIFTS = st.one_of(st.sampled_from([3.0, 5.0, 8.0, 16.0]), st.floats(1.1, 17.0))
"""Without 1, where diffusers' arithmetic tells 666 of 667 when 1000 sigma is a whole number."""


@parity(DPM, st.sampled_from([{"prediction_type": kind} for kind in ("flow_prediction", "sample")]),
        st.fixed_dictionaries({"flow_shift": SHIFTS}))  # fmt: skip
def test_dpmpp_on_a_flow(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.DPMSolverMultistepScheduler(use_flow_sigmas=True, **options), steps, seed)


UNIPC = st.fixed_dictionaries(
    {
        "solver_order": st.integers(1, 3),
        "disable_corrector": st.lists(st.integers(0, 4), max_size=2, unique=True),
    }
)


BH1 = st.just({"solver_type": "bh1", "final_sigmas_type": "sigma_min"})
"""Diffusers' own bh1 gives NaN in a last step to sigma 0."""


@parity(BETAS, st.one_of(PREDICTIONS, ZERO), SPACINGS, UNIPC, st.one_of(ENDS, BH1))
def test_unipc_on_a_table(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.UniPCMultistepScheduler(**options), steps, seed)


@parity(BETAS, PREDICTIONS, KARRAS, UNIPC)
def test_unipc_at_other_ratios(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.UniPCMultistepScheduler(**options), steps, seed)


@parity(
    UNIPC, st.fixed_dictionaries({"flow_shift": SHIFTS}), st.sampled_from([{}, {"shift_terminal": 0.1003}])
)
def test_unipc_on_a_flow(options: dict[str, Any], steps: int, seed: int) -> None:
    options |= {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}
    check(diffusers.UniPCMultistepScheduler(**options), steps, seed)


FLOW = st.fixed_dictionaries(
    {
        "shift": SHIFTS,
        "shift_terminal": st.sampled_from([None, 0.1]),
        "num_train_timesteps": st.sampled_from([1000, 200]),
    }
)


@parity(FLOW, st.one_of(PLAIN, RESPACED, st.just({"stochastic_sampling": True})))
def test_flow_euler(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.FlowMatchEulerDiscreteScheduler(**options), steps, seed)


@given(
    tokens=st.integers(100, 40_000),
    growth=st.sampled_from(["exponential", "linear"]),
    sizes=st.sampled_from([(0.5, 1.15, 256, 4096), (0.95, 2.05, 1024, 4096)]),
    terminal=st.sampled_from([None, 0.1]),
    steps=STEPS,
    seed=SEEDS,
)
@settings(max_examples=8, deadline=None)
def test_flow_euler_shifts_by_the_tokens(
    tokens: int,
    growth: str,
    sizes: tuple[float, float, int, int],
    terminal: float | None,
    steps: int,
    seed: int,
) -> None:
    base, most, few, many = sizes
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler(
        use_dynamic_shifting=True, time_shift_type=growth, shift_terminal=terminal,
        base_shift=base, max_shift=most, base_image_seq_len=few, max_image_seq_len=many,
    )  # fmt: skip
    mu = base + (tokens - few) * (most - base) / (many - few)  # as the pipelines compute it
    check(scheduler, steps, seed, mu=mu, tokens=tokens)


@parity(st.fixed_dictionaries({"shift": SHIFTS}))
def test_flow_heun(options: dict[str, Any], steps: int, seed: int) -> None:
    check(diffusers.FlowMatchHeunDiscreteScheduler(**options), steps, seed)


NOT_IMPLEMENTED: list[tuple[str, dict[str, Any]]] = [
    ("DDIMScheduler", {"clip_sample": True}),
    ("DDIMScheduler", {"thresholding": True, "clip_sample": False}),
    ("DDIMScheduler", {"beta_schedule": "sigmoid", "clip_sample": False}),
    ("DDIMScheduler", {"set_alpha_to_one": False, "clip_sample": False}),
    ("DDPMScheduler", {"variance_type": "learned_range", "clip_sample": False}),
    ("DDPMScheduler", {"variance_type": "fixed_large", "clip_sample": False}),
    ("EulerDiscreteScheduler", {"interpolation_type": "log_linear"}),
    ("EulerDiscreteScheduler", {"timestep_type": "continuous"}),
    ("EulerDiscreteScheduler", {"final_sigmas_type": "sigma_min"}),
    ("EulerDiscreteScheduler", {"rescale_betas_zero_snr": True, "use_karras_sigmas": True}),
    ("EulerAncestralDiscreteScheduler", {"prediction_type": "sample"}),
    ("HeunDiscreteScheduler", {"clip_sample": True}),
    ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver", "final_sigmas_type": "sigma_min"}),
    ("DPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++", "solver_type": "heun"}),
    ("DPMSolverMultistepScheduler", {"lambda_min_clipped": -5.1}),
    ("DPMSolverMultistepScheduler", {"variance_type": "learned"}),
    ("DPMSolverMultistepScheduler", {"use_flow_sigmas": True, "use_karras_sigmas": True}),
    ("DPMSolverMultistepScheduler", {"use_flow_sigmas": True, "prediction_type": "v_prediction"}),
    ("DPMSolverMultistepScheduler", {"use_karras_sigmas": True, "final_sigmas_type": "sigma_min"}),
    ("UniPCMultistepScheduler", {"prediction_type": "flow_prediction"}),
    ("UniPCMultistepScheduler", {"predict_x0": False}),
    ("UniPCMultistepScheduler", {"use_flow_sigmas": True, "final_sigmas_type": "sigma_min"}),
]


@pytest.mark.parametrize(("name", "options"), NOT_IMPLEMENTED, ids=str)
def test_what_is_not_implemented_is_refused_by_name_and_value(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as problem:
        layout().read({"_class_name": name, **options})
    told = str(problem.value)
    assert name in told
    assert "\n" not in told
    assert any(f"{key}={value!r}" in told for key, value in options.items())


def test_an_unknown_setting_or_class_is_refused_with_close_ones() -> None:
    with pytest.raises(ConfigError, match=r"no setting 'shft'.*shift"):
        layout().read({"_class_name": "FlowMatchEulerDiscreteScheduler", "shft": 3.0})
    with pytest.raises(UnknownNameError, match="DDIMScheduler"):
        layout("DDIMSchedular")


def test_settings_of_another_sampler_change_nothing_and_say_so() -> None:
    name, plain = "EulerAncestralDiscreteScheduler", {"clip_sample": False, "sigma_min": None}
    found = layout().read({"_class_name": name, **plain})
    with pytest.warns(UserWarning, match="lambda_min_clipped"):
        assert layout().read({"_class_name": name, "lambda_min_clipped": -5.1}) == found


@pytest.mark.parametrize("name", sorted(layout().config.classes))
def test_the_defaults_are_those_of_diffusers(name: str) -> None:
    from vidgen_solvers.layout_settings import DEFAULTS

    wanted = {key: one for key, one in saved(getattr(diffusers, name)()).items() if not key.startswith("_")}
    assert DEFAULTS[name] == wanted


def test_what_no_sampler_of_diffusers_does_is_not_written() -> None:
    slot = vidgen.recipe.Slot.read("scheduler", {"name": "unipc", "config": {"grid": "linear-quadratic"}})
    with pytest.raises(ConfigError, match=r"UniPCMultistepScheduler would with .*grid={'name': 'shifted'"):
        layout().write(PublishedScheduler(slot, ProcessSpec(), "flow"))
    stranger = vidgen.recipe.Slot.read("scheduler", "diffusers")
    assert layout().write(PublishedScheduler(stranger, ProcessSpec(), "flow")) is None


def test_inverted_sigmas_are_kept_for_the_denoiser() -> None:
    found = layout().read(saved(diffusers.FlowMatchEulerDiscreteScheduler(invert_sigmas=True)))
    plain = layout().read(saved(diffusers.FlowMatchEulerDiscreteScheduler()))
    assert found.inverted
    assert found.slot == plain.slot
    written = layout().write(found)
    assert written is not None
    assert written["invert_sigmas"]


@pytest.mark.parametrize("process", [ProcessSpec(), ProcessSpec(family="vp-linear", zero_terminal_snr=True)])
@pytest.mark.parametrize("name", sorted(layout().config.classes))
def test_every_reading_runs_on_any_process_from_any_start(name: str, process: ProcessSpec) -> None:
    """A sampler may be swapped under a denoiser of another process, and may begin from a partly noised sample."""
    found = layout().read(
        {"_class_name": name, "clip_sample": False} if "FlowMatch" not in name else {"_class_name": name}
    )
    scheduler = vidgen.create("scheduler", found.slot.spec.name, config=found.slot.config)
    for steps in (1, 2, 7):
        for start in (None, 0.6):
            grid = scheduler.grid(Process(process), steps, start=start)
            assert start is None or float(grid.t[0]) == pytest.approx(start)
            x = scheduler.solve(lambda x, t: torch.tanh(x), grid.begin(draw(0, *SHAPE)), grid)
            assert x.isfinite().all()
