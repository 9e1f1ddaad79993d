"""The schedulers of diffusers that can be a part: their arguments, and what they are. No torch here.

Names and defaults are those of diffusers 0.42.1; what a class is was measured against known denoisers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["REFUSED", "SAMPLERS", "Sampler"]

Fields = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampler:
    """What a class is.

    Attributes:
        defaults: Arguments of the class with their defaults.
        path: Its own process: rectified flow, a table of betas, or EDM's range of noise.
        order: Order of convergence, or the argument that says it.
        evaluations: Denoiser evaluations a step, at most.
        stochastic: Whether it draws noise.
        unscaled: Whether its sample is ours divided by alpha, so that clean parts keep their size.
        free: Whether it runs along any times, and not those alone that it chooses itself.
        only: Arguments that are implemented for one value alone.
    """

    defaults: Fields
    path: Literal["flow", "table", "edm"] = "table"
    order: int | str = 1
    evaluations: int = 1
    stochastic: bool = False
    unscaled: bool = False
    free: bool = False
    only: Fields = field(default_factory=dict)


_TABLE: Fields = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
}
_STABLE: Fields = {**_TABLE, "beta_start": 0.00085, "beta_end": 0.012}
_THRESHOLD: Fields = {"thresholding": False, "dynamic_thresholding_ratio": 0.995, "sample_max_value": 1.0}
_SPACINGS: Fields = {"use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False}
_FLOW_TOO: Fields = {"use_flow_sigmas": False, "flow_shift": 1.0}
_DYNAMIC: Fields = {"use_dynamic_shifting": False, "time_shift_type": "exponential"}
_RESCALED: Fields = {"rescale_betas_zero_snr": False}
_LEADING: Fields = {"timestep_spacing": "leading", "steps_offset": 0}
_LINSPACE: Fields = {"timestep_spacing": "linspace", "steps_offset": 0}
_CLIPPED: Fields = {"clip_sample": True, "clip_sample_range": 1.0}
_DDIM: Fields = {**_TABLE, **_CLIPPED, **_LEADING, **_RESCALED, "set_alpha_to_one": True}
_COGVIDEOX: Fields = {
    **_STABLE,
    **_CLIPPED,
    **_LEADING,
    **_RESCALED,
    "beta_schedule": "scaled_linear",
    "set_alpha_to_one": True,
    "sample_max_value": 1.0,
    "snr_shift_scale": 3.0,
}
_DPM: Fields = {
    **_TABLE,
    **_THRESHOLD,
    **_SPACINGS,
    **_FLOW_TOO,
    **_DYNAMIC,
    "solver_order": 2,
    "algorithm_type": "dpmsolver++",
    "solver_type": "midpoint",
    "final_sigmas_type": "zero",
    "lambda_min_clipped": float("-inf"),
    "variance_type": None,
}
_EDM: Fields = {
    "sigma_min": 0.002,
    "sigma_max": 80.0,
    "sigma_data": 0.5,
    "sigma_schedule": "karras",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "rho": 7.0,
    "final_sigmas_type": "zero",
}
_MATCH: Fields = {"num_train_timesteps": 1000, "shift": 1.0}
_NO_SHIFT_OF_TOKENS: Fields = {"use_dynamic_shifting": False}

SAMPLERS: Mapping[str, Sampler] = {
    "CogVideoXDDIMScheduler": Sampler(defaults=_COGVIDEOX),
    "CogVideoXDPMScheduler": Sampler(defaults=_COGVIDEOX, stochastic=True),
    "DDIMScheduler": Sampler(defaults={**_DDIM, **_THRESHOLD}),
    "DDPMScheduler": Sampler(
        defaults={**_TABLE, **_CLIPPED, **_THRESHOLD, **_LEADING, **_RESCALED, "variance_type": "fixed_small"},
        stochastic=True,
        only={"variance_type": ("fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log")},
    ),
    "DEISMultistepScheduler": Sampler(
        defaults={
            **_TABLE, **_THRESHOLD, **_SPACINGS, **_FLOW_TOO, **_LINSPACE, **_DYNAMIC,
            "solver_order": 2, "algorithm_type": "deis", "solver_type": "logrho", "lower_order_final": True,
        },
        order="solver_order", free=True, only=_NO_SHIFT_OF_TOKENS,
    ),
    "DPMSolverMultistepScheduler": Sampler(
        defaults={
            **_DPM, **_LINSPACE, **_RESCALED,
            "lower_order_final": True, "euler_at_final": False, "use_lu_lambdas": False,
        },
        order="solver_order", free=True, only=_NO_SHIFT_OF_TOKENS,
    ),
    "DPMSolverSinglestepScheduler": Sampler(
        defaults={**_DPM, "lower_order_final": False}, order="solver_order", only=_NO_SHIFT_OF_TOKENS
    ),
    "EDMDPMSolverMultistepScheduler": Sampler(
        defaults={
            **_EDM, **_THRESHOLD,
            "solver_order": 2, "algorithm_type": "dpmsolver++", "solver_type": "midpoint", "lower_order_final": True,
            "euler_at_final": False,
        },
        path="edm", order="solver_order", unscaled=True, free=True,
    ),
    "EDMEulerScheduler": Sampler(defaults=_EDM, path="edm", unscaled=True, free=True),
    "EulerAncestralDiscreteScheduler": Sampler(
        defaults={**_TABLE, **_LINSPACE, **_RESCALED}, stochastic=True, unscaled=True, free=True
    ),
    "EulerDiscreteScheduler": Sampler(
        defaults={
            **_TABLE, **_SPACINGS, **_LINSPACE, **_RESCALED,
            "interpolation_type": "linear", "sigma_min": None, "sigma_max": None, "timestep_type": "discrete",
            "final_sigmas_type": "zero",
        },
        unscaled=True, free=True, only={"timestep_type": "discrete"},
    ),
    "FlowMapEulerDiscreteScheduler": Sampler(defaults=_MATCH, path="flow"),
    "FlowMatchEulerDiscreteScheduler": Sampler(
        defaults={
            **_MATCH, **_SPACINGS, **_DYNAMIC,
            "base_shift": 0.5, "max_shift": 1.15, "base_image_seq_len": 256, "max_image_seq_len": 4096,
            "invert_sigmas": False, "shift_terminal": None, "stochastic_sampling": False,
        },
        path="flow", free=True, only={"stochastic_sampling": False},
    ),
    "FlowMatchHeunDiscreteScheduler": Sampler(defaults=_MATCH, path="flow", order=2, evaluations=2, free=True),
    "HeunDiscreteScheduler": Sampler(
        defaults={**_STABLE, **_SPACINGS, **_LINSPACE, "clip_sample": False, "clip_sample_range": 1.0},
        order=2, evaluations=2, unscaled=True, free=True,
    ),
    "KDPM2AncestralDiscreteScheduler": Sampler(
        defaults={**_STABLE, **_SPACINGS, **_LINSPACE}, evaluations=2, stochastic=True, unscaled=True
    ),
    "KDPM2DiscreteScheduler": Sampler(
        defaults={**_STABLE, **_SPACINGS, **_LINSPACE}, order=2, evaluations=2, unscaled=True
    ),
    "LMSDiscreteScheduler": Sampler(
        defaults={**_TABLE, **_SPACINGS, **_LINSPACE}, order=4, unscaled=True, free=True
    ),
    "LTXEulerAncestralRFScheduler": Sampler(
        defaults={"num_train_timesteps": 1000, "eta": 1.0, "s_noise": 1.0}, path="flow", stochastic=True, free=True
    ),
    "PNDMScheduler": Sampler(
        defaults={**_TABLE, **_LEADING, "skip_prk_steps": False, "set_alpha_to_one": False},
        order=4, evaluations=2, only={"skip_prk_steps": True},
    ),
    "SASolverScheduler": Sampler(
        defaults={
            **_TABLE, **_THRESHOLD, **_SPACINGS, **_FLOW_TOO, **_LINSPACE,
            "predictor_order": 2, "corrector_order": 2, "tau_func": None, "algorithm_type": "data_prediction",
            "lower_order_final": True, "lambda_min_clipped": float("-inf"), "variance_type": None,
        },
        stochastic=True, only={"tau_func": None},
    ),
    "UniPCMultistepScheduler": Sampler(
        defaults={
            **_TABLE, **_THRESHOLD, **_SPACINGS, **_FLOW_TOO, **_LINSPACE, **_RESCALED, **_DYNAMIC,
            "solver_order": 2, "predict_x0": True, "solver_type": "bh2", "lower_order_final": True,
            "disable_corrector": [], "solver_p": None, "final_sigmas_type": "zero", "sigma_min": None,
            "sigma_max": None, "shift_terminal": None,
        },
        order="solver_order", free=True, only={**_NO_SHIFT_OF_TOKENS, "solver_p": None},
    ),
}  # fmt: skip
"""The classes by name."""

_DISTILLED = "samples models that were distilled to give clean samples at once; others come out blurred"
_OTHER = "samples no continuous latents"
REFUSED: Mapping[str, str] = {
    "AmusedScheduler": _OTHER,
    "BlockRefinementScheduler": _OTHER,
    "CMStochasticIterativeScheduler": _DISTILLED,
    "CosineDPMSolverMultistepScheduler": "wants torchsde, and continuous times of its own",
    "DDIMInverseScheduler": "runs from clean to noise",
    "DPMSolverMultistepInverseScheduler": "runs from clean to noise",
    "DPMSolverSDEScheduler": "wants torchsde, which draws noise that no generator of ours controls",
    "DiscreteDDIMScheduler": _OTHER,
    "EntropyBoundScheduler": _OTHER,
    "FlowMatchLCMScheduler": _DISTILLED,
    "HeliosDMDScheduler": "changes the size of the sample on the way (a pyramid of stages)",
    "HeliosScheduler": "changes the size of the sample on the way (a pyramid of stages)",
    "IPNDMScheduler": "has a process of its own, which no denoiser here is trained on",
    "KarrasVeScheduler": "wants its own loop of evaluations",
    "LCMScheduler": _DISTILLED,
    "MiniMaxH3Scheduler": "counts its steps, its times and its velocity the other way round",
    "PiflowScheduler": "wants a policy from the denoiser, not a prediction",
    "RePaintScheduler": "wants an image and a mask at each step; give frames to the pipeline instead",
    "SCMScheduler": _DISTILLED,
    "ScoreSdeVeScheduler": "wants its own loop of evaluations",
    "TCDScheduler": _DISTILLED,
    "UnCLIPScheduler": "samples embeddings",
    "VQDiffusionScheduler": _OTHER,
}
"""Classes that are no part, with the reason."""
