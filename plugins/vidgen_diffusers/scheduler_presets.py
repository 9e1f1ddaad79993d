"""Named configurations of diffusers' schedulers: each class, and what published models are sampled with."""

from __future__ import annotations

from typing import Any

from vidgen_diffusers.options import Options
from vidgen_diffusers.scheduler_config import DiffusersSchedulerConfig

__all__ = ["SCHEDULER"]


def _of(model: Any, **options: Any) -> DiffusersSchedulerConfig:
    return DiffusersSchedulerConfig(model=model, options=Options(options))


_FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
_PLAIN = {"clip_sample": False}
_COGVIDEOX = {
    **_PLAIN,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
}

SCHEDULER = {
    "tiny": _of("FlowMatchEulerDiscreteScheduler"),
    "wan": _of("UniPCMultistepScheduler", **_FLOW, flow_shift=3.0),
    "hunyuan-video": _of("FlowMatchEulerDiscreteScheduler", shift=7.0).replace(even_sigmas=True),
    "cogvideox-2b": _of("CogVideoXDDIMScheduler", **_COGVIDEOX),
    "cogvideox-5b": _of("CogVideoXDPMScheduler", **_COGVIDEOX, snr_shift_scale=1.0),
    "ltx": _of(
        "FlowMatchEulerDiscreteScheduler", use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05,
        base_image_seq_len=1024, shift_terminal=0.1,
    ).replace(even_sigmas=True),
    "cosmos-1.0": _of("EDMEulerScheduler"),
    "ddim": _of("DDIMScheduler", **_PLAIN),
    "ddpm": _of("DDPMScheduler", **_PLAIN),
    "deis": _of("DEISMultistepScheduler"),
    "deis-flow": _of("DEISMultistepScheduler", **_FLOW),
    "dpm-multistep": _of("DPMSolverMultistepScheduler"),
    "dpm-multistep-flow": _of("DPMSolverMultistepScheduler", **_FLOW),
    "dpm-singlestep": _of("DPMSolverSinglestepScheduler"),
    "dpm-singlestep-flow": _of("DPMSolverSinglestepScheduler", **_FLOW),
    "edm-dpm-multistep": _of("EDMDPMSolverMultistepScheduler"),
    "euler-ancestral": _of("EulerAncestralDiscreteScheduler"),
    "euler-discrete": _of("EulerDiscreteScheduler"),
    "flow-heun": _of("FlowMatchHeunDiscreteScheduler"),
    "flow-map": _of("FlowMapEulerDiscreteScheduler"),
    "heun-discrete": _of("HeunDiscreteScheduler"),
    "kdpm2": _of("KDPM2DiscreteScheduler"),
    "kdpm2-ancestral": _of("KDPM2AncestralDiscreteScheduler"),
    "lms": _of("LMSDiscreteScheduler"),
    "ltx-ancestral": _of("LTXEulerAncestralRFScheduler"),
    "mochi": _of("FlowMatchEulerDiscreteScheduler", invert_sigmas=True),
    "pndm": _of("PNDMScheduler", skip_prk_steps=True),
    "sa-solver": _of("SASolverScheduler"),
    "sa-solver-flow": _of("SASolverScheduler", **_FLOW),
    "unipc": _of("UniPCMultistepScheduler"),
}  # fmt: skip
"""Settings are those of diffusers' conversion scripts, or the class' defaults without clipping of latents."""
