"""Tiles: their weights add up, they stream, and what they blend shows no seams."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import vidgen
from vidgen.errors import SizeError
from vidgen.metrics.seams import seam
from vidgen.sampling.reconstruct import reconstruct
from vidgen.sampling.tiles import _weights, decode_tiles, encode_tiles, tile_starts
from vidgen.testing.probe import video


@pytest.fixture(scope="module")
def autoencoder():
    return vidgen.create("autoencoder", "sora-vae@kinetic")


@given(
    length=st.integers(1, 60),
    side=st.integers(1, 20),
    share=st.integers(0, 19),
    scale=st.sampled_from([1, 8]),
)
def test_weights_add_up_to_one_and_tiles_cover_all(length, side, share, scale):
    overlap = min(share, side - 1)
    starts = tile_starts(length, side, overlap)
    assert starts[0] == 0
    assert starts[-1] + side >= length
    assert all(later - start <= side - overlap for start, later in itertools.pairwise(starts))
    weights = _weights(length, starts, side, overlap, scale)
    assert weights.shape == (len(starts), scale * length)
    assert torch.allclose(weights.sum(dim=0), torch.ones(scale * length))
    assert (weights >= 0).all()


@torch.inference_mode()
def seams(part, clip, tile, overlap):
    whole = part.decode(part.encode(clip))
    latents = torch.cat(list(encode_tiles(part, clip.split(4, dim=2), tile, overlap)), dim=2)
    made = torch.cat(list(decode_tiles(part, latents.split(1, dim=2), tile, overlap)), dim=2)
    assert made.shape == whole.shape
    assert latents.shape == part.encode(clip).shape
    rows, columns = (
        [
            edge
            for start in tile_starts(side, tile, overlap)
            for edge in (start, start + tile)
            if 0 < edge < side
        ]
        for side in clip.shape[-2:]
    )
    return seam(made, whole, rows, columns)


def test_blending_leaves_no_seam(autoencoder):
    coarse = 2 * torch.rand(1, 3, 5, 16, 28, generator=torch.Generator().manual_seed(0)) - 1
    clip = torch.nn.functional.interpolate(coarse, (5, 128, 224), mode="trilinear")
    blended, abutted = (seams(autoencoder, clip, 96, overlap) for overlap in (24, 0))
    assert blended < 0.1  # of the picture's own change from pixel to pixel
    assert abutted > 4 * blended  # so the measure sees seams where they are


def test_one_tile_is_the_whole(autoencoder):
    clip = video(vidgen.Size(9, 64, 48))
    whole = autoencoder.encode(clip)
    assert torch.allclose(torch.cat(list(encode_tiles(autoencoder, [clip], 64)), dim=2), whole, atol=1e-5)


def test_reconstruct_takes_tiles_and_odd_sizes(autoencoder):
    clip = vidgen.Video.from_tensor(video(vidgen.Size(6, 90, 131)))
    tiled, whole = (reconstruct(autoencoder, clip, tile=tile) for tile in (64, None))
    assert tiled.size == whole.size == clip.size
    assert float(vidgen.metrics.psnr(tiled, whole)) > 40


@pytest.mark.parametrize(("tile", "overlap"), [(60, None), (64, 64), (64, 12), (4, 0), (64, -8)])
def test_what_does_not_fit_is_refused(autoencoder, tile, overlap):
    with pytest.raises(SizeError, match="multiples of the autoencoder's stride 8"):
        next(encode_tiles(autoencoder, [video(vidgen.Size(1, 64, 64))], tile, overlap))


def test_nothing_gives_nothing(autoencoder):
    assert list(encode_tiles(autoencoder, [], 64)) == []
