"""What this machine has, what is broken, and what to do: `vidgen doctor` and readable import errors.

Importing this module imports no torch, so that it can speak where torch itself does not load.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

__all__ = ["Row", "diagnose", "explain_import", "mismatched_pair"]

Status = Literal["ok", "note", "broken"]

PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "open_clip_torch",
    "transformers",
    "accelerate",
    "safetensors",
    "av",
    "xformers",
)
OPTIONAL = {"xformers": "optional: attention on CUDA only; pip install 'vidgen-components[xformers]'"}
ENCODERS = ("libx264", "libvpx-vp9", "gif")
CPU_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True, slots=True)
class Row:
    """One finding.

    Attributes:
        topic: What it belongs to: ``packages``, ``devices``, ``speed``, ``attention`` or ``video``.
        name: What was looked at.
        value: What was found.
        status: ``ok``, ``note`` (works, but worth knowing) or ``broken``.
        advice: What to do; empty when there is nothing to.
    """

    topic: str
    name: str
    value: str
    status: Status = "ok"
    advice: str = ""


def installed(package: str) -> str | None:
    """Return the version of an installed distribution with its local tag (``+cpu``); imports nothing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def mismatched_pair(torch: str | None, torchvision: str | None) -> str | None:
    """Return what to do when torch and torchvision were built for different devices; None when they match.

    The pair's operators meet only when both come from one index: a CPU build of torch beside a CUDA build of
    torchvision fails with ``operator torchvision::nms does not exist``.

    Args:
        torch: Version, such as ``2.14.1+cpu``.
        torchvision: Version, such as ``0.29.1`` (the plain index: built for CUDA on Linux).
    """
    if torch is None or torchvision is None:
        return None
    builds = [version.partition("+")[2] for version in (torch, torchvision)]
    if builds[0] == builds[1] or (builds[0] != "cpu" and builds[1] != "cpu" and not all(builds)):
        return None  # plain wheels are CUDA builds, of a CUDA version that their names do not tell
    index = f" --index-url https://download.pytorch.org/whl/{builds[0]}" if builds[0] else ""
    return (
        f"torch {torch} and torchvision {torchvision} are builds for different devices; "
        f"run: pip install --force-reinstall --no-deps torchvision=={torchvision.partition('+')[0]}{index}"
    )


def explain_import(error: BaseException) -> str:
    """Return one line that says why an import failed and what to do about it.

    Args:
        error: What the import raised; its causes are read as well.
    """
    chain = list(_chain(error))
    text = " ".join(str(link) for link in chain)
    if "torchvision::" in text or "torchvision' has no attribute" in text:  # its operators did not load
        pair = mismatched_pair(installed("torch"), installed("torchvision"))
        return pair or (
            f"torchvision {installed('torchvision')} does not fit torch {installed('torch')}; "
            "run: pip install --force-reinstall torch torchvision"
        )
    for link in chain:
        if isinstance(link, ModuleNotFoundError) and link.name:
            top = link.name.partition(".")[0]
            if top != link.name and top in sys.modules:
                return (
                    f"{top} has no module {link.name!r}; its version may not fit: `vidgen doctor` shows all."
                )
            package = {"open_clip": "open_clip_torch", "cv2": "opencv-python", "PIL": "pillow"}.get(top, top)
            return f"the package {top!r} is missing; run: pip install {package}"
    if "undefined symbol" in text or "cannot open shared object" in text or "DLL load failed" in text:
        return (
            f"a compiled library does not load ({_line(chain[-1])}); reinstall that package for your torch."
        )
    return f"{type(error).__name__}: {_line(error)}"


def diagnose() -> list[Row]:
    """Look at packages, devices, speed, attention and video; nothing here raises, a failure becomes a row."""
    rows = _packages()
    for topic, look in (
        ("devices", _devices),
        ("speed", _speed),
        ("attention", _attention),
        ("video", _video),
    ):
        try:
            rows += look()
        except Exception as problem:  # a doctor must live through what he finds
            rows.append(Row(topic, topic, "cannot be looked at", "broken", explain_import(problem)))
    return rows


def _packages() -> list[Row]:
    rows = [Row("packages", "python", platform.python_version())]
    for package in PACKAGES:
        version = installed(package)
        if version is not None:
            rows.append(Row("packages", package, version))
        elif package in OPTIONAL:
            rows.append(Row("packages", package, "not installed", "note", OPTIONAL[package]))
        else:
            rows.append(Row("packages", package, "not installed", "broken", f"run: pip install {package}"))
    advice = mismatched_pair(installed("torch"), installed("torchvision"))
    pair = "built for different devices" if advice else "match"
    rows.append(Row("packages", "torch and torchvision", pair, "broken" if advice else "ok", advice or ""))
    for module in ("timm", "open_clip"):
        rows.append(_import_row(module))
    return rows


