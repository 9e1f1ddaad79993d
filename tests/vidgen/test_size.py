from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidgen import LatentSpec, Size
from vidgen.errors import SizeError

SPECS = st.builds(
    LatentSpec,
    space=st.just(""),
    channels=st.just(4),
    time_stride=st.integers(1, 8),
    space_stride=st.integers(1, 16),
    frame_rule=st.sampled_from(["causal", "multiple"]),
)
SIZES = st.builds(Size, st.integers(1, 60), st.integers(1, 90), st.integers(1, 90))


@given(SIZES)
def test_text_reads_back(size):
    assert Size.parse(str(size)) == size
    assert size.volume == size.frames * size.height * size.width


@pytest.mark.parametrize("text", ["17x64", "17x64x64x3", "17 x 64 x 64", "0x64x64", "17x-1x64", "axbxc", ""])
def test_other_text_is_refused(text):
    with pytest.raises(SizeError, match="17x64x64"):
        Size.parse(text)


@given(SPECS, SIZES)
def test_padded_is_the_smallest_size_that_fits(spec, size):
    padded = spec.padded(size)
    assert spec.fits(padded)
    assert all(a >= b for a, b in zip(padded, size, strict=True))
    assert (padded == size) == spec.fits(size)
    strides = (spec.time_stride, spec.space_stride, spec.space_stride)
    assert all(a - stride < b for a, b, stride in zip(padded, size, strides, strict=True))


@given(SPECS, SIZES)
def test_latent_and_pixel_sizes_are_inverse(spec, latent):
    assert spec.latent_size(spec.pixel_size(latent)) == latent


@given(SPECS, SIZES)
def test_nearest_sizes_fit_and_enclose(spec, size):
    nearest = spec.nearest(size)
    assert 1 <= len(nearest) <= 2
    assert all(spec.fits(one) for one in nearest)
    assert all(low <= high for low, high in zip(nearest[-1], nearest[0], strict=True))
    if spec.fits(size):
        assert nearest == [size]


@given(SPECS, SIZES)
def test_the_frame_rule_holds(spec, size):
    frames = spec.padded(size).frames
    head = 1 if spec.frame_rule == "causal" else 0
    assert (frames - head) % spec.time_stride == 0


def test_causal_strides_of_4x8x8():
    spec = LatentSpec(space="", channels=16, time_stride=4, space_stride=8)
    assert spec.latent_size(Size(17, 64, 80)) == Size(5, 8, 10)
    assert [frames for frames in range(1, 18) if spec.fits(Size(frames, 8, 8))] == [1, 5, 9, 13, 17]
    assert spec.nearest(Size(16, 64, 64)) == [Size(17, 64, 64), Size(13, 64, 64)]


def test_any_frames_with_stride_one():
    spec = LatentSpec(space="", channels=4, time_stride=1, space_stride=8, frame_rule="any")
    for frames, side in itertools.product((1, 2, 7), (8, 16)):
        assert spec.fits(Size(frames, side, side))
