"""Where and how a measurement was made, and its dated file under ``benchmarks/results``."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vidgen.metrics.wilson import wilson

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).resolve().parents[1]
CLIPS = ROOT.parent / "shared" / "clips"


def circumstances() -> dict[str, Any]:
    """Return machine, load, versions and commit."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line
        ]
        model = names[0] if names else model
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    return {
        "date": date.today().isoformat(),
        "command": shlex.join(
            ["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *map(_tidy, sys.argv[1:])]
        ),
        "machine": f"{os.cpu_count()} cores, {model}",
        "load": load,
        "versions": f"Python {platform.python_version()}, torch {version('torch')}",
        "commit": commit.stdout.strip() or "none",
    }


def _tidy(word: str) -> str:
    """Return a word of the command without the folders of this machine."""
    return _relative(word) if word.startswith("/") else word


def _relative(path: str) -> str:
    full = Path(path).resolve()
    return str(full.relative_to(ROOT)) if full.is_relative_to(ROOT) else full.name


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def share(hits: Sequence[bool]) -> str:
    """Return a rate in percent with its 95 % Wilson interval."""
    low, high = wilson(sum(hits), len(hits))
    return f"{100 * sum(hits) / len(hits):.1f} ({100 * low:.1f}-{100 * high:.1f})"


def save(name: str, title: str, body: str, data: Any = None) -> Path:
    """Print a result and write it, dated, as Markdown (and its raw rows as JSON).

    Args:
        name: Of the file.
        title: Of the page.
        body: Markdown.
        data: Raw rows to keep.
    """
    about = circumstances()
    head = f"# {title}\n\n" + "".join(f"- {key}: {value}\n" for key, value in about.items())
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{about['date']}-{name}.md"
    path.write_text(f"{head}\n{body}")
    if data is not None:
        path.with_suffix(".json").write_text(json.dumps({**about, "rows": data}, indent=1) + "\n")
    print(f"{head}\n{body}\nwritten to {_relative(str(path))}")
    return path
