"""The four reconstructions: what is cut, played forth and back, padded, cropped and written."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.four_reconstructions import FORMATS, Format, Shot, choose, run, stream_error
from benchmarks.pca import BlockPCA
from vidgen.sampling.reconstruct import reconstruct
from vidgen.size import Size
from vidgen.testing.probe import video
from vidgen.video import Video, VideoReader


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Two clips of 10 and of 25 frames at 8 a second, brightness by frame."""
    folder = tmp_path_factory.mktemp("clips")
    for name, count in (("short", 10), ("long", 25)):
        frames = np.arange(count, dtype=np.uint8)[:, None, None, None] * 10 + np.zeros(
            (1, 40, 60, 3), np.uint8
        )
        Video(frames, fps=8).save(folder / f"{name}.mp4")
    (folder / "notes.mp4").write_text("no video")
    return folder


def test_the_longest_clip_is_for_the_longest_video(clips, capsys):
    shots = choose(clips, "*", every=False)
    assert [(shot.path.stem, shot.format.seconds) for shot in shots] == [
        ("long", 24),
        ("short", 18),
        ("short", 10),
        ("short", 3),
    ]
    assert "left out" in capsys.readouterr().out
    assert len(choose(clips, "long*", every=True)) == len(FORMATS)
    with pytest.raises(SystemExit, match="holds no video"):
        choose(clips, "nothing*", every=False)


def test_a_short_clip_goes_forth_and_back(clips):
    shot = Shot(clips / "short.mp4", Format(4, 16, 16))
    frames = np.concatenate(list(shot.pieces()))
    seen = (frames.mean(axis=(1, 2, 3)) / 10).round().astype(int).tolist()
    assert seen == [*range(10), *range(8, 0, -1), *range(10), *range(8, 4, -1)]
    assert shot.too_short()
    assert not Shot(clips / "long.mp4", Format(3, 16, 16)).too_short()


@pytest.mark.parametrize("name", ["sora-vae/tiny", "videogpt-vqvae/tiny", "kl-vae/tiny"])
def test_odd_sizes_come_back_exactly(clips, tmp_path, name):
    row = run(name, Shot(clips / "short.mp4", Format(2, 36, 52)), tmp_path / "both.mp4")
    assert row["frames"] == 16
    both = VideoReader(tmp_path / "both.mp4")
    assert (both.frames, both.height, both.width) == (16, 36, 2 * 52)
    left = both.read()[:, :, :52].astype(float)
    assert (
        np.abs(left - np.concatenate(list(Shot(clips / "short.mp4", Format(2, 36, 52)).pieces()))).mean() < 4
    )


def test_streams_are_held_to_the_whole_clip(clips):
    shot = Shot(clips / "long.mp4", Format(12, 16, 16))  # 96 frames: more than a window
    assert stream_error("wf-vae/tiny", shot)["stream_psnr"] > 99
    assert 0 < stream_error("videogpt-vqvae/tiny", shot)["stream_psnr"] < 95


def test_components_stream_exactly_and_explain_what_they_were_fitted_on():
    clip = video(Size(97, 24, 32))
    part = BlockPCA([clip])
    whole = part.decode(part.encode(clip))
    streamed = torch.cat(list(part.decode_stream(part.encode_stream(clip.split(7, dim=2)))), dim=2)
    assert torch.allclose(whole, streamed, atol=1e-5)
    assert torch.allclose(whole, clip, atol=0.05)
    odd = Video.from_tensor(clip[:, :, :10, :21, :30])
    assert reconstruct(part, odd).size == odd.size
