"""Wan in vidgen and in diffusers, side by side: one process, the same weights and shapes, the arms in random order.

    python -m benchmarks.against_diffusers [--repeats 5] [--only forward decode]
    python -m benchmarks.against_diffusers --device cuda [--compile] [--attention varlen]

On a CPU, in float32: the transformer with 2 blocks of the 1.3B width on 1,280 tokens, the autoencoder of width 96 on
17x128x128, and a whole generation of 4 steps with guidance at 17x128x128. On a GPU, in bfloat16: the whole 1.3B
transformer and the autoencoder at 81x480x832. Weights are random, so no download is needed; outputs are compared first.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

import vidgen
from benchmarks.record import save, table
from vidgen.interfaces import Condition, TextEmbedding
from vidgen.nn.attention import attention_backend

TARGETS = {"cpu": {"forward": 0.95, "decode": 1.2}, "cuda": {}}
"""How many times faster than diffusers at least."""
SECONDS = {"cpu": {}, "cuda": {"forward": 0.55, "decode": 1.2}}
"""At most, on an H200."""
STEPS, GUIDANCE, SEED = 4, 5.0, 0
OFTEN = {"forward": 5}
"""How many times as often a stage is measured that is brief."""


@dataclass(frozen=True)
class Scale:
    """What is measured on a kind of device."""

    depth: int
    tokens: vidgen.Size
    video: vidgen.Size
    dtype: torch.dtype
    steps: int


SCALES = {
    "cpu": Scale(2, vidgen.Size(5, 32, 32), vidgen.Size(17, 128, 128), torch.float32, STEPS),
    "cuda": Scale(30, vidgen.Size(21, 60, 104), vidgen.Size(81, 480, 832), torch.bfloat16, STEPS),
}
Arms = tuple[Callable[[], torch.Tensor], Callable[[], torch.Tensor]]


class Pair:
    """Both libraries' pipelines of the same weights.

    Args:
        device: Where they are.
        folder: Of their weights.
        compiled: Compile the transformers block by block.
    """

    def __init__(self, device: str, folder: Path, *, compiled: bool) -> None:
        torch.manual_seed(SEED)
        self.scale, self.device = SCALES[device], device
        self.theirs = diffusers.WanPipeline(
            tokenizer=transformers.ByT5Tokenizer(),
            text_encoder=transformers.UMT5EncoderModel(
                transformers.UMT5Config(
                    vocab_size=384, d_model=4096, d_kv=64, d_ff=1024, num_layers=2, num_heads=8
                )
            ).eval(),
            vae=diffusers.AutoencoderKLWan().eval(),
            transformer=diffusers.WanTransformer3DModel(
                num_attention_heads=12, ffn_dim=8960, num_layers=self.scale.depth
            ).eval(),
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        )
        self.theirs.set_progress_bar_config(disable=True)
        self.theirs.save_pretrained(folder)
        self.theirs.to(device, self.scale.dtype)
        self.ours = vidgen.load(folder, device=device, dtype=self.scale.dtype)
        if compiled:
            self.theirs.transformer.compile_repeated_blocks(fullgraph=True)
            for block in self.ours.denoiser.blocks:
                block.compile(fullgraph=True)

    def draw(self, *shape: int) -> torch.Tensor:
        """Return the same noise at every call."""
        generator = torch.Generator().manual_seed(SEED)
        return torch.randn(*shape, generator=generator).to(self.device, self.scale.dtype)

    def forward(self) -> Arms:
        """One forward of the transformer; what does not change along the steps is prepared before (ours alone does)."""
        size = self.scale.tokens
        x, text = self.draw(1, 16, *size), self.draw(1, 512, 4096)
        mask = torch.ones(1, 512, dtype=torch.bool, device=self.device)
        time_ = torch.tensor([0.5], device=self.device)
        model = self.ours.denoiser
        prepared = model.prepare(TextEmbedding(text, mask), Condition(), size)
        return (
            lambda: model(x, time_, prepared).value,
            lambda: self.theirs.transformer(x, time_ * 1000, text, return_dict=False)[0],
        )

    def encode(self) -> Arms:
        """Pixels to latents."""
        video = self.draw(1, 3, *self.scale.video).clamp(-1, 1)
        return (
            lambda: self.ours.autoencoder.raw_latents(video),
            lambda: self.theirs.vae.encode(video).latent_dist.mode(),
        )

    def decode(self) -> Arms:
        """Latents to pixels."""
        latents = self.draw(1, 16, *self.ours.autoencoder.latent.latent_size(self.scale.video))
        return (
            lambda: self.ours.autoencoder.pixels(latents),
            lambda: self.theirs.vae.decode(latents, return_dict=False)[0],
        )

    def generation(self) -> Arms:
        """A whole video of a prompt, from the same noise."""
        size = self.scale.video
        latents = self.draw(1, 16, *self.ours.autoencoder.latent.latent_size(size)).float()
        sides = {"height": size.height, "width": size.width}
        options = {"guidance_scale": GUIDANCE, "num_inference_steps": self.scale.steps, "output_type": "np"}

        def ours() -> torch.Tensor:
            made = self.ours(
                "a red circle",
                frames=size.frames,
                steps=self.scale.steps,
                guidance=GUIDANCE,
                seed=SEED,
                show_progress=False,
                **sides,
            )
            return torch.from_numpy(made.numpy()).float() / 255

        def theirs() -> torch.Tensor:
            made = self.theirs(
                "a red circle", num_frames=size.frames, latents=latents.clone(), **sides, **options
            )
            return torch.from_numpy(made.frames[0])

        return ours, theirs


def seconds(run: Callable[[], torch.Tensor], device: str) -> float:
    """Return how long a run takes."""
    begin = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begin


@torch.inference_mode()
def compare(name: str, arms: Arms, device: str, repeats: int) -> dict[str, Any]:
    """Return the medians of both arms, taken in random order, and how far their outputs are apart."""
    ours, theirs = (arm().float() for arm in arms)  # this also warms both up
    far = float((ours - theirs).abs().max())
    taken: dict[str, list[float]] = {"ours": [], "theirs": []}
    for number in range(repeats):
        order = list(zip(taken, arms, strict=True))
        random.Random(number).shuffle(order)
        for who, arm in order:
            taken[who].append(seconds(arm, device))
    ratios = [b / a for a, b in zip(taken["ours"], taken["theirs"], strict=True)]
    return {"stage": name, **taken, "ratio": statistics.median(ratios), "ratios": ratios, "difference": far}


def verdict(row: dict[str, Any], device: str) -> str:
    """Say what was wanted of a stage, and whether it was met."""
    told = []
    if (least := TARGETS[device].get(row["stage"])) is not None:
        told.append(f"at least {least}x: {'met' if row['ratio'] >= least else 'missed'}")
    if (most := SECONDS[device].get(row["stage"])) is not None:
        met = statistics.median(row["ours"]) <= most
        told.append(f"at most {most} s on an H200: {'met' if met else 'missed'}")
    return "; ".join(told)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=SCALES, default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="compile both transformers block by block")
    parser.add_argument("--attention", default="sdpa", help="our attention backend")
    stages = ("forward", "encode", "decode", "generation")
    parser.add_argument("--only", nargs="+", choices=stages, default=stages)
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device here; run this command where there is one")
    rows = []
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stack.enter_context(attention_backend(given.attention))
        pair = Pair(given.device, Path(folder), compiled=given.compile)
        for stage in given.only:
            repeats = given.repeats * OFTEN.get(stage, 1)
            rows.append(compare(stage, getattr(pair, stage)(), given.device, repeats))
            print(stage, f"{rows[-1]['ratio']:.2f}x", flush=True)
    lines = [
        (
            row["stage"],
            f"{statistics.median(row['ours']):.3f}",
            f"{statistics.median(row['theirs']):.3f}",
            f"{row['ratio']:.2f} ({min(row['ratios']):.2f}-{max(row['ratios']):.2f})",
            f"{row['difference']:.1e}",
            verdict(row, given.device),
        )
        for row in rows
    ]
    scale = SCALES[given.device]
    about = (
        f"Device {given.device}, {scale.dtype}, transformer of {scale.depth} blocks on latents {scale.tokens}, "
        f"video {scale.video}, {scale.steps} steps with guidance; attention {given.attention}, "
        f"{'compiled block by block' if given.compile else 'eager'}; diffusers {diffusers.__version__}; "
        f"medians of {given.repeats} runs of each (forward: {given.repeats * OFTEN['forward']}), in random order. "
        "The difference of whole videos is between 8 bits a channel and floats, so up to 2e-3 is rounding.\n\n"
    )
    head = ("stage", "vidgen, s", "diffusers, s", "times faster", "largest difference", "target")
    save(f"against-diffusers-{given.device}", "Wan beside diffusers", about + table(head, lines), rows)


if __name__ == "__main__":
    main()
