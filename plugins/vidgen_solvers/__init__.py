"""Solvers of the reverse process, and the grids of times they run along."""

from __future__ import annotations

from vidgen.hookspecs import hookimpl
from vidgen.layout import LayoutConfig
from vidgen.spec import ComponentSpec
from vidgen_solvers import config, grid_config, presets

__all__ = ["vidgen_components"]


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare five solvers, five grids, and the reader of published settings."""
    return [
        ComponentSpec(
            kind="scheduler",
            name="euler",
            target="vidgen_solvers.euler:Euler",
            config=config.EulerConfig,
            summary="First order: DDIM on a variance-preserving process, the flow step on a straight one.",
            presets=presets.EULER,
        ),
        ComponentSpec(
            kind="scheduler",
            name="heun",
            target="vidgen_solvers.heun:Heun",
            config=config.HeunConfig,
            summary="Second order, two evaluations a step.",
            presets=presets.HEUN,
        ),
        ComponentSpec(
            kind="scheduler",
            name="dpmpp-2m",
            target="vidgen_solvers.dpmpp:DPMpp2M",
            config=config.DPMpp2MConfig,
            summary="DPM-Solver++(2M): second order, one evaluation a step.",
            presets=presets.DPMPP_2M,
        ),
        ComponentSpec(
            kind="scheduler",
            name="unipc",
            target="vidgen_solvers.unipc:UniPC",
            config=config.UniPCConfig,
            summary="UniPC (bh2): predictor and corrector, third or fourth order, one evaluation a step.",
            presets=presets.UNIPC,
        ),
        ComponentSpec(
            kind="scheduler",
            name="ancestral",
            target="vidgen_solvers.ancestral:Ancestral",
            config=config.AncestralConfig,
            summary="Stochastic, first order in its moments; eta from 0 (Euler) to 1 (DDPM).",
            presets=presets.ANCESTRAL,
        ),
        ComponentSpec(
            kind="grid",
            name="uniform",
            target="vidgen_solvers.grids:UniformGrid",
            config=grid_config.UniformGridConfig,
            summary="Times at equal distances.",
            presets=presets.UNIFORM,
        ),
        ComponentSpec(
            kind="grid",
            name="karras",
            target="vidgen_solvers.grids:KarrasGrid",
            config=grid_config.KarrasGridConfig,
            summary="Equal distances in (sigma / alpha)^(1 / rho).",
            presets=presets.KARRAS,
        ),
        ComponentSpec(
            kind="grid",
            name="shifted",
            target="vidgen_solvers.grids:ShiftedGrid",
            config=grid_config.ShiftedGridConfig,
            summary="More steps where it is noisy, by a fixed shift or one that grows with the tokens.",
            presets=presets.SHIFTED,
        ),
        ComponentSpec(
            kind="grid",
            name="linear-quadratic",
            target="vidgen_solvers.grids:LinearQuadraticGrid",
            config=grid_config.LinearQuadraticGridConfig,
            summary="Many small equal steps at first, then quadratically larger ones.",
            presets=presets.LINEAR_QUADRATIC,
        ),
        ComponentSpec(
            kind="grid",
            name="table",
            target="vidgen_solvers.table:TableGrid",
            config=grid_config.TableGridConfig,
            summary="Entries of the process' table as published samplers choose them.",
            presets=presets.TABLE,
        ),
        ComponentSpec(
            kind="scheduler_layout",
            name="diffusers",
            target="vidgen_solvers.layout:DiffusersScheduler",
            config=LayoutConfig,
            summary="Reads and writes the settings of diffusers' samplers.",
            presets=presets.DIFFUSERS,
        ),
    ]
