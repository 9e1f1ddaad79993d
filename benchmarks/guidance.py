"""Guiders on held-out prompts of the kinetic world, and loose prompts with and without the prompt refiner.

    python -m benchmarks.guidance [--model FOLDER_OR_TAG] [--limit 56] [--batch 14]

Every prompt counts once: nothing is picked. A loose prompt is read right when each fact that it names is.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import vidgen
from benchmarks.loose_prompts import BLIND, TUNED, read
from benchmarks.record import save, table
from vidgen.metrics.wilson import wilson

FACTS = ("size", "colour", "shape", "motion", "background")
GUIDANCE: tuple[Any, ...] = (
    1.0,
    3.0,
    7.5,
    {"name": "cfg-rescaled", "scale": 7.5},
    {"name": "cfg-interval", "scale": 3.0},
    {"name": "cfg-interval", "scale": 3.0, "low": 0.3, "high": 1.0},
    {"name": "cfg-zero", "scale": 3.0},
    {"name": "cfg-zero", "scale": 3.0, "zero_steps": 0},
)


def share(right: list[bool]) -> str:
    low, high = wilson(sum(right), len(right))[-2:]
    return f"{sum(right)} of {len(right)} ({100 * low:.0f}-{100 * high:.0f} %)"


def made(pipe: Any, prompts: list[str], batch: int, **options: Any) -> list[Any]:
    videos: list[Any] = []
    for begin in range(0, len(prompts), batch):
        part = prompts[begin : begin + batch]
        videos += pipe(part, seed=list(range(begin, begin + len(part))), **options)
    return videos


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="a folder or tag; the shipped default if left out")
    parser.add_argument("--limit", type=int, default=56, help="held-out prompts, out of 224")
    parser.add_argument("--batch", type=int, default=14)
    args = parser.parse_args()
    pipe = vidgen.load(args.model).to(dtype="auto")
    scorer = vidgen.create("metric", "kinetic")
    world = vidgen.create("data_set", "kinetic", split="test", paraphrase=False, samples=224)
    every = [world.caption(i, pipe.sampling.size, 0) for i in range(224)]
    prompts = every[:: max(1, 224 // args.limit)][: args.limit]
    rows, data = [], {}
    for guidance in GUIDANCE:
        start = time.perf_counter()
        videos = made(pipe, prompts, args.batch, guidance=guidance)
        seconds = (time.perf_counter() - start) / len(prompts)
        right = [scorer.score(v.numpy(), p)["all"] for v, p in zip(videos, prompts, strict=True)]
        data[str(guidance)] = right
        rows.append((str(guidance), share(right), str(videos[0].metadata["evaluations"]), f"{seconds:.2f}"))
        print(*rows[-1], flush=True)
    loose = read(TUNED) + read(BLIND)
    refined = []
    for refiner in ("none", "kinetic"):
        videos = made(pipe, [prompt for prompt, _ in loose], args.batch, refiner=refiner)
        right = []
        for video, (_, meant) in zip(videos, loose, strict=True):
            seen = scorer.read(video.numpy())
            right.append(all(getattr(seen, f) == w for f, w in zip(FACTS, meant, strict=True) if w != "-"))
        data[f"refiner {refiner}"] = right
        refined.append((refiner, share(right)))
        print(*refined[-1], flush=True)
    body = (
        f"{pipe!r}, {pipe.sampling.steps} steps, {pipe.sampling.size}, {pipe.dtype}; 95 % Wilson intervals.\n\n"
        f"{len(prompts)} held-out prompts, all five words right:\n\n"
        + table(("guidance", "right", "evaluations", "seconds a video"), rows)
        + f"\n\n{len(loose)} loose prompts, every word that they name right:\n\n"
        + table(("refiner", "right"), refined)
    )
    save("guidance", "Guiders and the prompt refiner on the default model", body, data)


if __name__ == "__main__":
    main()
