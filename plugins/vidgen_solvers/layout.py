"""diffusers' samplers: their ``scheduler_config.json`` as solver, grid, process and prediction, and back. No torch.

A setting is honoured, or refused by name and value. One that belongs to another sampler is ignored, as diffusers does,
with a warning where it would change something.
"""

from __future__ import annotations

import itertools
import math
import operator
import warnings
from collections.abc import Mapping
from typing import Any, cast

from vidgen.config import Config
from vidgen.errors import ConfigError, closest
from vidgen.layout import PublishedScheduler, SchedulerLayout
from vidgen.process import ProcessSpec
from vidgen.recipe import Slot
from vidgen_solvers.config import GRID_OPTIONS, SolverConfig
from vidgen_solvers.grid_config import BELOW_ONE, ShiftedGridConfig, TableGridConfig
from vidgen_solvers.layout_settings import DEFAULTS

__all__ = ["DiffusersScheduler"]

SCHEDULES = {"linear": "vp-linear", "scaled_linear": "vp-scaled-linear", "squaredcos_cap_v2": "vp-cosine"}
PREDICTIONS: dict[str, Any] = {
    "epsilon": "epsilon",
    "sample": "sample",
    "v_prediction": "v",
    "flow_prediction": "flow",
}
RESPACED = {
    "use_karras_sigmas": "karras",
    "use_exponential_sigmas": "exponential",
    "use_beta_sigmas": "beta",
    "use_lu_lambdas": "exponential",
}
ALMOST_ZERO = 2**-24
"""What samplers that work in sigma / alpha leave of the clean sample at zero terminal SNR."""

Settings = Mapping[str, Any]


class DiffusersScheduler(SchedulerLayout):
    """Reads and writes the settings of diffusers' samplers."""

    def read(self, settings: Mapping[str, Any]) -> PublishedScheduler:
        """Translate a ``scheduler_config.json``; see `vidgen.layout.SchedulerLayout.read`."""
        given = _filled(settings)
        if given.get("use_flow_sigmas") or given["_class_name"].startswith("FlowMatch"):
            return _flow(given)
        return _table(given)

    def write(self, scheduler: PublishedScheduler) -> dict[str, Any] | None:
        """Return settings that `read` gives `scheduler` for; None where no sampler of diffusers has its solver.

        Raises:
            ConfigError: Where one has, but not with these settings; says what would have to change.
        """
        if not isinstance(scheduler.slot.config, SolverConfig):
            return None
        found, near = _settings(scheduler), dict[str, list[str]]()
        for name, defaults in DEFAULTS.items():
            settings = {"_class_name": name, **{key: found.get(key, one) for key, one in defaults.items()}}
            try:
                there = self.read(settings)
            except ConfigError:
                continue
            if _same(there, scheduler):
                return settings
            if there.slot.spec == scheduler.slot.spec and there.process.family == scheduler.process.family:
                near[name] = _changes(there, scheduler)
        if not near:
            return None
        name = min(near, key=lambda one: len(near[one]))
        raise ConfigError(
            f"No published sampler does what {scheduler.slot.spec.name!r} does with these settings; "
            f"{name} would with {', '.join(near[name])}."
        )


def _filled(settings: Settings) -> dict[str, Any]:
    """Return all settings of a class; what is left out has its default.

    Raises:
        ConfigError: For a setting that no sampler has.
    """
    name = settings["_class_name"]
    known, foreign = DEFAULTS[name], {key: one for table in DEFAULTS.values() for key, one in table.items()}
    for key, value in settings.items():
        if key in known or key.startswith("_") or key == "skip_prk_steps":
            continue
        if key not in foreign:
            raise ConfigError(f"{name} has no setting {key!r}.{closest(key, known)}")
        if value and value not in [table[key] for table in DEFAULTS.values() if key in table]:
            warnings.warn(f"{name} has no setting {key!r}, so {value!r} changes nothing there.", stacklevel=3)
    return {**known, **{key: one for key, one in settings.items() if key in known}, "_class_name": name}


def _only(given: Settings, name: str, *allowed: Any) -> Any:
    """Return the value of a setting, which must be one of those allowed; a class without it has the first."""
    value = given.get(name, allowed[0])
    if value not in allowed:
        raise ConfigError(
            f"{given['_class_name']}: {name}={value!r} is not implemented, "
            f"only {' or '.join(map(repr, allowed))}."
        )
    return value


