"""Spatial tiles against whole frames: how near, and whether the seams show.

    python -m benchmarks.tiles [--autoencoder NAME] [--clip FILE]

A clip of 9 frames (8 where frames come in fours), 256 pixels short side, in tiles of several sizes; beside blended
tiles stand ones that merely abut. A seam is what the video jumps there beyond the seamless one, over that one's own
change from pixel to pixel: 0 is none, 1 as strong as the picture's edges.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

import vidgen
from benchmarks.four_reconstructions import SHIPPED
from benchmarks.reconstruction import read
from benchmarks.record import CLIPS, save, table
from vidgen.metrics import psnr
from vidgen.metrics.seams import seam
from vidgen.sampling.tiles import decode_tiles, encode_tiles, tile_starts

TILES = ((96, None), (96, 0), (128, None), (128, 0), (192, None), (192, 0))


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--autoencoder", action="append", help=f"NAME[@WEIGHTS]; again for more; {SHIPPED}")
    parser.add_argument("--clip", type=Path, default=CLIPS / "flower_960x540_29.97fps_150f.mp4")
    args = parser.parse_args()

    rows, data = [], []
    for name in args.autoencoder or SHIPPED:
        part = vidgen.create("autoencoder", name)
        clip = read(args.clip, frames=8 if part.latent.frame_rule == "multiple" else 9)
        whole = part.decode(part.encode(clip))
        for tile, overlap in TILES:
            latents = torch.cat(list(encode_tiles(part, [clip], tile, overlap)), dim=2)
            made = torch.cat(list(decode_tiles(part, [latents], tile, overlap)), dim=2)
            stride = part.latent.space_stride
            shared = tile // 4 // stride * stride if overlap is None else overlap
            edges = [
                sorted(
                    {
                        e
                        for start in tile_starts(side, tile, shared)
                        for e in (start, start + tile)
                        if 0 < e < side
                    }
                )
                for side in clip.shape[-2:]
            ]
            near, strength = float(psnr(made, whole)), seam(made, whole, *edges)
            how = "blended" if shared else "abutting"
            rows.append([name, tile, f"{shared} ({how})", f"{near:.1f}", f"{strength:.3f}"])
            data.append(
                {"autoencoder": name, "tile": tile, "overlap": shared, "psnr": near, "seam": strength}
            )
            print(rows[-1], flush=True)
    head = ["autoencoder", "tile", "shared pixels", "against whole frames, dB", "seam"]
    about = f"{args.clip.stem.split('_')[0]}, short side 256, float32.\n\n"
    save("tiles", "Spatial tiles against whole frames", about + table(head, rows), data)


if __name__ == "__main__":
    main()
