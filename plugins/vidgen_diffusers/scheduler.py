"""`diffusers`: any scheduler of diffusers as a solver with its own grid and its own process.

A solver here is handed clean estimates; one of diffusers wants a model's raw output. Which raw output a clean estimate
amounts to is told by its prediction type, at the noise of its own evaluation. So it runs as published, whatever the
denoiser predicts, as long as both are about the same process; composition checks that.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vidgen.errors import ConfigError
from vidgen.interfaces import Denoise, OnStep, Scheduler, TimeGrid
from vidgen.process import Process
from vidgen_diffusers.library import published_class
from vidgen_diffusers.scheduler_config import DiffusersSchedulerConfig

__all__ = ["DiffusersScheduler"]


@dataclass(frozen=True, slots=True)
class Here:
    """One call of the denoiser: its time, alpha and sigma."""

    t: float
    alpha: float
    sigma: float


class DiffusersScheduler(Scheduler):
    """A scheduler of diffusers; `grid` has the times that it chooses.

    Args:
        config: The configuration.
    """

    config: DiffusersSchedulerConfig

    def __init__(self, config: DiffusersSchedulerConfig) -> None:
        super().__init__(config)
        self._process = Process(config.process())
        self._set(1, tokens=1)

    def grid(
        self, process: Process, steps: int, *, tokens: int | None = None, start: float | None = None
    ) -> TimeGrid:
        """Return the times that the class sets for a number of steps; a later `start` squeezes them.

        Args:
            process: The denoiser's process, which must be the scheduler's own.
            steps: Number of steps, at least 1.
            tokens: Tokens of the sample, for a shift that depends on them.
            start: First time, in place of the class' own.

        Raises:
            ConfigError: For another process, less than one step, no start, or a class that cannot begin later.
        """
        if not self._process.spec.agrees(process.spec):
            raise ConfigError(
                f"{self.config.model} runs on {self._process.spec.description}, not on {process.spec.description}; "
                "choose a solver that follows the denoiser, `vidgen list scheduler`."
            )
        if steps < 1:
            raise ConfigError(f"steps must be at least 1, not {steps}.")
        t = self._times(self._set(steps, tokens))
        if not (t.diff() <= 0).all():
            raise ConfigError(f"{self.config.model} sets no times that fall for {steps} steps; take more.")
        if start is not None:
            if not 0 < start <= 1:
                raise ConfigError(f"start must be above 0 and at most 1, not {start}.")
            if not self.config.facts.free:
                raise ConfigError(
                    f"{self.config.model} runs from its own first time alone; begin later with another."
                )
            t = t * (start / t[0])
        scaled = self.config.facts.unscaled and self.config.fields.get("timestep_spacing") in (
            "linspace",
            "trailing",
        )
        return TimeGrid.of(process, t, start="sigma" if scaled else "unit")

    def solve(
        self,
        denoise: Denoise,
        x: Tensor,
        grid: TimeGrid,
        *,
        generators: Sequence[torch.Generator] | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Carry x along the grid; see `vidgen.Scheduler.solve`.

        Raises:
            ConfigError: For times that are not the class' own, where it runs along no others.
        """
        scheduler = self._along(grid)
        t = self._evaluations(scheduler)
        calls = [
            Here(*values)
            for values in zip(t.tolist(), *(v.tolist() for v in self._process.alpha_sigma(t)), strict=True)
        ]
        ends, unscaled = _step_ends(len(calls), grid.steps), self.config.facts.unscaled
        scheduler.is_scale_input_called = True  # our x is scaled already
        takes = inspect.signature(scheduler.step).parameters
        chance = {"generator": list(generators)} if generators is not None and self.config.stochastic else {}
        sample = x / calls[0].alpha if unscaled else x
        before: tuple[Any, Any] = (None, None)
        for number, (here, told) in enumerate(zip(calls, scheduler.timesteps, strict=True)):
            ours = sample * here.alpha if unscaled else sample
            output = self._output(denoise(ours, here.t), ours, here)
            if "timestep_back" in takes:
                sample, clean = scheduler.step(
                    output, before[0], told, before[1], sample, return_dict=False, **chance
                )
                before = clean, told
            else:
                sample = scheduler.step(output, told, sample, return_dict=False, **chance)[0]
            sample = sample.to(x.dtype)
            if number in ends and on_step is not None:
                on_step(ends[number], sample * float(grid.alpha[ends[number] + 1]) if unscaled else sample)
        return sample * float(grid.alpha[-1]) if unscaled else sample

    def _set(self, steps: int, tokens: int | None = None) -> Any:
        """Return a fresh scheduler with its times set."""
        fields = self.config.fields
        scheduler = published_class(self.config.model)(**self.config.options)
        options: dict[str, Any] = {}
        if self.config.even_sigmas:
            options["sigmas"] = torch.linspace(1, 1 / steps, steps, dtype=torch.float64).tolist()
        if fields.get("use_dynamic_shifting"):
            if tokens is None:
                raise ConfigError(
                    "A dynamic shift needs the number of tokens; give tokens=, or set use_dynamic_shifting=False."
                )
            small, large = fields["base_image_seq_len"], fields["max_image_seq_len"]
            slope = (fields["max_shift"] - fields["base_shift"]) / (large - small)
            options["mu"] = fields["base_shift"] + slope * (tokens - small)
        scheduler.set_timesteps(steps, **options)
        return scheduler

    def _along(self, grid: TimeGrid) -> Any:
        """Return a scheduler that runs along these times, and by its own step counter."""
        scheduler = self._set(grid.steps, tokens=1)  # a shift, if there is one, is in the grid already
        if self.config.facts.free:
            self._lay(scheduler, grid)
        else:
            own = self._times(scheduler)
            if own.shape != grid.t.shape or not torch.allclose(own, grid.t.cpu(), atol=1e-6, rtol=0):
                raise ConfigError(
                    f"{self.config.model} runs along its own times alone; take the grid from its grid()."
                )
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(0)
        return scheduler

    def _lay(self, scheduler: Any, grid: TimeGrid) -> None:
        """Put the times of a grid in the place of a scheduler's own."""
        fields, t = self.config.fields, grid.t.cpu()
        if self.config.path == "flow":
            sigmas = 1 - t if fields.get("invert_sigmas") else t
            times = sigmas[:-1] * fields["num_train_timesteps"]
        else:
            sigmas = (grid.sigma / grid.alpha).cpu()
            times = self._process.time_to_index(t[:-1])
        if self.config.facts.evaluations == 2:
            sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
            times = torch.cat([times[:1], times[1:].repeat_interleave(2)])
        scheduler.sigmas, scheduler.timesteps = sigmas.float(), times.float()

    def _evaluations(self, scheduler: Any) -> Tensor:
        """Return the time of each call of the denoiser, in float64."""
        count = len(scheduler.timesteps)
        if not hasattr(scheduler, "sigmas"):
            return self._process.index_to_time(scheduler.timesteps)
        sigmas = scheduler.sigmas.double()[:count].clone()
        if hasattr(scheduler, "sigmas_interpol"):
            between = scheduler.sigmas_interpol.double()
            shift = int(
                hasattr(scheduler, "sigmas_up")
            )  # the ancestral one counts them from the step's beginning
            sigmas[1::2] = between[1 - shift : count - shift : 2]
        return self._time_of(sigmas)

    def _times(self, scheduler: Any) -> Tensor:
        """Return where steps begin, and where the last one ends."""
        calls = self._evaluations(scheduler)
        if self.config.facts.evaluations == 2:  # the second call of a step is about its middle or its end
            calls = calls[::2] if hasattr(scheduler, "sigmas") else torch.cat([calls[:1], calls[2:]])
        if hasattr(scheduler, "sigmas"):
            return torch.cat([calls, self._time_of(scheduler.sigmas.double()[-1:])])
        return torch.cat([calls, self._process.index_to_time(self._last_index(scheduler)).reshape(1)])

    def _time_of(self, sigmas: Tensor) -> Tensor:
        """Return our times of a scheduler's sigmas in float64."""
        if self.config.path == "flow":
            return 1 - sigmas if self.config.fields.get("invert_sigmas") else sigmas
        return self._process.time_of_log_snr(-sigmas.log())

    def _last_index(self, scheduler: Any) -> int:
        """Return the table's index that a scheduler without sigmas ends at; -1 is clean."""
        fields = self.config.fields
        if self.config.model == "DDPMScheduler":
            return -1
        after = int(scheduler.timesteps[-1]) - fields["num_train_timesteps"] // scheduler.num_inference_steps
        return max(after, -1 if fields["set_alpha_to_one"] else 0)

    def _output(self, clean: Tensor, x: Tensor, here: Here) -> Tensor:
        """Return the model output that a clean estimate amounts to."""
        if self.config.path == "edm":
            sigma, data = here.sigma / here.alpha, self.config.fields["sigma_data"]
            total = sigma**2 + data**2
            skip, out = data**2 / total, sigma * data / total**0.5
            out = -out if self.config.prediction == "v_prediction" else out
            return (clean - skip * x / here.alpha) / out
        if self.config.prediction == "sample":
            return clean
        noise = (x - here.alpha * clean) / here.sigma
        if self.config.prediction == "epsilon":
            return noise
        if self.config.prediction == "v_prediction":
            return here.alpha * noise - here.sigma * clean
        return clean - noise if self.config.fields.get("invert_sigmas") else noise - clean


def _step_ends(calls: int, steps: int) -> dict[int, int]:
    """Return after which call of the denoiser which step is done."""
    if calls == 2 * steps - 1:  # two calls a step, but one for the last
        return {min(2 * step + 1, calls - 1): step for step in range(steps)}
    return {step + calls - steps: step for step in range(steps)}
