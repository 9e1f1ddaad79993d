"""How far the kinetic scorer can be trusted: on truth, on disturbed truth, and on what must read "none".

    python -m benchmarks.scorer_truth [--samples 400]

Parts are reached by name only. Prints Markdown tables with 95 % Wilson intervals.
"""

from __future__ import annotations

import argparse
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import vidgen
from benchmarks.record import save
from vidgen.metrics.wilson import wilson

Video = NDArray[np.uint8]
Disturbance = Callable[[Video, np.random.Generator], Video]

SIZES = ("64x64", "48x80", "80x48")
LENGTHS = (9, 17, 33)
ATTRIBUTES = ("size", "colour", "shape", "motion", "background")
SHAPES = ("circle", "square", "triangle", "cross")


def to_bytes(video: NDArray[np.floating]) -> Video:
    return np.clip(np.rint(video), 0, 255).astype(np.uint8)


def noise(sigma: float) -> Disturbance:
    return lambda video, rng: to_bytes(video + rng.normal(0, sigma, video.shape))


def grain(video: Video, rng: np.random.Generator) -> Video:
    """Noise of 8 levels in 2x2 blocks held for two frames, rather like an autoencoder's."""
    t, h, w, _ = video.shape
    coarse = rng.normal(0, 8, ((t + 1) // 2, (h + 1) // 2, (w + 1) // 2, 3))
    return to_bytes(video + coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)[:t, :h, :w])


def blur(sigma: float) -> Disturbance:
    reach = int(3 * sigma) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel /= kernel.sum()

    def apply(video: Video, rng: np.random.Generator) -> Video:
        soft = np.pad(video.astype(float), ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
        for axis in (1, 2):
            size = video.shape[axis]
            soft = sum(k * soft.take(range(i, i + size), axis) for i, k in enumerate(kernel))
        return to_bytes(soft)

    return apply


def jitter(reach: int) -> Disturbance:
    def apply(video: Video, rng: np.random.Generator) -> Video:
        padded = np.pad(video, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="edge")
        moves = rng.integers(0, 2 * reach + 1, (len(video), 2))
        h, w = video.shape[1:3]
        return np.stack([f[y : y + h, x : x + w] for f, (y, x) in zip(padded, moves, strict=True)])

    return apply


def tint(video: Video, rng: np.random.Generator) -> Video:
    return to_bytes(video + rng.choice([-15, 15], 3))


def jpeg(quality: int) -> Disturbance:
    def apply(video: Video, rng: np.random.Generator) -> Video:
        frames = []
        for frame in video:
            file = io.BytesIO()
            Image.fromarray(frame).save(file, "JPEG", quality=quality)
            frames.append(np.asarray(Image.open(file)))
        return np.stack(frames)

    return apply


def chain(*steps: Disturbance) -> Disturbance:
    def apply(video: Video, rng: np.random.Generator) -> Video:
        for step in steps:
            video = step(video, rng)
        return video

    return apply


DISTURBANCES: dict[str, Disturbance] = {
    "none (truth)": lambda video, rng: video,
    "noise, sigma 8": noise(8),
    "noise in 2x2x2 blocks, sigma 8": grain,
    "blur, sigma 0.7 px": blur(0.7),
    "blur, sigma 1 px": blur(1.0),
    "jitter, up to 1 px a frame": jitter(1),
    "jitter, up to 2 px a frame": jitter(2),
    "each channel 15 off": tint,
    "JPEG, quality 90, half the colour resolution": jpeg(90),
    "JPEG, quality 60, half the colour resolution": jpeg(60),
    "blur 0.7, block noise 8, 15 off": chain(blur(0.7), grain, tint),
}


def draw_size(rng: np.random.Generator, frames: int | None = None) -> vidgen.Size:
    length = frames or int(rng.choice(LENGTHS))
    return vidgen.Size.parse(f"{length}x{rng.choice(SIZES)}")


def read_disturbed(
    world: Any, scorer: Any, disturb: Disturbance, samples: int, *, images: bool
) -> dict[str, Any]:
    """Count right answers by attribute, wrong words (rather than "none"), and shapes read by true shape."""
    rng = np.random.default_rng(1)
    right, wrong, confusion = Counter(), Counter(), Counter()
    for index in range(samples):
        sample = world.sample(index, draw_size(rng, 1 if images else None))
        truth = scorer.facts(sample.caption)
        seen = asdict(scorer.read(disturb(sample.video, rng)))
        for attribute, word in truth.items():
            right[attribute] += seen[attribute] == word
            wrong[attribute] += seen[attribute] not in (word, "none")
        confusion[truth["shape"], seen["shape"]] += 1
    return {"right": right, "wrong": wrong, "confusion": confusion}


def two_objects(world: Any, rng: np.random.Generator) -> Video:
    """Put two objects that never touch on one background."""
    while True:
        size = draw_size(rng)
        first, second = (world.sample(int(rng.integers(len(world))), size).video for _ in range(2))
        # Every object stays inside the frame, so that the most frequent level is the background's.
        grounds = [np.median(v.reshape(-1, 3), axis=0) for v in (first, second)]
        masks = [(v != g).any(-1) for v, g in zip((first, second), grounds, strict=True)]
        grown = np.pad(masks[0], ((0, 0), (2, 2), (2, 2)))
        h, w = size.height, size.width
        near = np.any([grown[:, y : y + h, x : x + w] for y in range(5) for x in range(5)], axis=0)
        if (grounds[0] == grounds[1]).all() and not (near & masks[1]).any():
            return np.where(masks[1][..., None], second, first)


def uniform_noise(world: Any, rng: np.random.Generator) -> Video:
    return rng.integers(0, 256, (*draw_size(rng), 3), dtype=np.uint8)


def cloudy_noise(world: Any, rng: np.random.Generator) -> Video:
    """Noise in 8x8 blocks: large patches of colour."""
    t, h, w = draw_size(rng)
    return rng.integers(0, 256, (t, h // 8, w // 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)


def plain(world: Any, rng: np.random.Generator) -> Video:
    return np.full((*draw_size(rng), 3), rng.integers(0, 256), np.uint8)


def noisy_grey(world: Any, rng: np.random.Generator) -> Video:
    return noise(8)(np.full((*draw_size(rng), 3), 110, np.uint8), rng)


NOTHING: dict[str, Callable[[Any, np.random.Generator], Video]] = {
    "noise": uniform_noise,
    "noise in 8x8 blocks": cloudy_noise,
    "one plain grey": plain,
    "grey with noise, sigma 8": noisy_grey,
    "two objects": two_objects,
}


def wrong_motion(world: Any, scorer: Any, samples: int, change: Disturbance) -> tuple[Counter[str], int]:
    """Read moving things after `change`; return what was read and how often the asked motion held."""
    rng = np.random.default_rng(3)
    seen: Counter[str] = Counter()
    held = index = 0
    while seen.total() < samples:
        sample = world.sample(index, draw_size(rng))
        index += 1
        asked = scorer.facts(sample.caption)["motion"]
        if asked == "standing still":
            continue
        read = scorer.read(change(sample.video, rng)).motion
        seen[read if read in ("none", "standing still") else "another motion"] += read != asked
        held += read == asked
        seen["asked"] += read == asked
    return seen, held


def freeze(video: Video, rng: np.random.Generator) -> Video:
    return np.repeat(video[[int(rng.integers(len(video)))]], len(video), axis=0)


def shuffle(video: Video, rng: np.random.Generator) -> Video:
    return video[rng.permutation(len(video))]


def rate(successes: int, n: int) -> str:
    low, high = wilson(successes, n)
    return f"{100 * successes / n:.2f} ({100 * low:.1f}-{100 * high:.1f})"


def report(samples: int, truths: int) -> str:
    scorer = vidgen.create("metric", "kinetic")
    world = vidgen.create("data_set", "kinetic", seed=20_000)
    held_out = vidgen.create("data_set", "kinetic", split="test", samples=224)
    plain_truth = DISTURBANCES["none (truth)"]
    counts = {name: truths if disturb is plain_truth else samples for name, disturb in DISTURBANCES.items()}
    results = {
        name: read_disturbed(world, scorer, disturb, counts[name], images=False)
        for name, disturb in DISTURBANCES.items()
    }
    rows = [(name, counts[name], result["right"]) for name, result in results.items()]
    test = read_disturbed(held_out, scorer, plain_truth, 224, images=False)
    images = read_disturbed(world, scorer, plain_truth, truths, images=True)
    rows += [
        ("truth, the 224 held-out scenes", 224, test["right"]),
        ("truth, single images", truths, images["right"]),
    ]

    lines = ["## Right answers, % (95 % Wilson interval)", ""]
    lines += [f"{', '.join(SIZES)} and {LENGTHS} frames mixed; scenes of the training split unless said.", ""]
    lines += ["| disturbance | videos | " + " | ".join(ATTRIBUTES) + " |", "|---" * 7 + "|"]
    for name, n, right in rows:
        cells = [rate(right[a], n) if a in right else "-" for a in ATTRIBUTES]
        lines.append(f"| {name} | {n} | " + " | ".join(cells) + " |")

    lines += ["", '## Wrong words (not "none"), number of videos', ""]
    lines += ["| disturbance | " + " | ".join(ATTRIBUTES) + " |", "|---" * 6 + "|"]
    for name, result in results.items():
        lines.append(f"| {name} | " + " | ".join(str(result["wrong"][a]) for a in ATTRIBUTES) + " |")
    total: Counter[tuple[str, str]] = sum((result["confusion"] for result in results.values()), Counter())
    lines += ["", "## Shapes read, all disturbances together", ""]
    lines += ["| true \\ read | " + " | ".join((*SHAPES, "none")) + " |", "|---" * 6 + "|"]
    for true in SHAPES:
        lines.append(f"| {true} | " + " | ".join(str(total[true, read]) for read in (*SHAPES, "none")) + " |")

    lines += ["", '## Videos that show no single object: read as "none" in every attribute, %', ""]
    lines += ["| video | none |", "|---|---|"]
    for name, make in NOTHING.items():
        rng = np.random.default_rng(2)
        none = sum(set(asdict(scorer.read(make(world, rng))).values()) == {"none"} for _ in range(samples))
        lines.append(f"| {name} | {rate(none, samples)} |")
    lines += ["", "## A motion was asked, and the video's time is broken, %", ""]
    lines += ["| video | the asked motion fails | read as |", "|---|---|---|"]
    for name, change in (("frozen", freeze), ("shuffled", shuffle)):
        seen, held = wrong_motion(world, scorer, samples, change)
        words = ", ".join(f"{word} {count}" for word, count in seen.most_common())
        lines.append(f"| {name} | {rate(samples - held, samples)} | {words} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=400, help="videos a row")
    parser.add_argument("--truths", type=int, default=1000, help="undisturbed videos a row")
    options = parser.parse_args()
    save("kinetic-scorer", "What the kinetic scorer reads", report(options.samples, options.truths))


if __name__ == "__main__":
    main()
