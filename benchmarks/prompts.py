"""The default model on the 224 held-out prompts of the kinetic world: what share reads back right.

    python -m benchmarks.prompts [--model FOLDER_OR_TAG] [--seed 0] [--batch 16]

Default settings, 20 steps, 17x64x64; prompt i starts from seed + i. Every prompt counts once: nothing is picked.
Beside it the scorer on rendered truth, and on truth passed through the autoencoder: the ceiling.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch

import vidgen
from benchmarks.record import save, share, table

ATTRIBUTES = ("colour", "shape", "motion", "size", "background", "all")
TARGETS = {"colour": 98, "shape": 95, "motion": 95, "size": 95, "background": 95, "all": 88}


def score(scorer: Any, videos: list[Any], prompts: list[str]) -> list[dict[str, bool]]:
    return [scorer.score(video.numpy(), prompt) for video, prompt in zip(videos, prompts, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="a folder or tag; the shipped default if left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--scheduler")
    parser.add_argument("--limit", type=int, default=224, help="fewer prompts, for a quick look")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--name", default="prompts", help="of the result file; '-' writes none")
    args = parser.parse_args()

    pipe = vidgen.load(args.model).to(dtype=args.dtype)
    if args.scheduler:
        pipe = pipe.replace(scheduler=args.scheduler)
    world = vidgen.create("data_set", "kinetic", split="test", paraphrase=False, samples=224)
    scorer = vidgen.create("metric", "kinetic")
    size = pipe.sampling.size
    stride = max(1, 224 // args.limit)
    chosen = list(range(0, 224, stride))[: args.limit]
    samples = [world.sample(i, size) for i in chosen]
    prompts = [sample.caption for sample in samples]
    truth = [vidgen.Video.from_numpy(sample.video, fps=16) for sample in samples]
    ceiling = [pipe.reconstruct(video) for video in truth]
    made, seconds = [], []
    for begin in range(0, len(prompts), args.batch):
        part = prompts[begin : begin + args.batch]
        start = time.perf_counter()
        seeds = [args.seed + chosen[begin + j] for j in range(len(part))]
        made += pipe(part, seed=seeds, guidance=args.guidance, steps=args.steps)
        seconds.append((time.perf_counter() - start) / len(part))
        print(f"{len(made)}/{len(prompts)} {seconds[-1]:.2f} s a video", flush=True)
    results = {
        "made": score(scorer, made, prompts),
        "ceiling": score(scorer, ceiling, prompts),
        "truth": score(scorer, truth, prompts),
    }
    head = ("attribute", "target", "generated %", "truth through the autoencoder %", "truth %")
    rows = [
        (
            a,
            f">= {TARGETS[a]}",
            *(share([row[a] for row in results[k]]) for k in ("made", "ceiling", "truth")),
        )
        for a in ATTRIBUTES
    ]
    about = (
        f"{pipe!r}\n\n{len(prompts)} prompts, seeds {args.seed} + number of the prompt, "
        f"{args.steps or pipe.sampling.steps} steps, guidance {args.guidance or pipe.sampling.guidance}, {size}, "
        f"{pipe.dtype}; {statistics.median(seconds):.2f} s a video in batches of {args.batch}, "
        f"{torch.get_num_threads()} threads. 95 % Wilson intervals in brackets.\n\n"
    )
    wrong = [
        {
            "prompt": p,
            "seed": args.seed + i,
            "wrong": [a for a in ATTRIBUTES if not row[a]],
            "read": str(scorer.read(v.numpy())),
        }
        for p, i, row, v in zip(prompts, chosen, results["made"], made, strict=True)
        if not row["all"]
    ]
    body = about + table(head, rows)
    if args.name == "-":
        print(body)
        return
    save(
        args.name,
        "The default model on the held-out prompts",
        body,
        {"scores": results["made"], "wrong": wrong},
    )


if __name__ == "__main__":
    main()
