"""Four reconstructed videos of varying sizes and lengths, as the Open-Sora Plan first showed itself.

    python -m benchmarks.four_reconstructions --output runs/four
    python -m benchmarks.four_reconstructions --every --include "bottles*" --output runs/four-bottles
    python -m benchmarks.four_reconstructions --autoencoder wf-vae@FOLDER --clips ~/videos --output out

3 s of 336x596, 10 s of 256x256, 18 s of 196x196 and 24 s of 96x168 pixels (height x width), each cut from a clip of a
folder (the longest clip for the longest video) through any autoencoder by name, piece by piece; sizes that do not fit
are padded and cropped back. A clip that is too short is played forth and back. For each one an MP4 with the original
left and the copy right, PSNR and SSIM, the time, and the memory above that of the loaded part, in a process of its own.
Beside them stand the principal components of 4x8x8 blocks, fitted on the clips that ``--fit`` names.
"""

from __future__ import annotations

import argparse
import fnmatch
import itertools
import multiprocessing
import resource
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

import vidgen
from benchmarks.pca import BlockPCA
from benchmarks.reconstruction import read
from benchmarks.record import CLIPS, save, table
from vidgen.errors import VideoError
from vidgen.interfaces import VideoAutoencoder
from vidgen.metrics import Quality, psnr
from vidgen.sampling.reconstruct import reconstruct_stream
from vidgen.video import Video, VideoReader, VideoWriter

SHIPPED = ("sora-vae@kinetic", "videogpt-vqvae@videogpt-vqvae", "wf-vae@wf-vae")
SEEN = ("bunny*", "squirrel*", "stream*")
"""The clips that these three were trained on."""
SUFFIXES = (".mp4", ".mov", ".webm", ".gif", ".mkv")
PIECE = 16


@dataclass(frozen=True)
class Format:
    """How long and how large a video is."""

    seconds: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.seconds} s {self.height}x{self.width}"


FORMATS = (Format(24, 96, 168), Format(18, 196, 196), Format(10, 256, 256), Format(3, 336, 596))


@dataclass(frozen=True)
class Shot:
    """A clip cut to a format."""

    path: Path
    format: Format

    def reader(self) -> VideoReader:
        """Return what reads it: the clip's own rate, scaled until it covers the size, the middle cut out."""
        whole = VideoReader(self.path)
        size = (self.format.height, self.format.width)
        return VideoReader(self.path, size=size, frames=self.frames(whole), piece=PIECE)

    def frames(self, reader: VideoReader) -> int:
        """Return how many frames the format asks for."""
        return round(self.format.seconds * reader.rate)

    def pieces(self) -> Iterator[np.ndarray]:
        """Yield pieces uint8 ``[n, H, W, 3]``, `frames` in all: a clip that ends too soon goes forth and back."""
        reader, sent = self.reader(), 0
        wanted = self.frames(reader)
        for piece in reader:
            sent += len(piece)
            yield piece
        if sent < wanted:
            clip = reader.read()
            turn = [*range(len(clip)), *range(len(clip) - 2, 0, -1)]
            order = itertools.islice(itertools.cycle(turn), sent, wanted)
            while chosen := list(itertools.islice(order, PIECE)):
                yield clip[chosen]

    def too_short(self) -> bool:
        """Say whether it goes forth and back."""
        return sum(len(piece) for piece in self.reader()) < self.frames(self.reader())


def run(part: str | VideoAutoencoder, shot: Shot, target: Path | None) -> dict[str, float]:
    """Send a shot through an autoencoder, in a process of its own.

    Args:
        part: The autoencoder or its name.
        shot: What goes through.
        target: Where the original and its copy go, side by side.
    """
    if isinstance(part, str):
        part = vidgen.create("autoencoder", part)
    before, start = _peak(), time.perf_counter()
    waiting: deque[np.ndarray] = deque()

    def tensors() -> Iterator[torch.Tensor]:
        for piece in shot.pieces():
            waiting.extend(piece)
            yield Video(piece).tensor()

    quality, rate = Quality(), shot.reader().rate
    writer = VideoWriter(target, rate) if target else None
    for copy in reconstruct_stream(part, tensors()):
        made = Video.from_tensor(copy, clamp=True).numpy()
        original = np.stack([waiting.popleft() for _ in range(len(made))])
        quality.update(original, made)
        if writer:
            writer.write(np.concatenate([original, made], axis=2))
    if writer:
        writer.close()
    return {
        "frames": quality.frames,
        "psnr": quality.psnr,
        "ssim": quality.ssim,
        "seconds": time.perf_counter() - start,
        "memory_mb": _peak() - before,
    }


