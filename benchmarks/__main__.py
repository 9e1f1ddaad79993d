"""Measure the shipped model: ``python -m benchmarks`` (`make bench`). Each part runs in a process of its own."""

from __future__ import annotations

import subprocess
import sys

PARTS = (
    "speed",
    "prompts",
    "given",
    "long",
    "solver_order",
    "solver_quality",
    "sparse_attention",
    "streaming_memory",
    "tiles",
    "four_reconstructions",
    "overhead",
    "repeat",
    "swap_table",
    "against_diffusers",
)


def main() -> int:
    failed = [
        name for name in PARTS if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode
    ]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    raise SystemExit(main())
