"""Run a plan twice: pairs of combinations that differ by more than 15 % must come out in the same order.

Run: ``python -m benchmarks.repeat`` (two smoke suites, minutes). Every figure in seconds counts, pair by pair within
a suite; a pair that is told apart in the first run and stands the other way round in the second is an inversion.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.record import ROOT, save, table
from vidgen.bench import Store

APART = 1.15


def medians(path: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Return the medians in seconds of every combination, by suite and figure."""
    found: defaultdict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    with Store(path, create=False) as store:
        for row in store.rows():
            for measure in row.measures if row.status == "ok" else ():
                if measure.unit == "s" and len(measure.samples) > 1:
                    found[row.suite, measure.name][row.key] = measure.value
    return dict(found)


def main() -> int:
    """Print and save the table; the exit code is 1 when a pair stands the other way round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", nargs="?", default="benchmarks/suites/smoke.toml")
    plan = parser.parse_args().plan
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("one.db", "two.db")]
        for file in files:
            subprocess.run(
                [sys.executable, "-m", "vidgen", "bench", plan, "--out", str(file)], cwd=ROOT, check=True
            )
        one, two = map(medians, files)
    rows, data, inverted = [], [], 0
    for (suite, figure), values in one.items():
        pairs = [(a, b) if values[a] < values[b] else (b, a) for a, b in itertools.combinations(values, 2)]
        told = [(a, b) for a, b in pairs if values[b] > APART * values[a]]
        again = two[suite, figure]
        wrong = [(a, b) for a, b in told if again[a] >= again[b]]
        drift = sorted(abs(again[key] / value - 1) for key, value in values.items())[len(values) // 2]
        rows.append([suite, figure, len(values), len(pairs), len(told), len(wrong), f"{100 * drift:.1f} %"])
        data.append({"suite": suite, "figure": figure, "one": values, "two": again, "inverted": wrong})
        inverted += len(wrong)
    head = ["suite", "figure", "combinations", "pairs", "over 15 % apart", "inverted", "median change"]
    about = (__doc__ or "").partition("\n\n")[2]
    save("repeat", "The same suite twice", f"{about}\n{table(head, rows)}\nInversions: {inverted}\n", data)
    return 1 if inverted else 0


if __name__ == "__main__":
    sys.exit(main())
