"""A long clip through an autoencoder in bounded memory.

    python -m benchmarks.streaming_memory [CLIP] [--autoencoder sora-vae@kinetic]

Runs `vidgen reconstruct` on the whole clip and prints its peak resident memory above that of a process that has only
loaded the same part.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.record import CLIPS, save, table

LOAD = "import sys, vidgen, vidgen.sampling.reconstruct; vidgen.create('autoencoder', sys.argv[1])"


def peak(command: list[str]) -> tuple[float, str]:
    """Run a command and return its peak resident memory in MB and its output."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        output.seek(0)
        text = output.read()
    if status:
        raise SystemExit(text)
    return usage.ru_maxrss / 1024, text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clip", type=Path, nargs="?", default=CLIPS / "bottles_640x360_29.83fps_1189f.mp4")
    parser.add_argument("--autoencoder", default="sora-vae@kinetic")
    args = parser.parse_args()

    base, _ = peak([sys.executable, "-c", LOAD, args.autoencoder])
    script = str(Path(sys.executable).with_name("vidgen"))
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "out.mp4")
        full, text = peak(
            [script, "reconstruct", str(args.clip), "--output", out, "--autoencoder", args.autoencoder]
        )
    rows = [
        ["part loaded", f"{base:.0f}", ""],
        [f"{args.clip.name} reconstructed", f"{full:.0f}", f"{full - base:.0f}"],
    ]
    said = text.strip().replace(out, "out.mp4")
    body = table(["process", "peak MB", "above MB (target < 2000)"], rows) + f"\n```\n{said}\n```\n"
    save("streaming-memory", "A long clip in bounded memory", body, {"base_mb": base, "peak_mb": full})


if __name__ == "__main__":
    main()
