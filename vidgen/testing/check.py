"""What a conformance check is: a named property, the component it is put to, and the row that comes of it.

A check is a function of a `Subject`. It returns nothing (it held), or a `Measured` error with its tolerance; it raises
`Violated` where the component breaks its word, and `NotApplicable` where it declares nothing that could be checked.
"""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from vidgen.config import Config
from vidgen.errors import ConfigError
from vidgen.parts import Address, build
from vidgen.registry import find
from vidgen.size import Size
from vidgen.spec import CONFORMING, ComponentSpec

__all__ = [
    "CHECKS",
    "Check",
    "Measured",
    "NotApplicable",
    "Row",
    "Subject",
    "Violated",
    "check",
    "distance",
    "run_check",
]

Status = Literal["pass", "fail", "skip", "xfail"]


class Violated(AssertionError):  # noqa: N818  (says what happened to the promise)
    """A component does not keep its word; the text says what was expected and what was seen.

    Args:
        text: One sentence.
        error: The measured error, where there is one.
        tolerance: What would have been let pass.
    """

    def __init__(self, text: str, error: float | None = None, tolerance: float | None = None) -> None:
        super().__init__(text)
        self.error, self.tolerance = error, tolerance


class NotApplicable(Exception):  # noqa: N818  (nothing is wrong)
    """The component declares nothing that this check could hold it to; the text says what."""


@dataclass(frozen=True, slots=True)
class Measured:
    """An error that a check measured.

    Attributes:
        error: What was measured, usually relative to the size of the values.
        tolerance: The largest that passes.
        note: What it is, where the check's name does not say it.
    """

    error: float
    tolerance: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """The outcome of one check on one component.

    Attributes:
        kind: Of the component.
        name: ``name/preset``.
        check: The check's name.
        status: ``pass``, ``fail``, ``skip`` (nothing declared to check), or ``xfail`` (declared to fail, and does).
        message: Why, where it did not pass.
        error: The measured error, where there is one.
        tolerance: The largest that passes.
        seconds: How long it took.
    """

    kind: str
    name: str
    check: str
    status: Status
    message: str = ""
    error: float | None = None
    tolerance: float | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Check:
    """A named property of components of some kinds; its summary is the function's first line."""

    name: str
    kinds: tuple[str, ...]
    function: Callable[[Subject], Measured | None]

    @property
    def summary(self) -> str:
        """What it demands."""
        return (self.function.__doc__ or "").strip().split("\n")[0]


_CHECKS: dict[str, Check] = {}
CHECKS: Mapping[str, Check] = MappingProxyType(_CHECKS)
"""The checks of every module that was imported, by name."""


def check(
    *kinds: str,
) -> Callable[[Callable[[Subject], Measured | None]], Callable[[Subject], Measured | None]]:
    """Register a function as a check of some kinds; its name, in kebab, is the check's."""

    def decorate(function: Callable[[Subject], Measured | None]) -> Callable[[Subject], Measured | None]:
        name = function.__name__.replace("_", "-")
        assert name not in _CHECKS, name
        _CHECKS[name] = Check(name, kinds, function)
        return function

    return decorate


class Subject:
    """A component under test: its spec, a configuration, and ways to make it.

    Args:
        spec: What its plugin declares.
        config: The configuration to test.
        label: ``name/preset``, for messages.
    """

    def __init__(self, spec: ComponentSpec, config: Config, label: str) -> None:
        self.spec, self.label = spec, label
        follow = getattr(config, "follow", None)
        self.config: Any = follow() if follow else config

    @classmethod
    def of(cls, kind: str, name: str) -> Subject:
        """Return the subject of a name, or ``name/preset``; the preset ``tiny`` by default.

        Raises:
            UnknownNameError: For a name or preset that nobody registered.
            ConfigError: For a kind that has no suite.
        """
        address = Address.parse(name)
        spec = find(kind, address.name)
        if spec.kind not in CONFORMING:
            raise ConfigError(f"The conformance suite knows {', '.join(CONFORMING)}, not {spec.kind}.")
        if address.weights:
            raise ConfigError(f"Conformance is tested on random weights; leave '@{address.weights}' out.")
        preset = address.preset or ("tiny" if "tiny" in spec.presets else next(iter(spec.presets), None))
        return cls(spec, spec.preset(preset), f"{spec.name}/{preset}" if preset else spec.name)

    def make(self, seed: int = 0) -> Any:
        """Return a fresh component, its weights drawn from a seed, in evaluation mode."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build(self.spec, self.config)

    def stirred(self, seed: int = 0) -> Any:
        """Return a fresh part whose every parameter is moved a little.

        Parts often start with gates and heads at zero, where nothing that goes in can change what comes out and
        every check would pass. Codes start from data, or all vectors of a fresh encoder might choose the same one.
        """
        part = self.make(seed)
        draw = torch.Generator().manual_seed(seed + 1)
        with torch.no_grad():
            for parameter in part.parameters():
                if parameter.is_floating_point():
                    size = max(0.3 * float(parameter.std()) if parameter.numel() > 1 else 0.0, 0.03)
                    parameter.add_(size * torch.randn(parameter.shape, generator=draw).to(parameter))
        latent = getattr(part, "latent", None)
        if latent is not None and latent.codebook:
            clips = torch.rand(2, 3, *latent.pixel_size(Size(2, 4, 4)), generator=draw) * 2 - 1
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                part.start_from_data([clips])
        return part


def distance(one: Tensor, two: Tensor) -> float:
    """Return the largest difference over the largest value (at least 1e-6); infinite for different shapes or NaN."""
    if one.shape != two.shape:
        return float("inf")
    if one.numel() == 0:
        return 0.0
    one, two = one.detach().double(), two.detach().double()
    gap = float((one - two).abs().max())
    return gap / max(float(two.abs().max()), 1e-6) if gap == gap else float("inf")


def run_check(subject: Subject, one: Check) -> Row:
    """Run one check on one subject."""
    begun = time.perf_counter()
    status: Status = "pass"
    message, measured = "", None
    try:
        with _quiet():
            measured = one.function(subject)
        if measured is not None and not measured.error <= measured.tolerance:
            what = measured.note or "the error"
            status, message = "fail", f"{what} is {measured.error:.3g}, above {measured.tolerance:.3g}"
    except NotApplicable as reason:
        status, message = "skip", str(reason)
    except Violated as problem:
        status, message = "fail", str(problem)
        if problem.error is not None:
            measured = Measured(problem.error, problem.tolerance or 0.0)
    except Exception as problem:  # whatever a stranger's code raises is a row, never the end of the run
        status, message = "fail", f"{type(problem).__name__}: {problem}"
    reason_why = subject.spec.expected_failures.get(one.name)
    if reason_why is not None and status == "fail":
        status, message = "xfail", f"{reason_why} ({message})"
    elif reason_why is not None and status == "pass":
        status, message = "fail", "declared to fail, but passes: take it out of expected_failures"
    error, tolerance = (measured.error, measured.tolerance) if measured else (None, None)
    seconds = time.perf_counter() - begun
    return Row(subject.spec.kind, subject.label, one.name, status, message, error, tolerance, seconds)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep warnings out of the way and global chance as it was."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        yield
