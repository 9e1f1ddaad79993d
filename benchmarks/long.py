"""Twenty seconds from a model of one: does the object stay what it is?

    python -m benchmarks.long [--model FOLDER_OR_TAG] [--seconds 20] [--output FOLDER]

Chunk after chunk, each conditioned on the end of the one before: standing still, circling, and one prompt a chunk.
Every window of 17 frames is read back by the scorer: the share of those whose colour and shape are still the prompt's.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import vidgen
from benchmarks.record import save, table

STORIES = {
    "standing still": ["a large red circle standing still on a black background"],
    "circling": ["a large cyan square circling on a grey background"],
    "one prompt a chunk": [
        f"a large yellow circle moving {way} on a navy background"
        for way in ("right", "up", "left", "down") * 20
    ],
}
WINDOW = 17


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--chunk", type=int, default=33)
    parser.add_argument("--keep", type=int, default=17)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="folder for the videos; none are written without")
    parser.add_argument("--name", default="long", help="of the result file; '-' writes none")
    args = parser.parse_args()

    pipe = vidgen.load(args.model)
    scorer = vidgen.create("metric", "kinetic")
    count = round(args.seconds * pipe.sampling.fps)
    rows, data = [], []
    for story, prompts in STORIES.items():
        start = time.perf_counter()
        pieces = list(pipe.stream(prompts, count, chunk=args.chunk, keep=args.keep, seed=args.seed))
        frames = np.concatenate([piece.numpy() for piece in pieces])
        windows = [frames[i : i + WINDOW] for i in range(0, count - WINDOW + 1, WINDOW - 1)]
        scores = [scorer.score(window, prompts[0]) for window in windows]
        right = [bool(row["colour"] and row["shape"]) for row in scores]
        if args.output:
            vidgen.Video(frames, fps=pipe.sampling.fps).save(args.output / f"{story.replace(' ', '-')}.mp4")
        first_wrong = right.index(False) * (WINDOW - 1) / pipe.sampling.fps if False in right else None
        rows.append(
            [
                story,
                f"{len(frames)} frames in {len(pieces)} chunks",
                f"{sum(right)} of {len(right)}",
                "none" if first_wrong is None else f"{first_wrong:.0f} s",
                f"{time.perf_counter() - start:.1f}",
            ]
        )
        data.append({"story": story, "right": right})
        print(rows[-1], flush=True)
    head = ["story", "video", "windows with the right colour and shape", "first wrong at", "seconds"]
    about = f"{pipe!r}; chunks of {args.chunk} frames, {args.keep} of them kept, seed {args.seed}.\n\n"
    if args.name == "-":
        print(about + table(head, rows))
        return
    save(args.name, "Twenty seconds", about + table(head, rows), data)


if __name__ == "__main__":
    main()
