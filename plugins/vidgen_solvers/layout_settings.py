"""The settings of diffusers' samplers by class, with the values that those left out have (diffusers 0.42). No torch."""

from __future__ import annotations

from typing import Any

__all__ = ["DEFAULTS"]

_TABLE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.0001,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
    "steps_offset": 0,
}
_COG = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
_ZERO = {"rescale_betas_zero_snr": False}
_THRESHOLD = {"thresholding": False, "dynamic_thresholding_ratio": 0.995, "sample_max_value": 1.0}
_RESPACED = {"use_karras_sigmas": False, "use_exponential_sigmas": False, "use_beta_sigmas": False}
_FLOW = {
    "use_flow_sigmas": False,
    "flow_shift": 1.0,
    "use_dynamic_shifting": False,
    "time_shift_type": "exponential",
}
_RANGE = {"sigma_min": None, "sigma_max": None}
_LEADING, _LINSPACE = {"timestep_spacing": "leading"}, {"timestep_spacing": "linspace"}
_CLIP = {"clip_sample": True, "clip_sample_range": 1.0}
_DDIM = {**_TABLE, **_LEADING, **_ZERO, **_CLIP, "set_alpha_to_one": True}
_DDPM = {**_TABLE, **_LEADING, **_ZERO, **_CLIP, **_THRESHOLD, "variance_type": "fixed_small"}
_COGVIDEOX = {**_DDIM, **_COG, "sample_max_value": 1.0, "snr_shift_scale": 3.0}

DEFAULTS: dict[str, dict[str, Any]] = {
    "DDIMScheduler": {**_DDIM, **_THRESHOLD},
    "DDIMParallelScheduler": {**_DDIM, **_THRESHOLD},
    "DDPMScheduler": _DDPM,
    "DDPMParallelScheduler": _DDPM,
    "CogVideoXDDIMScheduler": _COGVIDEOX,
    "CogVideoXDPMScheduler": _COGVIDEOX,
    "EulerDiscreteScheduler": {
        **_TABLE, **_LINSPACE, **_ZERO, **_RESPACED, **_RANGE,
        "interpolation_type": "linear", "timestep_type": "discrete", "final_sigmas_type": "zero",
    },
    "EulerAncestralDiscreteScheduler": {**_TABLE, **_LINSPACE, **_ZERO},
    "HeunDiscreteScheduler": {
        **_TABLE, **_LINSPACE, **_RESPACED, **_CLIP,
        "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False,
    },
    "DPMSolverMultistepScheduler": {
        **_TABLE, **_LINSPACE, **_ZERO, **_RESPACED, **_THRESHOLD, **_FLOW,
        "solver_order": 2, "algorithm_type": "dpmsolver++", "solver_type": "midpoint", "lower_order_final": True,
        "euler_at_final": False, "use_lu_lambdas": False, "final_sigmas_type": "zero",
        "lambda_min_clipped": float("-inf"), "variance_type": None,
    },
    "UniPCMultistepScheduler": {
        **_TABLE, **_LINSPACE, **_ZERO, **_RESPACED, **_THRESHOLD, **_FLOW, **_RANGE,
        "solver_order": 2, "predict_x0": True, "solver_type": "bh2", "lower_order_final": True,
        "disable_corrector": [], "solver_p": None, "final_sigmas_type": "zero", "shift_terminal": None,
    },
    "FlowMatchEulerDiscreteScheduler": {
        **_RESPACED,
        "num_train_timesteps": 1000, "shift": 1.0, "use_dynamic_shifting": False, "base_shift": 0.5, "max_shift": 1.15,
        "base_image_seq_len": 256, "max_image_seq_len": 4096, "invert_sigmas": False, "shift_terminal": None,
        "time_shift_type": "exponential", "stochastic_sampling": False,
    },
    "FlowMatchHeunDiscreteScheduler": {"num_train_timesteps": 1000, "shift": 1.0},
}  # fmt: skip
"""What each class takes; a setting beside these is unknown."""
