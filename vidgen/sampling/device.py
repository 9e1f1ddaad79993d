"""Where and in which precision to run, by what is fast here."""

from __future__ import annotations

import functools
import time

import torch
from torch import nn

from vidgen.errors import ConfigError

__all__ = ["as_dtype", "auto_device", "auto_dtype", "bf16_is_fast", "place_of"]


def auto_device() -> torch.device:
    """Return the accelerator that is at hand, else the CPU."""
    if torch.accelerator.is_available():
        return torch.device(torch.accelerator.current_accelerator() or "cpu")
    return torch.device("cpu")


def auto_dtype(device: torch.device) -> torch.dtype:
    """Return bfloat16 where it is fast, else float32."""
    return torch.bfloat16 if bf16_is_fast(device.type) else torch.float32


def as_dtype(dtype: torch.dtype | str | None, device: torch.device) -> torch.dtype | None:
    """Return a floating-point type of its name; ``auto`` is what is fast on the device.

    Raises:
        ConfigError: For a name that is none.
    """
    if not isinstance(dtype, str):
        return dtype
    found = auto_dtype(device) if dtype == "auto" else getattr(torch, dtype, None)
    if not (isinstance(found, torch.dtype) and found.is_floating_point):
        raise ConfigError(f"dtype is auto, float32, bfloat16 or float16, not {dtype!r}.")
    return found


@functools.cache
def bf16_is_fast(device: str) -> bool:
    """Measure (on a CPU) or ask (elsewhere) whether bfloat16 matrix products beat float32 ones; takes about 20 ms."""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu":
        return device != "mps"
    sides = {dtype: torch.ones(256, 256, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)}
    seconds = dict.fromkeys(sides, float("inf"))
    for _ in range(8):  # in turn, so that whatever else the machine does slows both
        for dtype, side in sides.items():
            begin = time.perf_counter()
            side @ side
            seconds[dtype] = min(seconds[dtype], time.perf_counter() - begin)
    return seconds[torch.bfloat16] < 0.7 * seconds[torch.float32]


def place_of(part: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return where a part works and the floating-point type of its weights; CPU and float32 where it has none."""
    offload = getattr(part, "offload", None)
    for tensor in (*part.parameters(), *part.buffers()):
        if tensor.is_floating_point() and tensor.element_size() > 1:  # eight bits are for keeping alone
            return tensor.device if offload is None else offload.device, tensor.dtype
    return torch.device("cpu"), torch.float32
