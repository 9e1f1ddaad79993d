"""Parts print what they are and what they declare."""

from __future__ import annotations

import pytest

import vidgen


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("autoencoder", "sora-vae/tiny", ("SoraVAE: ", "random weights, float32 on cpu", "channels=16")),
        ("denoiser", "sora-dit/tiny", ("SoraDiT: ", "0.2 M parameters", "abilities={", "per_frame_time")),
        ("text_encoder", "words/tiny", ("WordsEncoder: ", "parameters", "max_tokens")),
        ("scheduler", "unipc", ("UniPC", "order=", "declares")),
    ],
)
def test_a_part_prints_a_summary(kind, name, words):
    text = repr(vidgen.create(kind, name))
    assert all(word in text for word in words), text
    assert len(text.splitlines()) <= 3


def test_trained_weights_are_named():
    assert "kinetic weights" in repr(vidgen.create("autoencoder", "sora-vae@kinetic"))
