"""How and where a plan is worked off. No torch here."""

from __future__ import annotations

import re
from typing import Literal

from vidgen.config import Config, config, require
from vidgen.errors import ConfigError, closest

__all__ = ["RunConfig", "check_place", "read_span"]

DEVICE = re.compile(r"auto|(cpu|cuda|mps|xpu|mtia|hpu|npu|meta)(:\d+)?")
DTYPES = ("auto", "float32", "bfloat16", "float16", "float64")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def read_span(text: str | float) -> float:
    """Read a span of time in seconds: ``90``, ``90s``, ``10m``, ``2h``, ``1h30m``.

    Raises:
        ConfigError: For another form.
    """
    rest, seconds, number = str(text).strip(), 0.0, ""
    if rest.replace(".", "", 1).isdecimal():
        return float(rest)
    for mark in rest:
        if mark in _UNITS and number not in ("", "."):
            seconds, number = seconds + float(number) * _UNITS[mark], ""
        elif mark.isdecimal() or (mark == "." and "." not in number):
            number += mark
        else:
            raise ConfigError(f"A span of time reads 90s, 10m, 2h or 1h30m, not {text!r}.")
    if number or not rest:
        raise ConfigError(f"A span of time reads 90s, 10m, 2h or 1h30m, not {text!r}.")
    return seconds


@config
class RunConfig(Config):
    """How a plan is worked off; nothing here is part of a row's key.

    Attributes:
        time: Begin no row that would last beyond so long (``2h``); empty for no limit.
        timeout: Longest that one row may take.
        jobs: Rows at a time, of suites that allow it.
        arms: Rows that take turns, of suites that measure time; 1 measures one after the other.
        memory: Largest address space of a row in GB (on CPUs); 0 for any.
        engine: ``local`` works on this machine, ``ray`` on a Ray cluster.
        address: Of the cluster: ``HOST:PORT``, ``ray://HOST:PORT``, or ``auto`` for this machine's.
    """

    time: str = ""
    timeout: str = "30m"
    jobs: int = 1
    arms: int = 4
    memory: float = 0.0
    engine: Literal["local", "ray"] = "local"
    address: str = "auto"

    def validate(self) -> None:
        """Check ranges."""
        for name in ("jobs", "arms"):
            require(getattr(self, name) >= 1, f"run.{name} must be at least 1, not {getattr(self, name)}.")
        require(0 <= self.memory <= 1e9, f"run.memory is 0 to 1e9 GB, not {self.memory}; 0 is for any.")
        require(read_span(self.timeout) > 0, f"run.timeout must be positive, not {self.timeout!r}.")
        if self.time:
            read_span(self.time)
        require(self.engine == "ray" or self.address == "auto",
                f"run.address {self.address!r} is a Ray cluster's: say engine = 'ray' (--engine ray) too.")  # fmt: skip


def check_place(device: str, dtype: str) -> None:
    """Refuse what names no device and no precision; whether the device is there shows when parts are made.

    Raises:
        ConfigError: For either.
    """
    if not DEVICE.fullmatch(device):
        raise ConfigError(f"device is auto, cpu, cuda, cuda:1, mps or xpu, not {device!r}.")
    if dtype not in DTYPES:
        raise ConfigError(
            f"dtype is auto, float32, bfloat16 or float16, not {dtype!r}.{closest(dtype, DTYPES)}"
        )
