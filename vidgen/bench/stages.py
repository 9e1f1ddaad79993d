"""The stages of a generation, told apart from outside: a suite says what to do around each."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch

from vidgen.sampling.system import System

__all__ = ["STAGES", "staged", "synchronise"]

STAGES = (
    ("text", "text_encoder", "encode"),
    ("prepare", "denoiser", "prepare"),
    ("denoise", "denoiser", "forward"),
    ("decode", "autoencoder", "decode"),
)
"""Name of a stage, the part that does it, and by which method."""


@contextlib.contextmanager
def staged(pipe: System, around: Callable[[str], AbstractContextManager[Any]]) -> Iterator[None]:
    """Enter ``around(stage)`` about every call of a stage that is not within a call of the same stage.

    Args:
        pipe: Whose parts are watched.
        around: Returns a context manager for the name of a stage, out of `STAGES`.
    """
    with contextlib.ExitStack() as undo:
        for stage, kind, method in STAGES:
            part = getattr(pipe, kind)
            part.__dict__[method] = _watched(getattr(part, method), stage, around)
            undo.callback(part.__dict__.pop, method)
        yield


def _watched(
    call: Callable[..., Any], stage: str, around: Callable[[str], AbstractContextManager[Any]]
) -> Callable[..., Any]:
    within = False

    @functools.wraps(call)
    def watched(*values: Any, **options: Any) -> Any:
        nonlocal within
        if within:
            return call(*values, **options)
        within = True
        try:
            with around(stage):
                return call(*values, **options)
        finally:
            within = False

    return watched


def synchronise(device: torch.device) -> None:
    """Wait until a device has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
