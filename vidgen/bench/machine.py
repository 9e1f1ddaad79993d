"""Where a row was measured: machine, versions, commit, load. No torch here."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from vidgen.registry import plugins

__all__ = ["commit", "load", "machine", "versions"]

PACKAGES = ("torch", "numpy", "diffusers", "transformers")
CPUINFO, MEMINFO = Path("/proc/cpuinfo"), Path("/proc/meminfo")


def machine() -> dict[str, Any]:
    """Return processor, cores, memory and system."""
    model, memory = platform.processor() or platform.machine(), None
    if CPUINFO.exists():
        names = [
            line.split(":", 1)[1].strip() for line in CPUINFO.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    if MEMINFO.exists():
        memory = round(int(MEMINFO.read_text().split()[1]) * 1024 / 1e9, 1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"processor": model, "cores": cores, "memory GB": memory, "system": platform.platform()}


def versions() -> dict[str, str]:
    """Return versions of Python, of what is computed with, and of the plugins' distributions."""
    found = {"python": platform.python_version()}
    found.update({plugin.distribution: plugin.version for plugin in plugins()})
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Return the commit of the source tree, with a + where files were changed; empty outside a repository."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=False
        )
        changed = subprocess.run(
            ["git", "status", "--porcelain", "-uno"], cwd=here, capture_output=True, text=True, check=False
        )
    except OSError:  # no git
        return ""
    return head.stdout.strip() + ("+" if head.stdout and changed.stdout.strip() else "")


def load() -> float:
    """Return the load average of the last minute; 0 where there is none."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
