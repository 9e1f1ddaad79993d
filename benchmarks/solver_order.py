"""Measure the order of every scheduler on a Gaussian mixture with a known answer, per process and prediction.

Run: ``python -m benchmarks.solver_order`` (minutes on one core). Deterministic solvers by their distance from
the exact flow, stochastic ones by mean and covariance of 4,096 samples of 16 points; float64, uniform times
from t = 0.95 to 0.05.
"""

from __future__ import annotations

import sys

import torch

import vidgen
from benchmarks.record import save, table
from vidgen.process import PREDICTIONS, Process
from vidgen.testing.mixture import PROCESSES, measure_order, measure_weak_order

TOLERANCE = 0.3


def main() -> int:
    """Print and save the table; the exit code is 1 when an order is off."""
    torch.set_num_threads(1)
    rows, data, good = [], [], True
    for name in vidgen.list_components("scheduler"):
        for preset in vidgen.find("scheduler", name).presets:
            scheduler = vidgen.create("scheduler", f"{name}/{preset}")
            contract = scheduler.config.contract()
            measure = measure_weak_order if contract.stochastic else measure_order
            for process, spec in PROCESSES.items():
                found = {p: measure(scheduler, Process(spec), p) for p in PREDICTIONS}
                within = all(abs(order.value - contract.order) <= TOLERANCE for order in found.values())
                values = [f"{order.value:.2f}" for order in found.values()]
                row = [f"{name}/{preset}", contract.order, process, *values, "yes" if within else "NO"]
                print(*row, flush=True)
                rows.append(row)
                for prediction, order in found.items():
                    key = {"scheduler": f"{name}/{preset}", "process": process, "prediction": prediction}
                    data.append(
                        {**key, "declared": contract.order, "measured": order.value, "errors": order.errors}
                    )
                good &= within
    head = ["scheduler", "declared", "process", *PREDICTIONS, f"within {TOLERANCE}"]
    about = (__doc__ or "").partition("\n\n")[2]
    save("solver-order", "Measured order of the schedulers", f"{about}\n{table(head, rows)}", data)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
