"""How much of a clip an autoencoder keeps."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from vidgen.bench.suite import Suite
from vidgen.bench.work import Work
from vidgen.metrics import psnr, ssim
from vidgen.parts import build, read_choice
from vidgen.sampling.reconstruct import reconstruct
from vidgen.video import Video
from vidgen.video.clip import side_by_side
from vidgen_suites.config import HELD_OUT, ReconstructionConfig

__all__ = ["Reconstruction", "as_file", "flicker"]


def flicker(made: np.ndarray, clip: np.ndarray) -> float:
    """Return by how many of 255 levels the change between neighbouring frames differs from the clip's own.

    Args:
        made: uint8 ``[T, H, W, 3]``.
        clip: Likewise.
    """
    changes = [np.diff(video.astype(np.float32), axis=0) for video in (made, clip)]
    return float(np.abs(changes[0] - changes[1]).mean()) if len(made) > 1 else 0.0


def as_file(video: Video, suffix: str = ".mp4") -> bytes:
    """Return a video as a file."""
    with tempfile.TemporaryDirectory() as folder:
        return video.save(Path(folder) / f"video{suffix}").read_bytes()


class Reconstruction(Suite):
    """Encodes and decodes clips at the size that is to be generated."""

    config: ReconstructionConfig

    def measure(self, work: Work) -> None:
        """Measure PSNR, SSIM, flicker and the rate, over the clips; LPIPS where there are weights for it."""
        lpips = None
        if self.config.lpips_weights:
            from vidgen_suites.lpips import Lpips

            lpips = Lpips(self.config.lpips_weights, work.device)
        part = work.part("autoencoder")
        data = build(*read_choice("data_set", self.config.data or HELD_OUT))
        sampling = work.sampling
        found: dict[str, list[float]] = {"psnr": [], "ssim": [], "flicker": [], "lpips": []}
        for index in range(min(self.config.clips, len(data))):
            sample = data.sample(index, sampling.size)
            clip = Video.from_numpy(sample.video, fps=sampling.fps)
            made = reconstruct(part, clip)
            found["psnr"].append(float(psnr(made, clip)))
            if min(sampling.height, sampling.width) >= 11:  # the window of SSIM
                found["ssim"].append(float(ssim(made, clip)))
            found["flicker"].append(flicker(made.numpy(), clip.numpy()))
            if lpips:
                found["lpips"].append(lpips(made.numpy(), clip.numpy()))
            if index == 0:
                work.keep(
                    f"video:{sample.caption} | through", "video/mp4", as_file(side_by_side([clip, made]))
                )
        work.add("psnr", found["psnr"], "dB", "more", mean=True)
        if found["ssim"]:
            work.add("ssim", found["ssim"], "", "more", mean=True)
        if lpips:
            work.add(f"lpips ({lpips.name})", found["lpips"], "", "less", mean=True)
        work.add("flicker", found["flicker"], "levels", "less", mean=True)
        latent = part.latent
        values = latent.channels * latent.latent_size(latent.padded(sampling.size)).volume
        work.add("latent values a pixel value", values / (3 * sampling.size.volume), "", "less")
