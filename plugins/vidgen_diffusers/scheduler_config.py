"""What a scheduler of diffusers can be set to, and what it declares. No torch here."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Collection, Mapping
from typing import Any, Literal, Self

from vidgen.config import config, require
from vidgen.contract import SchedulerConfig, SchedulerContract
from vidgen.errors import ConfigError, closest
from vidgen.process import ProcessSpec
from vidgen_diffusers.library import class_name
from vidgen_diffusers.options import Options
from vidgen_diffusers.scheduler_models import REFUSED, SAMPLERS, Sampler

__all__ = ["DiffusersSchedulerConfig"]

FAMILIES: Mapping[str, Literal["vp-linear", "vp-scaled-linear", "vp-cosine"]] = {
    "linear": "vp-linear",
    "scaled_linear": "vp-scaled-linear",
    "squaredcos_cap_v2": "vp-cosine",
}
PREDICTIONS = ("epsilon", "sample", "v_prediction", "flow_prediction")


@config
class DiffusersSchedulerConfig(SchedulerConfig):
    """Settings of a scheduler of diffusers.

    Attributes:
        model: The class.
        options: Its arguments as its ``scheduler_config.json`` has them; for those left out its defaults hold.
        even_sigmas: Hand it sigmas at equal distances from 1 to 1 / steps, as the pipelines of HunyuanVideo, LTX and
            others do, in place of its own; it shifts both alike.
    """

    model: Literal[
        "CogVideoXDDIMScheduler",
        "CogVideoXDPMScheduler",
        "DDIMScheduler",
        "DDPMScheduler",
        "DEISMultistepScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "EDMDPMSolverMultistepScheduler",
        "EDMEulerScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "FlowMapEulerDiscreteScheduler",
        "FlowMatchEulerDiscreteScheduler",
        "FlowMatchHeunDiscreteScheduler",
        "HeunDiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "LMSDiscreteScheduler",
        "LTXEulerAncestralRFScheduler",
        "PNDMScheduler",
        "SASolverScheduler",
        "UniPCMultistepScheduler",
    ] = "FlowMatchEulerDiscreteScheduler"
    options: Any = Options()
    even_sigmas: bool = False

    def validate(self) -> None:
        """Check the options against the class."""
        name = type(self).__name__
        require(
            isinstance(self.options, Mapping),
            f"{name}.options must be a table of arguments, not {self.options!r}.",
        )
        defaults = self.facts.defaults
        for field in self.options:
            if field not in defaults and not field.startswith("_"):
                raise ConfigError(f"{self.model} has no argument {field!r}.{closest(field, defaults)}")
        plain = Options({n: v for n, v in self.options.items() if n in defaults})
        object.__setattr__(self, "options", Options({n: v for n, v in plain.items() if v != defaults[n]}))
        fields = self.fields
        for field, only in {"prediction_type": PREDICTIONS, **self.facts.only}.items():
            allowed = only if isinstance(only, tuple) else (only,)
            require(
                fields.get(field, allowed[0]) in allowed,
                f"{self.model}.{field} may be {' or '.join(map(repr, allowed))}, not {fields.get(field)!r}.",
            )
        require(
            self.path != "table"
            or fields["trained_betas"] is not None
            or fields["beta_schedule"] in FAMILIES,
            f"{self.model}.beta_schedule may be {', '.join(FAMILIES)}, not {fields.get('beta_schedule')!r}.",
        )
        require(
            self.path == "flow" or fields["prediction_type"] != "flow_prediction",
            f"{self.model}: the prediction type 'flow_prediction' wants use_flow_sigmas.",
        )
        require(
            not self.even_sigmas or self.model == "FlowMatchEulerDiscreteScheduler",
            f"{name}.even_sigmas is for FlowMatchEulerDiscreteScheduler; leave it out.",
        )

    @property
    def facts(self) -> Sampler:
        """What the class is."""
        return SAMPLERS[self.model]

    @property
    def fields(self) -> dict[str, Any]:
        """Every argument of the class."""
        return {**self.facts.defaults, **self.options}

    @property
    def path(self) -> Literal["flow", "table", "edm"]:
        """Its own process, as set."""
        return "flow" if self.fields.get("use_flow_sigmas") else self.facts.path

    @property
    def prediction(self) -> str:
        """What it takes a model's output for, in diffusers' word."""
        return "flow_prediction" if self.facts.path == "flow" else str(self.fields["prediction_type"])

    @property
    def stochastic(self) -> bool:
        """Whether it draws noise, as set."""
        fields = self.fields
        if str(fields.get("algorithm_type")).startswith("sde"):
            return True
        return self.facts.stochastic and fields.get("eta", 1.0) > 0

    def contract(self) -> SchedulerContract:
        """Return what this scheduler declares."""
        facts = self.facts
        return SchedulerContract(
            order=facts.order if isinstance(facts.order, int) else self.fields[facts.order],
            evaluations_per_step=facts.evaluations,
            stochastic=self.stochastic,
            process=self.process(),
        )

    def process(self) -> ProcessSpec:
        """Return the process that it runs on."""
        fields = self.fields
        steps = fields["num_train_timesteps"]
        if self.path == "flow":
            return ProcessSpec(steps=steps)
        if self.path == "edm":
            return ProcessSpec(family="table", table=_edm_table(steps, *(fields[n] for n in EDM_RANGE)))
        betas = fields["trained_betas"]
        shift, zero = fields.get("snr_shift_scale", 1.0), fields.get("rescale_betas_zero_snr", False)
        if betas is not None:
            return ProcessSpec(
                family="table", table=_products(betas), zero_terminal_snr=zero, snr_shift=shift
            )
        return ProcessSpec(
            family=FAMILIES[fields["beta_schedule"]], steps=steps, beta_start=fields["beta_start"],
            beta_end=fields["beta_end"], zero_terminal_snr=zero, snr_shift=shift,
        )  # fmt: skip

    @classmethod
    def from_published(cls, data: Mapping[str, Any], tensors: Collection[str] = ()) -> Self:
        """Read a ``scheduler_config.json`` of diffusers by the class that it names.

        Raises:
            ConfigError: For a class that is not supported, with those that are, and for an unknown argument.
        """
        name = class_name(data, "scheduler", SAMPLERS, REFUSED)
        return cls(model=name, options=data)


EDM_RANGE = ("sigma_schedule", "sigma_min", "sigma_max", "rho")


@functools.cache
def _edm_table(steps: int, schedule: str, low: float, high: float, rho: float) -> tuple[float, ...]:
    """Return 1 / (1 + sigma^2) over the range that EDM trains on, clean to noisy."""
    parts = (k / (steps - 1) for k in range(steps))
    if schedule == "exponential":
        sigmas = [low * (high / low) ** part for part in parts]
    else:
        first, last = low ** (1 / rho), high ** (1 / rho)
        sigmas = [(first + part * (last - first)) ** rho for part in parts]
    return tuple(1 / (1 + sigma**2) for sigma in sigmas)


def _products(betas: list[float]) -> tuple[float, ...]:
    return tuple(itertools.accumulate((1 - beta for beta in betas), lambda a, b: a * b))
