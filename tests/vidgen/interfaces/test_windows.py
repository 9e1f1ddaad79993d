"""Streams in overlapping windows: the order, the lengths and the seams, whatever the pieces."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidgen.contract import LatentSpec
from vidgen.interfaces.windows import decode_windows, encode_windows

RULES = {"causal": 1, "multiple": 0}


def spec(rule):
    return LatentSpec(
        space="", channels=1, time_stride=4, space_stride=1, frame_rule=rule, streaming="windowed"
    )


def encode(video, rule):
    """Means of four frames; under a causal rule the first frame stands for itself."""
    head, rest = video[:, :, : RULES[rule]], video[:, :, RULES[rule] :]
    return torch.cat([head, rest.unflatten(2, (-1, 4)).mean(dim=3)], dim=2)


def decode(latents, rule):
    head, rest = latents[:, :, : RULES[rule]], latents[:, :, RULES[rule] :]
    return torch.cat([head, rest.repeat_interleave(4, dim=2)], dim=2)


def pieces(x, step):
    return x.split(step, dim=2)


@pytest.mark.parametrize("rule", RULES)
@given(count=st.integers(1, 40), step=st.integers(1, 30), window=st.integers(2, 9), share=st.integers(1, 8))
def test_what_is_local_is_exact(rule, count, step, window, share):
    overlap = min(share, window - 1)
    latents = torch.rand(1, 1, count, 1, 1)
    video = decode(latents, rule)
    made = list(encode_windows(lambda x: encode(x, rule), pieces(video, step), spec(rule), window, overlap))
    assert torch.allclose(torch.cat(made, dim=2), latents)
    made = list(decode_windows(lambda x: decode(x, rule), pieces(latents, step), spec(rule), window, overlap))
    assert torch.equal(torch.cat(made, dim=2), video)


@pytest.mark.parametrize("rule", RULES)
def test_no_call_sees_more_than_a_window(rule):
    seen = []

    def watched(x):
        seen.append(x.shape[2])
        return encode(x, rule)

    video = decode(torch.rand(1, 1, 50, 1, 1), rule)
    list(encode_windows(watched, pieces(video, 7), spec(rule), 5, 2))
    assert max(seen) == RULES[rule] + 4 * (5 - RULES[rule])
    assert len(seen) > 10


def test_nothing_gives_nothing():
    assert list(decode_windows(torch.neg, [], spec("causal"), 5, 2)) == []
