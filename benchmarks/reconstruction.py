"""Held-out reconstruction of real clips against the linear yardstick: per-block PCA of the same latent rate.

    python -m benchmarks.reconstruction --fold-a runs/vae-fold-a/autoencoder --fold-b runs/vae-fold-b/autoencoder

Each clip at 256 pixels short side (bilinear, antialiased), first 33 frames, cropped to multiples of 8, through the
autoencoder that was not trained on it; the PCA (16 coefficients a 4x8x8 block, the first frame repeated in front to
fill its block) is fitted on the five other clips, each with equal weight.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

import vidgen
from benchmarks.pca import BlockPCA
from benchmarks.record import CLIPS, save, table
from vidgen.metrics import psnr, ssim

FOLDS = {"a": ("bunny", "squirrel", "stream"), "b": ("bottles", "flower", "crystal")}
"""The clips that each fold is tested on, and so was not trained on."""


def read(path: Path, frames: int = 33, short: int = 256) -> Tensor:
    """Return ``[1, 3, T, H, W]`` in [-1, 1], sides cut to multiples of 8."""
    video = vidgen.Video.open(path, frames=frames).tensor()
    height, width = video.shape[-2:]
    scale = short / min(height, width)
    size = (round(height * scale), round(width * scale))
    frames_2d = torch.nn.functional.interpolate(
        video[0].transpose(0, 1), size, mode="bilinear", antialias=True
    )
    height, width = (side // 8 * 8 for side in size)
    frames_2d = (frames_2d[..., :height, :width].clamp(-1, 1) * 127.5 + 127.5).round() / 127.5 - 1
    return frames_2d.transpose(0, 1)[None].contiguous()


def quality(made: Tensor, clip: Tensor) -> tuple[float, float]:
    return float(psnr(made, clip)), float(ssim(made, clip))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--autoencoder", default="sora-vae", help="name of the part")
    parser.add_argument("--fold-a", help="its weights that never saw bunny, squirrel and stream")
    parser.add_argument("--fold-b", help="its weights that never saw bottles, flower and crystal")
    parser.add_argument(
        "--shipped", help="a tag or folder; measured beside on every clip, seen in training or not"
    )
    parser.add_argument("--clips", type=Path, default=CLIPS)
    parser.add_argument("--name", default="reconstruction")
    args = parser.parse_args()

    clips = {path.name.split("_")[0]: read(path) for path in sorted(args.clips.glob("*_*x*_*f.*"))}
    weights = {
        clip: folder
        for fold, folder in (("a", args.fold_a), ("b", args.fold_b))
        for clip in FOLDS[fold]
        if folder
    }
    rows, data = [], []
    for name, clip in clips.items():
        components = BlockPCA([other for key, other in clips.items() if key != name])
        linear = components.decode(components.encode(clip)).clamp(-1, 1)
        row = {
            "clip": name,
            "size": "x".join(map(str, clip.shape[2:])),
            "pca": quality(linear, clip),
        }
        for label, source in (("held out", weights.get(name)), ("shipped", args.shipped)):
            if source is not None:
                part = vidgen.create("autoencoder", args.autoencoder, weights=source)
                with torch.inference_mode():
                    latents = part.encode(clip)
                    made = part.decode(latents).clamp(-1, 1)
                row[label] = quality(made, clip)
                row["rate"] = latents.numel() / clip.numel()
        data.append(row)
        print(row, flush=True)
    labels = [label for label in ("held out", "shipped") if label in data[0]]
    for row in data:
        cells = [row["clip"], row["size"], f"{row['pca'][0]:.2f}", f"{row['pca'][1]:.3f}"]
        for label in labels:
            cells += [f"{row[label][0]:.2f} ({row[label][0] - row['pca'][0]:+.2f})", f"{row[label][1]:.3f}"]
        rows.append(cells)

    def mean_of(label: str) -> float:
        return sum(row[label][0] for row in data) / len(data)

    rows.append(
        ["mean", "", f"{mean_of('pca'):.2f}", ""]
        + [cell for label in labels for cell in (f"{mean_of(label):.2f}", "")]
    )
    head = ["clip", "size", "PCA dB", "PCA SSIM"] + [
        cell for label in labels for cell in (f"{label} dB (gain)", "SSIM")
    ]
    rate = data[0].get("rate", 0)
    about = f"{args.autoencoder}; {rate:.4f} latent values a pixel value (1/48 = 0.0208, and the first frame's).\n\n"
    save(args.name, "Held-out reconstruction against per-block PCA", about + table(head, rows), data)


if __name__ == "__main__":
    main()