def _import_row(module: str) -> Row:
    try:
        importlib.import_module(module)
    except Exception as problem:
        return Row("packages", f"import {module}", "fails", "broken", explain_import(problem))
    return Row("packages", f"import {module}", "works")


def _devices() -> list[Row]:
    import torch

    threads = torch.get_num_threads()
    rows = [Row("devices", "cpu", f"{_cpu_name()}, {os.cpu_count()} cores, {threads} threads in torch")]
    for index in range(torch.cuda.device_count()):
        known = torch.cuda.get_device_properties(index)
        memory = f"{known.total_memory / 2**30:.0f} GiB"
        rows.append(Row("devices", f"cuda:{index}", f"{known.name}, {memory}, sm_{known.major}{known.minor}"))
    if torch.backends.mps.is_available():
        rows.append(Row("devices", "mps", "available"))
    if len(rows) == 1:
        rows.append(
            Row("devices", "accelerator", "none", "note", "small models run here; train larger ones on a GPU")
        )
    return rows


def _speed() -> list[Row]:
    flags = _cpu_flags()
    found = ", ".join(flag for flag in CPU_FLAGS if flag in flags) or "none of " + ", ".join(CPU_FLAGS)
    single, half = matmul_rates()
    faster = half / single
    advice = "bfloat16 pays on this CPU" if faster > 1.3 else "stay with float32 on this CPU"
    value = f"{half:.0f} against {single:.0f} GFLOP/s ({faster:.1f}x)"
    return [
        Row("speed", "cpu instructions", found),
        Row("speed", "bfloat16 and float32 matmul", value, "ok", advice),
    ]


def matmul_rates(size: int = 768, repeats: int = 3) -> tuple[float, float]:
    """Measure square matrix products on the CPU in float32 and bfloat16.

    Returns:
        GFLOP/s of both, the best of `repeats`.
    """
    import torch

    def rate(dtype: torch.dtype) -> float:
        left = torch.randn(size, size).to(dtype)
        left @ left  # the first call picks a kernel
        best = min(_seconds(lambda: left @ left) for _ in range(repeats))
        return 2 * size**3 / best / 1e9

    return rate(torch.float32), rate(torch.bfloat16)


def _attention() -> list[Row]:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.float16 if device == "cuda" else torch.float32
    q = torch.randn(1, 2, 64, 32, device=device, dtype=dtype)
    rows = []
    for backend in ("MATH", "FLASH_ATTENTION", "EFFICIENT_ATTENTION", "CUDNN_ATTENTION"):
        name = f"torch {backend.lower().replace('_', ' ')}"
        try:
            import warnings

            with warnings.catch_warnings(), sdpa_kernel(getattr(SDPBackend, backend)):
                warnings.simplefilter(
                    "ignore"
                )  # torch explains refusals in warnings, the row says it shorter
                torch.nn.functional.scaled_dot_product_attention(q, q, q)
            rows.append(Row("attention", name, f"works on {device}"))
        except RuntimeError:
            rows.append(Row("attention", name, f"not on {device}", "note"))
    if installed("xformers") is not None:
        rows.append(_xformers(q, device))
    return rows


def _xformers(q: object, device: str) -> Row:
    try:
        import xformers.ops

        xformers.ops.memory_efficient_attention(q, q, q)
    except Exception as problem:
        advice = explain_import(problem) if isinstance(problem, (ImportError, OSError)) else "it needs CUDA"
        return Row("attention", "xformers", f"not on {device}", "note", advice)
    return Row("attention", "xformers", f"works on {device}")


def _video() -> list[Row]:
    import av

    rows = [
        Row("video", "ffmpeg in PyAV", ", ".join(f"{k} {'.'.join(map(str, v))}" for k, v in _libraries(av)))
    ]
    for name in ENCODERS:
        try:
            av.codec.Codec(name, "w")
            rows.append(Row("video", f"encoder {name}", "works"))
        except Exception:
            advice = "install av from PyPI (pip install --force-reinstall av), whose ffmpeg has it"
            rows.append(Row("video", f"encoder {name}", "missing", "broken", advice))
    return rows


def _libraries(av: object) -> list[tuple[str, tuple[int, ...]]]:
    versions: dict[str, tuple[int, ...]] = getattr(av, "library_versions", {})
    return [(name, versions[name]) for name in ("libavcodec", "libavformat") if name in versions]


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _cpuinfo(key: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")


def _cpu_flags() -> set[str]:
    return set(_cpuinfo("flags").split())


def _cpu_name() -> str:
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def _chain(error: BaseException | None) -> list[BaseException]:
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0].rstrip(".")
