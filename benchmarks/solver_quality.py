"""How near each solver comes to the exact solution of the default model's equation, by evaluations.

    python -m benchmarks.solver_quality [--prompts 4] [--evaluations 10 20 50]

Guidance 1, float32, the same noise; the reference is Heun with 1,000 steps. PSNR between decoded videos.
"""

from __future__ import annotations

import argparse

import torch

import vidgen
from benchmarks.record import save, table
from vidgen.metrics import psnr

TARGETS = {"euler": 30, "heun": 36, "dpmpp-2m": 36, "unipc": 36}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model")
    parser.add_argument("--prompts", type=int, default=4)
    parser.add_argument("--reference-steps", type=int, default=1000)
    parser.add_argument("--evaluations", type=int, nargs="+", default=[10, 20, 50])
    args = parser.parse_args()

    pipe = vidgen.load(args.model).to(dtype=torch.float32)
    world = vidgen.create("data_set", "kinetic", split="test", paraphrase=False, samples=224)
    stride = 224 // args.prompts
    prompts = [world.sample(i * stride, pipe.sampling.size).caption for i in range(args.prompts)]

    def run(scheduler: str, steps: int) -> torch.Tensor:
        videos = pipe.replace(scheduler=scheduler)(prompts, seed=0, guidance=1.0, steps=steps)
        return torch.cat([video.tensor() for video in videos])

    exact = run("heun", args.reference_steps)
    rows, data = [], []
    for name in TARGETS:
        cost = vidgen.create("scheduler", name).config.contract().evaluations_per_step
        cells = []
        for budget in args.evaluations:
            values = psnr(run(name, budget // cost), exact)
            data.append({"solver": name, "evaluations": budget, "psnr": values.tolist()})
            cells.append(f"{values.mean():.1f} ({values.min():.1f})")
        rows.append([name, f">= {TARGETS[name]} at 50", *cells])
        print(rows[-1], flush=True)
    head = ["solver", "target dB", *(f"{budget} evaluations: mean dB (least)" for budget in args.evaluations)]
    about = f"{pipe!r}, {args.prompts} prompts, {pipe.sampling.size}, reference Heun {args.reference_steps} steps.\n\n"
    save("solver-quality", "Solvers on the default model", about + table(head, rows), data)


if __name__ == "__main__":
    main()
