"""What a user waits for: imports, listing, and one video of the default model.

    python -m benchmarks.speed [--repeats 5]

Imports and commands are whole processes; the video is timed in this process, loading excluded. Medians.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

import vidgen
from benchmarks.record import save, table


def timed(action: Callable[[], object], repeats: int) -> list[float]:
    action()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return seconds


def process(*command: str) -> Callable[[], object]:
    return lambda: subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()

    python, script = sys.executable, str(Path(sys.executable).with_name("vidgen"))
    bare = statistics.median(timed(process(python, "-c", "pass"), args.repeats))
    pipe = vidgen.load(args.model).to("auto", "auto")
    prompt = "a large red circle moving left on a black background"
    actions = [
        ("python -c pass", "", process(python, "-c", "pass")),
        ("import vidgen, beyond python itself", "< 0.1 s", process(python, "-c", "import vidgen")),
        ("vidgen list", "< 0.5 s", process(script, "list")),
        (
            f"video {pipe.sampling.size}, {pipe.sampling.steps} steps, {pipe.dtype}",
            "< 10 s",
            lambda: pipe(prompt, seed=0),
        ),
        ("the same in float32", "", lambda: pipe.to(dtype=torch.float32)(prompt, seed=0)),
    ]
    rows, data = [], []
    for label, target, action in actions:
        seconds = timed(action, args.repeats)
        off = bare if "beyond" in label else 0.0
        data.append({"what": label, "seconds": [value - off for value in seconds]})
        rows.append(
            [
                label,
                target,
                f"{statistics.median(seconds) - off:.3f}",
                f"{min(seconds) - off:.3f}-{max(seconds) - off:.3f}",
            ]
        )
        print(rows[-1], flush=True)
    about = f"{torch.get_num_threads()} threads, {args.repeats} repeats after one warm-up.\n\n"
    save(
        "speed",
        "What a user waits for",
        about + table(["what", "target", "median s", "least-most"], rows),
        data,
    )


if __name__ == "__main__":
    main()
