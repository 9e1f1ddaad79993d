"""Training on a mixture of sizes: packed, padded and bucketed batches, in one run.

    python -m benchmarks.packing [--preset small] [--each 12] [--repeats 15] [--backend loop] [--precision fp32]

One round is the same samples for every arm: four batches, forward and backward, an arm's batch after another's. Packed:
samples of all sizes one behind the other, attention within each. Padded: the tokens of each sample filled up to the
longest of the batch, a mask over keys; patches, positions and masks are made before the clock runs. Bucketed: a batch
holds one size. Medians of samples a second.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

import vidgen
from benchmarks.record import save, table
from vidgen.interfaces import Condition, PackedLatents, TextEmbedding
from vidgen.nn import attention_backend

VIDEOS = tuple(map(vidgen.Size.parse, ("17x64x64", "9x80x48", "33x48x80", "1x96x96")))
LATENTS = tuple(
    vidgen.create("autoencoder", "sora-vae/tiny").latent.latent_size(size) for size in VIDEOS
)  # what 4x8x8 makes of them
CHANNELS, WIDTH, WORDS = 16, 64, 9


@dataclasses.dataclass(frozen=True)
class Batch:
    """Samples ``[C, t, h, w]`` with their times ``[B]`` and prompts; the target of each is itself."""

    samples: list[Tensor]
    times: Tensor
    text: TextEmbedding

    def pick(self, numbers: list[int]) -> Batch:
        """Return some of the samples."""
        text = TextEmbedding(self.text.tokens[numbers], self.text.text_mask[numbers])
        return Batch([self.samples[n] for n in numbers], self.times[numbers], text)


def draw(each: int) -> Batch:
    """Return four batches' worth of samples, the sizes in turn, prompts of three to nine tokens."""
    chance = torch.Generator().manual_seed(0)
    samples = [torch.randn(CHANNELS, *size, generator=chance) for _ in range(4 * each) for size in LATENTS]
    count = len(samples)
    mask = torch.arange(WORDS) < torch.randint(3, WORDS + 1, (count, 1), generator=chance)
    text = TextEmbedding(torch.randn(count, WORDS, WIDTH, generator=chance), mask)
    return Batch(samples, torch.rand(count, generator=chance), text)


def packed(part: Any, batch: Batch) -> Callable[[], Tensor]:
    """Return the loss of a batch in one sequence: the mean over samples of each one's mean."""

    def loss() -> Tensor:
        x = PackedLatents.of(batch.samples)
        value = part(x, batch.times, part.prepare(batch.text, Condition(), x.sizes)).value
        return PackedLatents((value.float() - x.values).square(), x.sizes).means().mean()

    return loss


def bucketed(part: Any, batch: Batch) -> Callable[[], Tensor]:
    """Return the loss of a batch of one size."""

    def loss() -> Tensor:
        x = torch.stack(batch.samples)
        value = part(x, batch.times, part.prepare(batch.text, Condition(), vidgen.Size(*x.shape[2:]))).value
        return (value.float() - x).square().mean()

    return loss


