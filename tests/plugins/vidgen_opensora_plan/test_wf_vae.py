import pytest
import torch

import vidgen
from vidgen.errors import ConfigError, SizeError
from vidgen.size import Size


def relative(made: torch.Tensor, whole: torch.Tensor) -> float:
    assert made.shape == whole.shape
    return float((made - whole).abs().max() / whole.abs().max())


@pytest.mark.parametrize("settings", [{}, {"time_stride": 8}, {"time_interpolation": "nearest"}], ids=str)
@pytest.mark.parametrize("groups", [0, 1, 2, 3, 4, 7, 12, 23])
def test_streams_are_exact_at_every_length(settings: dict, groups: int) -> None:
    """Even latent lengths, 93 frames and 8x8x8 too, where the reference corrupts the tail, raises or miscounts."""
    part = vidgen.create("autoencoder", "wf-vae/tiny", **settings)
    frames = 1 + part.latent.time_stride * groups
    video = torch.rand(1, 3, frames, 16, 24, generator=torch.Generator().manual_seed(groups)) * 2 - 1
    with torch.inference_mode():
        latents = part.encode(video)
        whole = part.decode(latents)
        for piece in (1, 3, 100):
            streamed = torch.cat(list(part.encode_stream(video.split(piece, dim=2))), dim=2)
            assert relative(streamed, latents) < 1e-4
            streamed = torch.cat(list(part.decode_stream(latents.split(piece, dim=2))), dim=2)
            assert relative(streamed, whole) < 1e-4
    assert whole.shape == video.shape


def test_two_streams_at_once_do_not_meet() -> None:
    part = vidgen.create("autoencoder", "wf-vae/tiny")
    clips = [torch.rand(1, 3, 13, 16, 16) * 2 - 1 for _ in range(2)]
    with torch.inference_mode():
        streams = [part.encode_stream(clip.split(4, dim=2)) for clip in clips]
        pieces = [list(pair) for pair in zip(*streams, strict=True)]
        for index, clip in enumerate(clips):
            made = torch.cat([pair[index] for pair in pieces], dim=2)
            assert relative(made, part.encode(clip)) < 1e-4


def test_a_stream_that_does_not_add_up_is_refused_at_its_end() -> None:
    part = vidgen.create("autoencoder", "wf-vae/tiny")
    with pytest.raises(SizeError, match="9x16x16"), torch.inference_mode():
        list(part.encode_stream(torch.zeros(1, 3, 7, 16, 16).split(2, dim=2)))


def test_memory_of_a_stream_does_not_grow_with_the_clip() -> None:
    """What the modules keep between pieces has the same size at the fifth piece and at the twentieth."""
    from vidgen_opensora_plan.stream import Stream

    part = vidgen.create("autoencoder", "wf-vae/tiny")
    stream, kept = Stream(), []
    with torch.inference_mode():
        for _ in range(20):
            with stream.piece(last=False):
                part.decoder(torch.randn(1, 8, 2, 2, 2))
            states = [t for v in stream.memory.values() for t in (v if isinstance(v, (list, tuple)) else [v])]
            kept.append(sum(t.numel() for t in states if isinstance(t, torch.Tensor)))
    assert kept[4] == kept[19] > 0


def test_group_norms_make_no_promise_of_exact_streams() -> None:
    settings = {"norm": "group", "width": 32, "encoder_flow": 32, "decoder_flow": 32}
    assert vidgen.create("autoencoder", "wf-vae/tiny", **settings).latent.streaming != "exact"
    with pytest.raises(ConfigError, match="multiple of 32"):
        vidgen.create("autoencoder", "wf-vae/tiny", norm="group")


def test_sizes_of_the_published_presets() -> None:
    size = Size(93, 352, 640)
    for preset, latent in (("4x8x8", Size(24, 44, 80)), ("8x8x8", None)):
        spec = vidgen.find("autoencoder", "wf-vae").presets[preset].contract().latent
        if latent:
            assert spec.latent_size(size) == latent
        else:
            assert not spec.fits(size)
            assert spec.padded(size) == Size(97, 352, 640)