def _respaced(given: Settings, *allowed: str) -> str:
    """Return the first switch of another spacing that is on; empty for none."""
    on = [name for name in RESPACED if given.get(name)]
    if len(on) > 1:
        raise ConfigError(f"{given['_class_name']}: {' and '.join(on)} exclude each other; leave one.")
    if on and allowed and on[0] not in allowed:
        _only(given, on[0], False)
    return on[0] if on else ""


def _slot(name: str, grid: str, places: Config, **fields: Any) -> Slot:
    """Return a solver on a grid, with those fields of the grid that are not as by default."""
    plain = type(places)().to_dict()
    changed = {key: one for key, one in places.to_dict().items() if one != plain[key]}
    return Slot.read("scheduler", {"name": name, "config": {"grid": {"name": grid, **changed}, **fields}})


def _solver(given: Settings) -> tuple[str, dict[str, Any]]:
    """Return the solver and its options."""
    name = given["_class_name"]
    for switch in ("thresholding", "clip_sample"):
        if not name.startswith("CogVideoX"):  # which have the second, and never look at it
            _only(given, switch, False)
    if name.startswith("DPMSolver"):
        kind = _only(given, "algorithm_type", "dpmsolver++", "deis", "sde-dpmsolver++")
        rule = _only(given, "solver_type", "midpoint", "heun", "logrho", "bh1", "bh2")
        _only(given, "variance_type", None)
        _only(given, "lambda_min_clipped", -math.inf)
        eta = float(kind == "sde-dpmsolver++")
        if eta:
            _only(given, "solver_order", 2, 1)
            _only(given, "solver_type", "midpoint", "logrho", "bh1", "bh2")
        return "dpmpp-2m", {
            "order": _only(given, "solver_order", 2, 1, 3),
            "rule": rule if rule == "heun" else "midpoint",
            "lower_final": given["lower_order_final"],
            "first_final": given["euler_at_final"],
            "eta": eta,
        }
    if name.startswith("UniPC"):
        rule = _only(given, "solver_type", "bh2", "bh1", "midpoint", "heun", "logrho")
        _only(given, "predict_x0", True)
        _only(given, "solver_p", None)
        return "unipc", {
            "order": _only(given, "solver_order", 2, 1, 3),
            "rule": rule if rule == "bh1" else "bh2",
            "lower_final": given["lower_order_final"],
            "uncorrected": tuple(given["disable_corrector"]),
        }
    if name == "CogVideoXDPMScheduler":
        return "dpmpp-2m", {"eta": 1.0, "first_final": True}
    if name.startswith("DDPM"):
        _only(given, "variance_type", "fixed_small")
        return "ancestral", {}
    if name.startswith("EulerAncestral"):
        _only(given, "prediction_type", "epsilon", "v_prediction")
        return "ancestral", {}
    if given.get("stochastic_sampling"):
        return "ancestral", {"fresh": True}
    if "Heun" in name:
        return "heun", {} if name.startswith("FlowMatch") else {"space": "ratio"}
    return "euler", {}


