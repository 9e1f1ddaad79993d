"""Frames as the prompt: are they kept, does what follows match them, and does nothing jump where the new begins?

    python -m benchmarks.given [--model FOLDER_OR_TAG] [--limit 112]

Held-out clips of the kinetic world at 17x64x64. Some of their frames are given with their caption: the first (image),
the first nine (forward), the last eight (backward), the first and the last four (between), the first, the middle and
the last (key frames). Read back by the scorer: the share of clips with the right word. A seam is within range when the
frames on either side of it differ no more than the two most different neighbours elsewhere in the clip. `words alone`
is the same captions without frames. In brackets stands how often the real clips themselves, through the autoencoder,
keep to that range at the same places.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np

import vidgen
from benchmarks.record import save, share, table
from vidgen.metrics import psnr

WAYS = {
    "words alone": (),
    "image": (slice(0, 1),),
    "forward": (slice(0, 9),),
    "backward": (slice(9, 17),),
    "between": (slice(0, 1), slice(13, 17)),
    "key frames": (slice(0, 1), slice(8, 9), slice(16, 17)),
}
WORDS = ("colour", "shape", "motion", "size", "background", "all")
TARGET = 95


def given_of(clip: vidgen.Video, places: tuple[slice, ...]) -> dict[int, vidgen.Video] | None:
    return {place.start: clip[place] for place in places} or None


def seam(video: vidgen.Video, places: tuple[slice, ...]) -> float:
    """Return how much the video changes at the edges of what was given, of the most that it changes elsewhere."""
    frames = video.numpy().astype(np.float32)
    jumps = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    edges = {edge - 1 for place in places for edge in (place.start, place.stop) if 0 < edge < len(frames)}
    others = [jump for number, jump in enumerate(jumps) if number not in edges]
    return float(max(jumps[edge] for edge in edges) / max(others))


def spread(seams: list[float]) -> str:
    """Return the median and the 90th percentile."""
    return f"{statistics.median(seams):.2f}, {np.quantile(seams, 0.9):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", help="a folder or tag; the shipped default if left out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--limit", type=int, default=112)
    parser.add_argument("--guidance", type=float, help="where frames are given; the model's if left out")
    parser.add_argument("--name", default="given", help="of the result file; '-' writes none")
    args = parser.parse_args()

    pipe = vidgen.load(args.model)
    world = vidgen.create("data_set", "kinetic", split="test", paraphrase=False, samples=224)
    scorer = vidgen.create("metric", "kinetic")
    chosen = list(range(0, 224, max(1, 224 // args.limit)))[: args.limit]
    samples = [world.sample(i, pipe.sampling.size) for i in chosen]
    clips = [vidgen.Video(sample.video, fps=16) for sample in samples]
    captions = [sample.caption for sample in samples]
    copies = [pipe.reconstruct(clip) for clip in clips]
    rows, data = [], []
    for way, places in WAYS.items():
        made: list[vidgen.Video] = []
        for begin in range(0, len(clips), args.batch):
            part = slice(begin, begin + args.batch)
            given = [given_of(clip, places) for clip in clips[part]] if places else None
            seeds = [args.seed + i for i in chosen[part]]
            guidance = args.guidance if places else None
            made += pipe(captions[part], given=given, seed=seeds, guidance=guidance, show_progress=False)
        scores = [scorer.score(video.numpy(), text) for video, text in zip(made, captions, strict=True)]
        kept = [
            float(psnr(video[place], copy[place]))
            for video, copy in zip(made, copies, strict=True)
            for place in places
        ]
        seams = [seam(video, places) for video in made] if places else []
        real = [seam(copy, places) for copy in copies] if places else []
        rest = ["", "", ""]
        if places:
            usual = f"(real {100 * sum(one <= 1 for one in real) / len(real):.0f})"
            rest = [f"{statistics.median(kept):.1f}", f"{share([one <= 1 for one in seams])} {usual}"]
            rest += [f"{spread(seams)} (real {spread(real)})"]
        rows.append([way, *(share([row[word] for row in scores]) for word in WORDS), *rest])
        data.append({"way": way, "scores": scores, "kept_psnr": kept, "seams": seams, "real": real})
        print(rows[-1], flush=True)
    head = [
        "given",
        *(f"{word} %" for word in WORDS),
        "given frames against the autoencoder's, dB",
        "no jump %",
        "seam / most elsewhere: median, 90 %",
    ]
    about = (
        f"{pipe!r}; {len(clips)} clips, {pipe.sampling.size}, seeds {args.seed} + number of the clip; 95 % Wilson "
        f"intervals in brackets. Target for colour, shape: {TARGET} %.\n\n"
    )
    if args.name == "-":
        print(about + table(head, rows))
        return
    save(args.name, "Frames as the prompt", about + table(head, rows), data)


if __name__ == "__main__":
    main()
