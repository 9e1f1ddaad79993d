"""Named configurations of the solvers and grids."""

from __future__ import annotations

from vidgen.layout import LayoutConfig
from vidgen_solvers.config import AncestralConfig, DPMpp2MConfig, EulerConfig, HeunConfig, UniPCConfig
from vidgen_solvers.grid_config import (
    KarrasGridConfig,
    LinearQuadraticGridConfig,
    ShiftedGridConfig,
    TableGridConfig,
    UniformGridConfig,
)
from vidgen_solvers.layout_settings import DEFAULTS

__all__ = [
    "ANCESTRAL",
    "DIFFUSERS",
    "DPMPP_2M",
    "EULER",
    "HEUN",
    "KARRAS",
    "LINEAR_QUADRATIC",
    "SHIFTED",
    "TABLE",
    "UNIFORM",
    "UNIPC",
]

EULER = {"tiny": EulerConfig()}
HEUN = {"tiny": HeunConfig()}
DPMPP_2M = {"tiny": DPMpp2MConfig()}
UNIPC = {"tiny": UniPCConfig(order=2), "third": UniPCConfig(order=3)}
ANCESTRAL = {"tiny": AncestralConfig(eta=1.0)}
UNIFORM = {"tiny": UniformGridConfig()}
KARRAS = {"tiny": KarrasGridConfig(rho=7.0, sigma_max=80.0, sigma_min=0.002)}
SHIFTED = {
    "tiny": ShiftedGridConfig(shift=3.0),
    "dynamic": ShiftedGridConfig(
        dynamic=True, base_shift=0.5, max_shift=1.15, base_tokens=256, max_tokens=4096
    ),
}
LINEAR_QUADRATIC = {"tiny": LinearQuadraticGridConfig(head=0.5, reach=0.025)}
TABLE = {"tiny": TableGridConfig()}
DIFFUSERS = {"all": LayoutConfig(classes=tuple(DEFAULTS))}
