"""Schedulers of diffusers: the same samples as their own loop, and refused where they would be silently wrong."""

from __future__ import annotations

import inspect
import json
import typing
from typing import Any

import pytest
import torch
from torch import Tensor

import vidgen
from vidgen.errors import ConfigError, ContractError
from vidgen.process import Process
from vidgen.testing import check_component
from vidgen.testing.mixture import two_gaussians

pytestmark = [
    pytest.mark.filterwarnings("ignore:Random weights"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (pip install diffusers)")

SPEC = vidgen.find("scheduler", "diffusers")
STEPS = 8
MIXTURE = two_gaussians()
"""Its denoiser is known exactly, so that only the solvers are compared."""


def by_hand(
    config: Any, steps: int, noise: Tensor, generators: list[torch.Generator], **times: Any
) -> Tensor:
    """Run diffusers' own loop, as its pipelines do, around a model that gives the raw output."""
    scheduler = getattr(diffusers, config.model)(**config.options)
    scheduler.set_timesteps(steps, **times)
    takes = inspect.signature(scheduler.step).parameters
    chance = {"generator": generators} if "generator" in takes else {}
    x = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    old, back = None, None
    for number, t in enumerate(scheduler.timesteps):
        scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        output = raw(scheduler, config, scaled, x, t, number)
        if config.model == "CogVideoXDPMScheduler":
            x, old = scheduler.step(output, old, t, back, x, return_dict=False, **chance)
            back = t
        else:
            x = scheduler.step(output, t, x, return_dict=False, **chance)[0]
    return x


def raw(scheduler: Any, config: Any, scaled: Tensor, x: Tensor, t: Tensor, number: int) -> Tensor:
    """Return what a perfect model of the scheduler's prediction type says."""
    kind = config.options.get("prediction_type", "epsilon")
    if hasattr(scheduler, "sigmas"):
        s = float(scheduler.sigmas[number])
        if hasattr(scheduler, "sigmas_up") and number % 2:
            s = float(scheduler.sigmas_interpol[number - 1])
        elif hasattr(scheduler, "sigmas_interpol") and number % 2:
            s = float(scheduler.sigmas_interpol[number])
        flow = config.model.startswith(("Flow", "LTX")) or config.options.get("use_flow_sigmas")
        if flow:
            inverted = config.options.get("invert_sigmas")
            sigma = 1 - s if inverted else s
            clean = MIXTURE.clean(x.double(), 1 - sigma, sigma).to(x)
            velocity = (x - clean) / sigma
            return -velocity if inverted else velocity
        alpha, sigma = (1 + s * s) ** -0.5, s * (1 + s * s) ** -0.5
    else:
        bar = float(scheduler.alphas_cumprod[int(t)].double())
        alpha, sigma = bar**0.5, (1 - bar) ** 0.5
        s = sigma / max(alpha, 1e-12)
    if config.model.startswith("EDM"):
        clean = MIXTURE.clean(x.double(), 1.0, s).to(x)
        data = scheduler.config.sigma_data
        total = s * s + data * data
        return (clean - data * data / total * x) * total**0.5 / (s * data)
    clean = MIXTURE.clean(scaled.double(), alpha, sigma).to(x)
    noise = (scaled - alpha * clean) / sigma
    return {"epsilon": noise, "sample": clean, "v_prediction": alpha * noise - sigma * clean}[kind]


def seeds(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


def unit(count: int = 4) -> Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(7))


def sampled(config: Any, steps: int, noise: Tensor, **grid: Any) -> Tensor:
    scheduler = vidgen.create("scheduler", "diffusers", config=config)
    process = Process(config.contract().process)
    times = scheduler.grid(process, steps, **grid)

    def denoise(x: Tensor, t: float) -> Tensor:
        alpha, sigma = process.alpha_sigma(t)
        return MIXTURE.clean(x.double(), alpha, sigma).to(x)

    return scheduler.solve(denoise, times.begin(noise), times, generators=seeds(len(noise)))


CASES = dict(SPEC.presets)
for _name in (
    "ddim",
    "euler-discrete",
    "euler-ancestral",
    "heun-discrete",
    "unipc",
    "dpm-multistep",
    "pndm",
    "lms",
):
    _config = SPEC.presets[_name]
    CASES[f"{_name} v"] = _config.replace(options={**_config.options, "prediction_type": "v_prediction"})


@pytest.mark.parametrize("name", CASES)
def test_equals_its_own_loop(name: str, record_property: Any) -> None:
    config = CASES[name]
    times: dict[str, Any] = {}
    if config.even_sigmas:
        times["sigmas"] = torch.linspace(1, 1 / STEPS, STEPS).tolist()
    if config.options.get("use_dynamic_shifting"):
        times["mu"] = 0.95 + (2000 - 1024) / (4096 - 1024) * (2.05 - 0.95)
    expected = by_hand(config, STEPS, unit(), seeds(4), **times)
    made = sampled(config, STEPS, unit(), tokens=2000)
    assert expected.isfinite().all()
    worst = float((made - expected).abs().max())
    record_property("largest_difference", worst)
    assert worst < 1e-5


FLOW = {"autoencoder": "sora-vae/tiny", "denoiser": "sora-dit/tiny", "text_encoder": "bytes/tiny"}
WRONG = ("euler-discrete", "euler-ancestral", "heun-discrete", "cosmos-1.0")
"""What runs in diffusers' Wan pipeline without a word and samples another process."""


@pytest.mark.parametrize("name", [n for n, c in SPEC.presets.items() if c.path != "flow"])
def test_another_process_than_the_denoisers_is_refused(name: str) -> None:
    with pytest.raises(ContractError, match=r"differ in process.*solver that follows the denoiser"):
        vidgen.compose(**FLOW, scheduler=f"diffusers/{name}")
    scheduler = vidgen.create("scheduler", f"diffusers/{name}")
    with pytest.raises(ConfigError, match="not on rectified-flow"):
        scheduler.grid(Process(vidgen.find("denoiser", "sora-dit").preset().process), 4)


def test_the_silently_wrong_are_among_them() -> None:
    assert all(SPEC.presets[name].path != "flow" for name in WRONG)


@pytest.mark.parametrize("name", [n for n, c in SPEC.presets.items() if c.path == "flow"])
def test_the_same_process_samples(name: str) -> None:
    pipe = vidgen.compose(**FLOW, scheduler=f"diffusers/{name}")
    made = pipe("a red circle", frames=5, height=32, width=32, steps=3, seed=0)
    assert made == pipe("a red circle", frames=5, height=32, width=32, steps=3, seed=0)
    assert made.numpy().shape == (5, 32, 32, 3)


@pytest.mark.parametrize("name", ["ddim", "euler-ancestral", "unipc", "pndm"])
def test_tables_sample_with_a_denoiser_of_that_table(name: str) -> None:
    parts = FLOW | {"denoiser": "latte/tiny"}
    made = vidgen.compose(**parts, scheduler=f"diffusers/{name}")
    assert made("a", frames=5, height=32, width=32, steps=3, seed=0).numpy().shape == (5, 32, 32, 3)
    with pytest.raises(ContractError, match=r"against 'vp-scaled-linear \(zero terminal SNR\) of 1000 steps"):
        vidgen.compose(**parts, scheduler="diffusers/cogvideox-5b")


CHECKS = ["evaluations-as-declared", "chance-as-declared", "state-is-in-the-run", "keeps-shape-and-type"]


@pytest.mark.parametrize(
    "name", [n for n in SPEC.presets if n not in ("ltx", "kdpm2", "kdpm2-ancestral", "tiny")]
)
def test_conduct(name: str) -> None:
    """Left out: ltx, whose shift wants a number of tokens, and kdpm2, whose times take diffusers seconds to set."""
    rows = check_component("scheduler", f"diffusers/{name}", checks=CHECKS)
    assert [(row.check, row.message) for row in rows if row.status != "pass"] == []


@pytest.mark.parametrize("name", [n for n, c in SPEC.presets.items() if c.facts.free and n != "ltx"])
def test_begins_later(name: str) -> None:
    scheduler = vidgen.create("scheduler", f"diffusers/{name}")
    process = Process(SPEC.presets[name].process())
    grid = scheduler.grid(process, 4, start=0.6)
    assert float(grid.t[0]) == pytest.approx(0.6)
    assert scheduler.solve(lambda x, t: 0.5 * x, unit(), grid, generators=seeds(4)).isfinite().all()


@pytest.mark.parametrize(
    "name", [n for n, c in SPEC.presets.items() if not c.facts.free and "kdpm2" not in n]
)
def test_runs_along_its_own_times_alone(name: str) -> None:
    scheduler = vidgen.create("scheduler", f"diffusers/{name}")
    process = Process(SPEC.presets[name].process())
    with pytest.raises(ConfigError, match="its own first time alone"):
        scheduler.grid(process, 4, start=0.6)
    other = type(scheduler.grid(process, 4)).of(process, torch.linspace(0.9, 0.1, 5))
    with pytest.raises(ConfigError, match="its own times alone"):
        scheduler.solve(lambda x, t: x, unit(), other, generators=seeds(4))


@pytest.mark.parametrize("name", sorted({c.model for c in SPEC.presets.values()}))
def test_arguments_are_those_of_the_class(name: str) -> None:
    found = inspect.signature(getattr(diffusers, name).__init__).parameters
    theirs = {
        n: list(p.default) if isinstance(p.default, tuple) else p.default
        for n, p in found.items()
        if n != "self"
    }
    config = next(c for c in SPEC.presets.values() if c.model == name)
    assert config.facts.defaults == theirs


def test_every_class_has_a_preset_and_none_is_both() -> None:
    models = set(typing.get_args(typing.get_type_hints(SPEC.config)["model"]))
    assert models == {config.model for config in SPEC.presets.values()}
    assert len(models) == 22


@pytest.mark.parametrize(
    ("name", "why"),
    [("LCMScheduler", "distilled"), ("HeliosScheduler", "pyramid"), ("PiflowScheduler", "policy"),
     ("SCMScheduler", "distilled"), ("UniPCScheduler", "Did you mean 'UniPCMultistepScheduler'")],
)  # fmt: skip
def test_what_is_no_solver_is_refused_by_name(name: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        SPEC.config.from_published({"_class_name": name})
    assert "Supported: CogVideoXDDIMScheduler" in str(caught.value)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("DDIMScheduler", {"beta_shedule": "linear"}, "Did you mean 'beta_schedule'"),
        ("HeunDiscreteScheduler", {"beta_schedule": "exp"}, "beta_schedule may be"),
        ("UniPCMultistepScheduler", {"prediction_type": "flow_prediction"}, "wants use_flow_sigmas"),
        ("UniPCMultistepScheduler", {"use_dynamic_shifting": True}, "use_dynamic_shifting may be False"),
        (
            "FlowMatchEulerDiscreteScheduler",
            {"stochastic_sampling": True},
            "stochastic_sampling may be False",
        ),
        ("PNDMScheduler", {}, "skip_prk_steps may be True"),
    ],
)
def test_settings_that_are_not_implemented_are_refused(model: Any, options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SPEC.config(model=model, options=options)


def test_reads_what_diffusers_writes(tmp_path: Any) -> None:
    theirs = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0
    )
    theirs.save_config(tmp_path)
    data = json.loads((tmp_path / "scheduler_config.json").read_text())
    read = SPEC.config.from_published(data)
    assert read.options == {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 5.0}
