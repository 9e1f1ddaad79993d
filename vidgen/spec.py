"""What a plugin says of each component: a frozen `ComponentSpec`, readable without importing torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from vidgen.config import Config, check_config_class
from vidgen.errors import ConfigError, PluginError, UnknownNameError, closest

__all__ = ["CONFORMING", "EXTENSIONS", "INTERFACES", "KINDS", "ComponentSpec", "check_kind"]

INTERFACES = ("autoencoder", "denoiser", "text_encoder", "scheduler")
"""The four parts of a video-generation system; each has a base class in `vidgen.interfaces`."""

EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {
        "attention": "a way to compute attention: a vidgen.nn.AttentionBackend",
        "data_set": "a source of captioned videos: a vidgen.data.DataSet",
        "grid": "the times at which a scheduler evaluates the denoiser: a vidgen.interfaces.Grid",
        "guider": "how conditioned and unconditioned predictions combine: a vidgen.sampling.guidance.Guider",
        "metric": "a measure of videos: a vidgen.metrics.Metric",
        "pipeline_layout": "reads another library's folder of a whole system: a vidgen.layout.PipelineLayout",
        "pretrained": "a folder of package data with trained weights, found by its name (a tag)",
        "prompt_refiner": "rewrites prompts into such as a model reads: a vidgen.sampling.refine.PromptRefiner",
        "scheduler_layout": "reads another library's settings of a sampler: a vidgen.layout.SchedulerLayout",
        "suite": "a set of measurements for the combination benchmark",
    }
)
"""The open extension points beside the four interfaces, with what a component of each is."""

CONFORMING = (*INTERFACES, "guider")
"""The kinds that the conformance suite holds to their word."""

KINDS = (*INTERFACES, *EXTENSIONS)
"""Every kind of component the one registry holds."""

_NAME = re.compile(r"[a-z0-9]+([-.][a-z0-9]+)*")


def check_kind(kind: str) -> str:
    """Return the kind's canonical name (``text-encoder`` counts as ``text_encoder``).

    Raises:
        UnknownNameError: With the closest kinds.
    """
    canonical = kind.replace("-", "_")
    if canonical not in KINDS:
        raise UnknownNameError(f"There is no kind {kind!r}.{closest(kind, KINDS)} Kinds: {', '.join(KINDS)}.")
    return canonical


@dataclass(frozen=True, kw_only=True, slots=True)
class ComponentSpec:
    """One component as its plugin declares it.

    Args:
        kind: One of `KINDS`.
        name: Lower-case kebab, unique within the kind.
        target: ``"package.module:Class"``, imported only when the component is created.
        config: The configuration class, a `vidgen.Config`.
        summary: One line for listings.
        presets: Named configurations; a part of the four interfaces has at least ``tiny``.
        expected_failures: Conformance checks known to fail, each with its reason in a sentence.
    """

    kind: str
    name: str
    target: str
    config: type[Config]
    summary: str
    presets: Mapping[str, Config] = field(default_factory=dict)
    expected_failures: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_kind(self.kind)
        if not _NAME.fullmatch(self.name):
            raise PluginError(f"{self.kind} name {self.name!r} must be lower-case kebab, such as 'my-part'.")
        module, _, attribute = self.target.partition(":")
        if not module or not attribute:
            raise PluginError(
                f"{self.kind} {self.name!r}: target {self.target!r} must read 'package.module:Class'."
            )
        try:
            check_config_class(self.config)
        except ConfigError as problem:
            raise PluginError(f"{self.kind} {self.name!r}: {problem}") from problem
        for preset, value in self.presets.items():
            if not isinstance(value, self.config):
                raise PluginError(
                    f"{self.kind} {self.name!r}: preset {preset!r} is no {self.config.__name__}."
                )

    def preset(self, name: str | None = None) -> Config:
        """Return a named preset, or the default: the one called ``small``, else the first, else ``config()``.

        Raises:
            UnknownNameError: For an unknown preset, with the closest ones.
        """
        if name is None:
            name = "small" if "small" in self.presets else next(iter(self.presets), None)
            if name is None:
                return self.config()
        if name not in self.presets:
            known = ", ".join(self.presets) or "none"
            raise UnknownNameError(
                f"{self.kind} {self.name!r} has no preset {name!r}.{closest(name, self.presets)} Presets: {known}."
            )
        return self.presets[name]