def _table(given: Settings) -> PublishedScheduler:
    """Read a sampler of a variance-preserving table."""
    name = given["_class_name"]
    solver, fields = _solver(given)
    _only(given, "prediction_type", "epsilon", "v_prediction", "sample")
    _only(given, "interpolation_type", "linear")
    _only(given, "timestep_type", "discrete")
    _only(given, "use_dynamic_shifting", False)
    _only(given, "shift_terminal", None)
    multistep = name.startswith(("DPMSolver", "UniPC"))
    ratios = multistep or name.startswith(("Euler", "Heun"))  # these work in sigma / alpha
    spacing = _only(given, "timestep_spacing", "leading", "trailing", "linspace")
    respaced = _respaced(given)
    if respaced:  # the spacing would reach between the last two entries, which are worlds apart
        _only(given, "rescale_betas_zero_snr", False)
    places = TableGridConfig.from_dict(
        {
            "spacing": spacing,
            "offset": given["steps_offset"] if spacing == "leading" else 0,
            "cut": multistep,
            "whole": multistep or not ratios,
            "respaced": RESPACED.get(respaced, "no"),
            "whole_table": multistep,
            "sigma_max": (given.get("sigma_max") or 0.0) if respaced else 0.0,
            "sigma_min": (given.get("sigma_min") or 0.0) if respaced else 0.0,
        }
    )
    told = "exact" if ratios and not multistep else "nearest"
    if multistep and respaced:
        rounds = respaced in ("use_karras_sigmas", "use_lu_lambdas")
        fraction = given["beta_schedule"] == "squaredcos_cap_v2" and name.startswith("DPMSolver")
        told = "nearest" if rounds and not fraction else "down"
    process = _process(given, told, ALMOST_ZERO if ratios and given.get("rescale_betas_zero_snr") else 0.0)
    final = {"final_sigmas_type": "sigma_min", "set_alpha_to_one": False}
    for setting, value in final.items():
        if given.get(setting) == value:
            if (respaced and multistep) or (not places.cut and _ends_at_first(places)):
                raise ConfigError(
                    f"{name}: {setting}={value!r} is not implemented where the last time is the table's first entry"
                    " already, which makes an empty step."
                )
            fields["end"] = 1 / (len(process.table) or process.steps)
    if ratios and not multistep and spacing != "leading":
        fields["begin"] = "sigma"
    prediction = PREDICTIONS[given["prediction_type"]]
    return PublishedScheduler(_slot(solver, "table", places, **fields), process, prediction)


def _ends_at_first(places: TableGridConfig) -> bool:
    return places.spacing == "linspace" or (places.spacing == "leading" and places.offset == 0)


def _process(given: Settings, told: str, terminal: float) -> ProcessSpec:
    common: dict[str, Any] = {
        "zero_terminal_snr": given.get("rescale_betas_zero_snr", False),
        "terminal": terminal,
        "snr_shift": float(given.get("snr_shift_scale", 1.0)),
        "told": told,
    }
    if given["trained_betas"] is not None:
        kept = [1 - beta for beta in given["trained_betas"]]
        table = tuple(itertools.accumulate(kept, operator.mul))
        return ProcessSpec(family="table", steps=len(table), table=table, **common)
    family = SCHEDULES[_only(given, "beta_schedule", *SCHEDULES)]
    if family != "vp-cosine":
        common |= {"beta_start": given["beta_start"], "beta_end": given["beta_end"]}
    return ProcessSpec.from_dict({"family": family, "steps": given["num_train_timesteps"], **common})


def _flow(given: Settings) -> PublishedScheduler:
    """Read a sampler of a straight process."""
    name, entries = given["_class_name"], given["num_train_timesteps"]
    solver, fields = _solver(given)
    matching = name.startswith("FlowMatch")
    respaced = _respaced(given, *(() if matching else ("none",)))
    _only(given, "final_sigmas_type", "zero")
    shift = float(given["shift"] if matching else given["flow_shift"])
    places: dict[str, Any] = {
        "shift": shift,
        "terminal": given.get("shift_terminal") or 0.0,
        "respaced": RESPACED.get(respaced, "no"),
    }
    if given.get("use_dynamic_shifting"):
        growth = _only(given, "time_shift_type", "exponential", "linear")
        places |= {"shift": 1.0, "dynamic": True, "growth": growth}
        for ours, theirs in SIZES.items():
            places |= {ours: given[theirs]} if theirs in given else {}
    if matching:
        low = 1 / entries  # which the class shifts twice, unless the shift is dynamic
        low = low if places.get("dynamic") else shift * low / (1 + (shift - 1) * low)
        places |= {"last": low, "reach": True}
    elif name.startswith("UniPC"):
        places |= {"last": 1 / entries, "below_one": BELOW_ONE}
    else:
        places |= {"first": 1 - 1 / entries}
    prediction = "flow_prediction"
    if not matching:
        prediction = _only(given, "prediction_type", "flow_prediction", "epsilon", "sample")
    return PublishedScheduler(
        _slot(solver, "shifted", ShiftedGridConfig.from_dict(places), begin="unit", **fields),
        ProcessSpec(steps=entries, told="exact" if matching else "down"),
        PREDICTIONS[prediction],
        inverted=bool(given.get("invert_sigmas")),
    )


SIZES = {
    "base_shift": "base_shift",
    "max_shift": "max_shift",
    "base_tokens": "base_image_seq_len",
    "max_tokens": "max_image_seq_len",
}