def padded(part: Any, batch: Batch) -> Callable[[], Tensor]:
    """Return the loss of a batch of tokens filled up to the longest; everything that can be is made beforehand.

    The library has no padded road of its own, so this drives the inner parts of `sora-dit`. The modulation is a row for
    each sample that is broadcast; nothing is gathered or scattered.
    """
    with torch.no_grad():
        patches = [part._patches(sample[None])[0] for sample in batch.samples]
        sizes = [vidgen.Size(*sample.shape[1:]) for sample in batch.samples]
        lone = batch.pick([0]).text
        known = {size: part.prepare(lone, Condition(), size) for size in set(sizes)}
    longest = max(map(len, patches))

    def fill(rows: list[Tensor]) -> Tensor:
        return torch.stack([pad(row, (0, 0, 0, longest - len(row))) for row in rows])

    x = fill(patches)
    there = torch.stack([torch.arange(longest) < len(one) for one in patches])
    weight = there[..., None] / there.sum(1)[:, None, None] / len(patches) / x.shape[-1]
    # Added to the scores: filling them in by a mask would be another pass over them on the way back.
    bias = torch.zeros(there.shape).masked_fill(~there, -torch.inf)[:, None, None]
    rope = tuple(fill([known[size].rope[i] for size in sizes])[:, None] for i in range(2))
    positions = fill([known[size].positions for size in sizes])

    def loss() -> Tensor:
        prepared = part.prepare(batch.text, Condition(), sizes[0])
        # Of the scores' own type, which it must not make wider.
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        within = None if there.all() else bias.to(kind)
        prepared = dataclasses.replace(prepared, rope=rope, within=within)
        tokens = part.enter(x)
        tokens = tokens + positions.to(tokens.dtype)
        c = part._condition(batch.times, 0, prepared.pooled)
        value = part._refine(tokens, part.modulation(c), part.last_modulation(c), prepared)
        return ((value.float() - x).square() * weight).sum()

    return loss


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="small", help="of sora-dit")
    parser.add_argument("--each", type=int, default=12, help="samples of each size to a batch")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--backend", default="loop", help="attention of the packed arm")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    part = vidgen.create(
        "denoiser", f"sora-dit/{args.preset}", latent_channels=CHANNELS, text_width=WIDTH
    ).train()
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))  # what starts at zero would hide differences
    whole, kinds = draw(args.each), len(LATENTS)
    count, size = len(whole.samples), len(whole.samples) // 4
    mixed = [whole.pick(list(range(start, start + size))) for start in range(0, count, size)]
    alike = [whole.pick(list(range(kind, count, kinds))) for kind in range(kinds)]
    arms = {
        "packed": [packed(part, batch) for batch in mixed],
        "padded": [padded(part, batch) for batch in mixed],
        "bucketed": [bucketed(part, batch) for batch in alike],
    }

    def run(name: str, number: int) -> tuple[float, float, float]:
        """Return the seconds, the processor's seconds and the loss of a batch of an arm, forward and backward."""
        start, begun = time.perf_counter(), time.process_time()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.precision == "bf16"):
            with attention_backend(args.backend if name == "packed" else "sdpa"):
                made = arms[name][number]()
            made.backward()
            part.zero_grad()
        return time.perf_counter() - start, time.process_time() - begun, made.item()

    rates: dict[str, list[float]] = {name: [] for name in arms}
    work: dict[str, list[float]] = {name: [] for name in arms}
    losses: dict[str, float] = {}
    loads = []
    for turn in range(args.repeats + 1):
        loads.append(os.getloadavg()[0])
        names, runs = list(arms), {name: [] for name in arms}
        for number in range(len(mixed)):
            shift = (turn + number) % len(names)
            for name in names[shift:] + names[:shift]:
                runs[name].append(run(name, number))
        for name in arms if turn else ():
            seconds, busy, loss = map(sum, zip(*runs[name], strict=True))
            rates[name].append(count / seconds)
            work[name].append(count / busy)
            losses[name] = loss / len(runs[name])
    lengths = [part._grid(one).volume for one in LATENTS]
    tokens = {"packed": str(args.each * sum(lengths)), "padded": str(size * max(lengths))}
    tokens["bucketed"] = "/".join(str(size * length) for length in lengths)
    rows = [
        [name, tokens[name], *(f"{statistics.median(kind[name]):.2f}" for kind in (rates, work)),
         *(f"{_ratio(kind, name):.2f}" for kind in (rates, work)), f"{losses[name]:.6f}"]
        for name in arms
    ]  # fmt: skip
    about = (
        f"`sora-dit/{args.preset}`, {args.precision}, {torch.get_num_threads()} threads, sizes "
        f"{', '.join(map(str, VIDEOS))} in equal numbers ({'/'.join(map(str, lengths))} tokens), "
        f"{size} samples a batch, forward and backward, {args.repeats} rounds after one to warm up, the arms in turn, "
        f"batch by batch; packed attends by `{args.backend}`. One-minute load during the run: "
        f"{min(loads):.1f}-{max(loads):.1f}; samples a second of CPU time are what other processes disturb least. "
        "Ratios are medians within a round; the loss is the mean of the same samples.\n\n"
    )
    head = ["batches", "tokens a batch", "samples/s", "samples/CPU s", "packed / this, by clock",
            "packed / this, by CPU time", "loss"]  # fmt: skip
    body = about + table(head, rows)
    save("packing", "A mixture of sizes: packed, padded, bucketed", body, {"clock": rates, "cpu": work})


def _ratio(rates: dict[str, list[float]], name: str) -> float:
    """Return how many times as fast packed is as an arm, the median over rounds."""
    return statistics.median(a / b for a, b in zip(rates["packed"], rates[name], strict=True))


if __name__ == "__main__":
    main()