def _peak() -> float:
    """Return the most memory that this process has held, in MB."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    # Not ru_maxrss, which begins at what the parent held.
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


@torch.inference_mode()
def stream_error(part: str, shot: Shot) -> dict[str, float]:
    """Compare the stream of a whole shot with the same in one go: PSNR of one against the other, in dB."""
    autoencoder = vidgen.create("autoencoder", part)
    clip = Video(np.concatenate(list(shot.pieces()))).tensor()
    size = autoencoder.latent.padded(vidgen.Size(*clip.shape[2:]))
    pad = [size.width - clip.shape[4], size.height - clip.shape[3], size.frames - clip.shape[2]]
    clip = torch.nn.functional.pad(clip, (0, pad[0], 0, pad[1], 0, pad[2]), mode="replicate")
    whole = autoencoder.decode(autoencoder.encode(clip))
    streamed = torch.cat(
        list(autoencoder.decode_stream(autoencoder.encode_stream(clip.split(PIECE, dim=2)))), dim=2
    )
    return {"stream_psnr": float(psnr(streamed, whole))}


def choose(folder: Path, include: str, every: bool) -> list[Shot]:
    """Return what is shown: the longest clips for the longest formats, or every clip in every format."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    seconds = {}
    for path in paths:
        if fnmatch.fnmatchcase(path.name, include):
            try:
                seconds[path] = sum(map(len, VideoReader(path, short_side=16))) / VideoReader(path).fps
            except VideoError as problem:
                print(f"left out: {problem}")
    if not seconds:
        raise SystemExit(f"{folder} holds no video that matches {include!r}; see --clips and --include.")
    ordered = sorted(seconds, key=lambda path: -seconds[path])
    if every:
        return [Shot(path, format) for path in ordered for format in FORMATS]
    return [Shot(ordered[min(rank, len(ordered) - 1)], format) for rank, format in enumerate(FORMATS)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--autoencoder", action="append", help=f"NAME[@WEIGHTS]; again for more; {SHIPPED}")
    parser.add_argument("--clips", type=Path, default=CLIPS)
    parser.add_argument("--include", default="*_*x*_*f.*", help="pattern of file names")
    parser.add_argument("--every", action="store_true", help="cut each clip to all four formats")
    parser.add_argument(
        "--fit", nargs="*", default=list(SEEN), help="patterns of the clips for the components"
    )
    parser.add_argument(
        "--output", type=Path, help="folder of the side-by-side MP4s; none are written without"
    )
    parser.add_argument("--name", default="four-reconstructions")
    args = parser.parse_args()

    shots = choose(args.clips, args.include, args.every)
    arms: dict[str, str | VideoAutoencoder] = {name: name for name in args.autoencoder or SHIPPED}
    fitted = [
        path for path in sorted(args.clips.iterdir()) if any(fnmatch.fnmatch(path.name, p) for p in args.fit)
    ]
    if fitted:
        arms["PCA"] = BlockPCA([read(path) for path in fitted])
    context = multiprocessing.get_context("spawn")
    data = []
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        for shot, (label, part) in itertools.product(shots, arms.items()):
            mark = label.replace("@", "-").replace("/", "-")
            name = f"{shot.path.stem.split('_')[0]}-{shot.format}-{mark}.mp4".replace(" ", "-")
            target = args.output / name if args.output and label != "PCA" else None
            row = {
                "clip": shot.path.name,
                "format": asdict(shot.format),
                "autoencoder": label,
                "looped": shot.too_short(),
            }
            row |= pool.submit(run, part, shot, target).result()
            data.append(row)
            print(row, flush=True)
        streams = {
            name: pool.submit(stream_error, name, shots[0]).result()["stream_psnr"]
            for name in arms
            if name != "PCA"
        }
    save(
        args.name,
        "Four reconstructions",
        _page(data, streams, shots[0], fitted),
        {"shots": data, "streams": streams},
    )


def _page(data: list[dict], streams: dict[str, float], longest: Shot, fitted: list[Path]) -> str:
    rows = [
        [
            row["clip"].split("_")[0] + (", forth and back" if row["looped"] else ""),
            f"{Format(**row['format'])}, {row['frames']} frames",
            row["autoencoder"],
            f"{row['psnr']:.2f}",
            f"{row['ssim']:.4f}",
            f"{row['seconds']:.1f}",
            f"{row['memory_mb']:.0f}",
        ]
        for row in data
    ]
    head = ["clip", "video", "autoencoder", "PSNR dB", "SSIM", "seconds", "MB above the loaded part"]
    errors = [[name, f"{value:.1f}"] for name, value in streams.items()]
    return (
        f"Principal components: 16 a block of 4x8x8, fitted on {', '.join(p.stem.split('_')[0] for p in fitted)}.\n\n"
        + table(head, rows)
        + f"\nStreams against the whole clip in one go ({longest.path.stem.split('_')[0]}, {longest.format}; 100 dB is "
        + "equal):\n\n"
        + table(["autoencoder", "dB"], errors)
    )


if __name__ == "__main__":
    main()