def _key(scheduler: PublishedScheduler) -> tuple[Any, ...]:
    """Return what makes two alike, whichever way the grid is written."""
    config = cast("SolverConfig", scheduler.slot.config)
    grid, places = config.grid_choice()
    bare = config.replace(grid="uniform", **dict.fromkeys(GRID_OPTIONS))
    process = scheduler.process.to_dict() | {"table": None}
    return (
        scheduler.slot.spec.name,
        bare,
        grid.name,
        places,
        scheduler.prediction,
        scheduler.inverted,
        process,
    )


def _same(one: PublishedScheduler, other: PublishedScheduler) -> bool:
    tables = one.process.table, other.process.table
    close = len(tables[0]) == len(tables[1]) and all(
        math.isclose(a, b, rel_tol=1e-9) for a, b in zip(*tables, strict=True)
    )
    return close and _key(one) == _key(other)


def _changes(there: PublishedScheduler, here: PublishedScheduler) -> list[str]:
    """Return the settings of `there` that those of `here` would have to become."""
    one, other = cast("SolverConfig", there.slot.config), cast("SolverConfig", here.slot.config)
    ours, plain = other.to_dict(), GRID_OPTIONS
    found = {n: v for n, v in one.to_dict().items() if n not in ("grid", *plain) and v != ours[n]}
    if one.grid_choice()[1] != other.grid_choice()[1]:
        found["grid"] = one.grid
    told = here.process.to_dict()
    found |= {f"process.{n}": v for n, v in there.process.to_dict().items() if v != told[n]}
    if there.prediction != here.prediction:
        found["prediction"] = there.prediction
    return [f"{name}={value!r}" for name, value in found.items()] or ["the same time's direction"]


def _settings(scheduler: PublishedScheduler) -> dict[str, Any]:
    """Return what the settings of any sampler must be for this one, under all names that they have."""
    config, process = scheduler.slot.config, scheduler.process
    option = {"begin": None, "order": 2, "rule": "", "lower_final": False, **config.to_dict()}
    _, places = cast("SolverConfig", config).grid_choice()
    place = {"spacing": "leading", "offset": 0, "shift": 1.0, "respaced": "no", **places.to_dict()}
    turned = {name: other for other, name in PREDICTIONS.items()}
    schedules = {family: schedule for schedule, family in SCHEDULES.items()}
    betas = [1 - b / a for a, b in itertools.pairwise((1.0, *process.table))] if process.table else None
    flow = process.family == "rectified-flow"
    found: dict[str, Any] = {
        "num_train_timesteps": len(process.table) or process.steps,
        "beta_start": process.beta_start,
        "beta_end": process.beta_end,
        "beta_schedule": schedules.get(process.family, "linear"),
        "trained_betas": betas,
        "prediction_type": turned[scheduler.prediction],
        "rescale_betas_zero_snr": process.zero_terminal_snr,
        "snr_shift_scale": process.snr_shift,
        "clip_sample": False,
        "timestep_spacing": place["spacing"],
        "steps_offset": place["offset"],
        "set_alpha_to_one": option["end"] == 0,
        "final_sigmas_type": "sigma_min" if option["end"] else "zero",
        "sigma_max": place.get("sigma_max") or None,
        "sigma_min": place.get("sigma_min") or None,
        "solver_order": option["order"],
        "solver_type": option["rule"],
        "algorithm_type": "sde-dpmsolver++" if option.get("eta") else "dpmsolver++",
        "lower_order_final": option["lower_final"],
        "euler_at_final": option.get("first_final", False),
        "disable_corrector": list(option.get("uncorrected", ())),
        "use_flow_sigmas": flow,
        "shift": place["shift"],
        "flow_shift": place["shift"],
        "use_dynamic_shifting": place.get("dynamic", False),
        "time_shift_type": place.get("growth", "exponential"),
        "shift_terminal": place.get("terminal") or None,
        "invert_sigmas": scheduler.inverted,
        "stochastic_sampling": option.get("fresh", False),
        **{theirs: place[ours] for ours, theirs in SIZES.items() if ours in place},
    }
    lambdas = process.told == "nearest" and place["respaced"] == "exponential"
    for switch, kind in RESPACED.items():
        found[switch] = place["respaced"] == kind and (switch == "use_lu_lambdas") == (
            kind == "exponential" and lambdas
        )
    return found
