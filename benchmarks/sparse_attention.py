"""How much less work skip-sparse attention is than dense attention, at 24x32x32 tokens, in one run.

    python -m benchmarks.sparse_attention [--repeats 3] [--heads 2]

Two blocks of `opensora-plan` (one of each kind of skipping), heads of 96 channels as published. Operations are counted
while they are done, of what attends alone and of the whole forward; times are medians of the
whole forward, the arms taken in turn. The distance is the mean number of blocks that information needs from one token
to another: 2 less the part of all pairs that one block of either kind joins.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

import vidgen
from benchmarks.record import save, table
from vidgen.interfaces import Condition, Denoiser, TextEmbedding

TOKENS = vidgen.Size(24, 32, 32)
LATENTS = vidgen.Size(24, 64, 64)
CHANNELS, WORDS = 8, 16
FACTORS = (1, 2, 4, 6, 8)
PUBLISHED = {1: 1.0, 2: 1.25, 4: 1.563, 6: 1.694, 8: 1.766}


def make(k: int, heads: int) -> Denoiser:
    """Return two blocks that skip by k; 1 is dense."""
    settings = {"heads": heads, "head_width": 96, "depth": 2, "dense_blocks": (0, 99), "sparsity": k}
    part = vidgen.create("denoiser", "opensora-plan", latent_channels=CHANNELS, text_width=64, **settings)
    return part.eval()


def forward(part: Denoiser) -> Callable[[], object]:
    """Return the forward of one video at `LATENTS`."""
    text = TextEmbedding(torch.zeros(1, WORDS, 64), torch.ones(1, WORDS, dtype=torch.bool), None)
    x, at = torch.zeros(1, CHANNELS, *LATENTS), torch.full((1,), 0.5)
    prepared = part.prepare(text, Condition(), LATENTS)
    return lambda: part(x, at, prepared)


def operations(k: int, heads: int) -> tuple[float, float]:
    """Return the GFLOP of all that attends, over the video and over the text, and of the whole forward."""
    run = forward(make(k, heads))
    fused = (
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    )  # torch's counter does not know this one
    with FlopCounterMode(display=False, custom_mapping={fused: _attention_flop}) as counter:
        run()
    return counter.get_flop_counts()["Global"][fused] / 1e9, counter.get_total_flops() / 1e9


def _attention_flop(
    query: torch.Size, key: torch.Size, value: torch.Size, *rest: object, **more: object
) -> int:
    return sdpa_flop_count(query, key, value)


def distance(k: int) -> float:
    """Return the average attention distance, by counting pairs of tokens."""
    index = torch.arange(TOKENS.volume)
    single, grouped = index % k, index // k % k
    joint = torch.bincount(single * k + grouped, minlength=k * k).view(k, k).double()
    return _distance(joint)


def divided_distance() -> float:
    """Return that of 2+1D attention: within a frame, then along time."""
    return _distance(torch.ones(TOKENS.frames, TOKENS.height * TOKENS.width, dtype=torch.float64))


def _distance(joint: torch.Tensor) -> float:
    """Return it from how many tokens are in each group of the one kind and of the other."""
    seen = joint.sum(1, keepdim=True) + joint.sum(0, keepdim=True) - joint
    return 2 - float((joint * seen).sum() / joint.sum() ** 2)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--heads", type=int, default=2, help="24 as published")
    args = parser.parse_args()

    arms = {k: forward(make(k, args.heads)) for k in FACTORS}
    seconds: dict[int, list[float]] = {k: [] for k in FACTORS}
    for turn in range(args.repeats + 1):
        for k, run in arms.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[k].append(time.perf_counter() - start)
    work = {k: operations(k, args.heads) for k in FACTORS}
    rows, data = [], []
    for k in FACTORS:
        attending, whole = work[k]
        median = statistics.median(seconds[k])
        away = 1.0 if k == 1 else distance(k)
        rows.append(
            [
                "dense" if k == 1 else f"skip-sparse, k = {k}",
                f"{attending:.0f} ({attending / work[1][0]:.3f})",
                f"{whole:.0f} ({whole / work[1][1]:.3f})",
                f"{median:.2f} ({median / statistics.median(seconds[1]):.3f})",
                f"{away:.3f} ({PUBLISHED[k]:.3f})",
            ]
        )
        data.append(
            {"k": k, "attention_gflop": attending, "gflop": whole, "seconds": seconds[k], "distance": away}
        )
    rows.append(["2+1D (not run)", "", "", "", f"{divided_distance():.3f} (1.957)"])
    head = ["attention", "attention GFLOP (of dense)", "forward GFLOP (of dense)", "median s (of dense)"]
    about = (
        f"Two blocks, {args.heads} heads of 96, {TOKENS} = {TOKENS.volume:,} tokens, float32, "
        f"{torch.get_num_threads()} threads, {args.repeats} repeats after one warm-up.\n\n"
    )
    body = about + table([*head, "average attention distance (published)"], rows)
    save("sparse-attention", "Skip-sparse against dense attention", body, data)


if __name__ == "__main__":
    main()
