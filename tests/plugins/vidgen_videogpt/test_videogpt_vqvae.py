import pytest
import torch

import vidgen
from vidgen.errors import ConfigError, VideoError


@pytest.fixture
def part():
    torch.manual_seed(0)
    return vidgen.create("autoencoder", "videogpt-vqvae/tiny")


def clips(seed: int = 0) -> torch.Tensor:
    return torch.rand(2, 3, 8, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_codes_come_back_from_their_vectors(part) -> None:
    part.start_from_data([clips()])
    with torch.inference_mode():
        codes = part.codes(clips(1))
        assert codes.shape == (2, 2, 4, 4)
        assert len(codes.unique()) > 1
        video = part.decode(part.encode(clips(1)))
        assert torch.allclose(part.decode_codes(codes), video, atol=1e-5)


def test_codes_start_from_data_and_follow_it(part) -> None:
    part.start_from_data([clips()])
    before = part.codebook.embeddings.clone()
    part.train()
    for step in range(3):
        part.forward_train(clips(step))
    assert not torch.equal(part.codebook.embeddings, before)
    assert part.codebook.embeddings.isfinite().all()
    part.eval()
    frozen = part.codebook.embeddings.clone()
    part.forward_train(clips())
    assert torch.equal(part.codebook.embeddings, frozen)


def test_unused_codes_start_anew_from_the_data(part) -> None:
    part.codebook.embeddings.fill_(1000.0)
    part.codebook.embeddings[0] = 0.0
    part.train()
    part.forward_train(clips())
    assert float(part.codebook.embeddings.abs().max()) < 500


def test_the_codebook_follows_the_published_rule() -> None:
    """Running counts and sums, smoothed; computed here by hand."""
    from vidgen_videogpt.autoencoder import Codebook

    torch.manual_seed(1)
    book = Codebook(4, 3, decay=0.99)
    book.N.fill_(50.0)
    book.z_avg.copy_(torch.randn(4, 3))
    vectors, start = torch.randn(100, 3), book.z_avg.clone()
    codes = book.nearest(vectors)
    assert torch.equal(codes, torch.cdist(vectors, book.embeddings).argmin(1))
    counts = torch.tensor([float((codes == k).sum()) for k in range(4)])
    sums = torch.stack([vectors[codes == k].sum(0) for k in range(4)])
    book.follow(vectors, codes)
    counts, sums = 0.99 * 50 + 0.01 * counts, 0.99 * start + 0.01 * sums
    smooth = (counts + 1e-7) / (counts.sum() + 4e-7) * counts.sum()
    assert torch.allclose(book.embeddings, sums / smooth[:, None], atol=1e-5)


def test_gradients_pass_the_codes(part) -> None:
    part.start_from_data([clips()])
    made, losses = part.train().forward_train(clips(1))
    (made.square().mean() + losses["commitment"]).backward()
    assert part.encoder.convs[0].conv.weight.grad.abs().sum() > 0


def test_bad_codes_and_settings_are_refused(part) -> None:
    with pytest.raises(VideoError, match="whole numbers"):
        part.decode_codes(torch.zeros(1, 2, 4, 4))
    with pytest.raises(VideoError, match="up to 64"):
        part.decode_codes(torch.full((1, 2, 4, 4), 64))
    with pytest.raises(ConfigError, match="powers of two"):
        vidgen.create("autoencoder", "videogpt-vqvae/tiny", strides=(4, 6, 6))


@pytest.mark.parametrize("strides", [(2, 4, 4), (4, 8, 8), (1, 4, 4), (4, 4, 4)])
def test_other_strides(strides: tuple[int, int, int]) -> None:
    part = vidgen.create("autoencoder", "videogpt-vqvae/tiny", strides=strides)
    video = torch.zeros(1, 3, 2 * strides[0], 2 * strides[1], 3 * strides[2])
    with torch.inference_mode():
        latents = part.encode(video)
        assert latents.shape == (1, 8, 2, 2, 3)
        assert part.decode(latents).shape == video.shape
