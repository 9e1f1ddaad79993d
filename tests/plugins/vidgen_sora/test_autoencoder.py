from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vidgen.errors import ConfigError, SizeError, VideoError
from vidgen.size import Size
from vidgen_sora.autoencoder import SoraVAE
from vidgen_sora.config import SoraVAEConfig
from vidgen_sora.pca import fit_pca
from vidgen_sora.presets import SORA_VAE

FRAMES = range(1, 42, 4)


def make_video(frames: int = 9, height: int = 16, width: int = 24, batch: int = 1, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, frames, height, width, generator=generator) * 2 - 1


@pytest.fixture
def vae() -> SoraVAE:
    """A tiny autoencoder whose residual nets speak, unlike those of a fresh one."""
    torch.manual_seed(0)
    made = SoraVAE(SORA_VAE["tiny"])
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "head" in name or ".out." in name:
                parameter.normal_(std=0.1)
    made.set_normalisation(torch.linspace(-1, 1, 16), torch.linspace(0.5, 2, 16))
    return made.eval()


def cut(x: Tensor, lengths: list[int]) -> list[Tensor]:
    """Cut the frames into pieces of the given lengths, over and over."""
    pieces, at, turn = [], 0, 0
    while at < x.shape[2]:
        pieces.append(x[:, :, at : at + lengths[turn % len(lengths)]])
        at, turn = at + lengths[turn % len(lengths)], turn + 1
    return pieces


@pytest.mark.parametrize("frames", FRAMES)
@pytest.mark.parametrize("lengths", [[1], [3, 1, 6], [4], [41]], ids=str)
@torch.no_grad()
def test_stream_equals_whole(vae: SoraVAE, frames: int, lengths: list[int]) -> None:
    video = make_video(frames)
    latents = vae.encode(video)
    torch.testing.assert_close(
        torch.cat(list(vae.encode_stream(cut(video, lengths))), 2), latents, atol=1e-4, rtol=0
    )
    decoded = vae.decode(latents)
    torch.testing.assert_close(
        torch.cat(list(vae.decode_stream(cut(latents, lengths))), 2), decoded, atol=1e-4, rtol=0
    )


@torch.no_grad()
def test_stream_depends_on_the_past(vae: SoraVAE) -> None:
    # Guards the tests above: were pieces independent, a stream without any memory would pass them.
    video = make_video(9)
    alone = vae.encode(torch.cat([video[:, :, :1], video[:, :, 5:]], 2))[:, :, 1]
    assert (alone - vae.encode(video)[:, :, 2]).abs().max() > 1e-2


@torch.no_grad()
def test_a_stream_codes_long_pieces_in_parts(vae: SoraVAE) -> None:
    parts = list(vae.encode_stream([make_video(41)]))
    assert max(part.shape[2] for part in parts) <= 4
    assert max(part.shape[2] for part in vae.decode_stream([torch.cat(parts, 2)])) <= 16


@torch.no_grad()
def test_the_future_changes_nothing(vae: SoraVAE) -> None:
    video, other = make_video(13), make_video(13, seed=1)
    other[:, :, :5] = video[:, :, :5]
    latents, changed = vae.encode(video), vae.encode(other)
    torch.testing.assert_close(changed[:, :, :2], latents[:, :, :2], atol=1e-5, rtol=0)
    assert (changed[:, :, 2:] - latents[:, :, 2:]).abs().amax(dim=(0, 1, 3, 4)).min() > 1e-2
    mixed = torch.cat([latents[:, :, :2], changed[:, :, 2:]], 2)
    decoded, remade = vae.decode(latents), vae.decode(mixed)
    torch.testing.assert_close(remade[:, :, :5], decoded[:, :, :5], atol=1e-5, rtol=0)
    assert (remade[:, :, 5:] - decoded[:, :, 5:]).abs().max() > 1e-2


@pytest.mark.parametrize("size", [(1, 8, 8), (1, 64, 64), (17, 48, 80), (9, 80, 48)])
@torch.no_grad()
def test_sizes_follow_the_contract(vae: SoraVAE, size: tuple[int, int, int]) -> None:
    latents = vae.encode(make_video(*size, batch=2))
    assert latents.shape == (2, 16, *vae.latent.latent_size(Size(*size)))
    assert vae.decode(latents).shape == (2, 3, *size)


def test_gradients_reach_every_parameter(vae: SoraVAE) -> None:
    made, losses = vae.forward_train(make_video(9))
    (made.square().mean() + losses["kl"]).backward()
    idle = [n for n, p in vae.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not idle


def test_a_fresh_one_learns() -> None:
    torch.manual_seed(0)
    fresh, video = SoraVAE(SORA_VAE["tiny"]), make_video(5, 48, 48) * 0.5
    fresh.start_from_data([video])
    optimizer = torch.optim.Adam(fresh.parameters(), lr=3e-3)
    errors = []
    for _ in range(40):
        made, losses = fresh.forward_train(video)
        error = (made - video).square().mean()
        optimizer.zero_grad()
        (error + losses["kl"]).backward()
        optimizer.step()
        errors.append(error.item())
    # The linear optimum is where it starts: only the residual nets can lower the error by a fifth.
    assert errors[-1] < 0.8 * errors[0]


@torch.no_grad()
def test_pca_start_equals_pca() -> None:
    videos = [make_video(9), make_video(17, seed=1)]
    pca, fresh = fit_pca(videos), SoraVAE(SORA_VAE["tiny"])
    fresh.start_from_data(videos)
    video = make_video(13, seed=2)
    torch.testing.assert_close(fresh.decode(fresh.encode(video)), pca.reconstruct(video), atol=1e-4, rtol=0)


@torch.no_grad()
def test_pca_spans_what_has_few_dimensions() -> None:
    weights = torch.randn(12, 16, generator=torch.Generator().manual_seed(0))
    patterns = torch.randn(16, 3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    # Twelve blocks around their mean span at most eleven dimensions, which 16 components hold.
    blocks = torch.einsum("nk,kcthw->ncthw", weights, patterns)
    video = torch.cat(list(blocks), dim=-1)[None].expand(-1, -1, 5, -1, -1)
    pca = fit_pca([video])
    torch.testing.assert_close(pca.reconstruct(video), video, atol=1e-3, rtol=0)
    torch.testing.assert_close(pca.basis.T @ pca.basis, torch.eye(16), atol=1e-5, rtol=0)


@torch.no_grad()
def test_normalisation_is_inside(vae: SoraVAE) -> None:
    video = make_video(9)
    latents, decoded = vae.encode(video), vae.decode(vae.encode(video))
    mean, std = vae.latent_mean.clone(), vae.latent_std.clone()
    vae.set_normalisation(mean + 3, std * 2)
    torch.testing.assert_close(
        vae.encode(video), (latents - (3 / std).view(1, -1, 1, 1, 1)) / 2, atol=1e-4, rtol=0
    )
    torch.testing.assert_close(vae.decode(vae.encode(video)), decoded, atol=1e-4, rtol=0)
    with pytest.raises(VideoError, match="positive"):
        vae.set_normalisation(mean, std * 0)


@torch.no_grad()
def test_training_draws_from_the_posterior(vae: SoraVAE) -> None:
    video = make_video(5)
    torch.manual_seed(1)
    one = vae.forward_train(video)[0]
    two = vae.forward_train(video)[0]
    assert (one - two).abs().max() > 1e-3


@torch.no_grad()
def test_bfloat16_stays_close(vae: SoraVAE) -> None:
    video = make_video(9)
    want = vae.decode(vae.encode(video))
    half = vae.to(torch.bfloat16)
    latents = half.encode(video.bfloat16())
    assert latents.dtype == torch.bfloat16
    assert (half.decode(latents).float() - want).square().mean() < 1e-3 * want.square().mean()
    assert half.forward_train(video.bfloat16())[0].dtype == torch.bfloat16


def test_unfit_sizes_name_the_nearest(vae: SoraVAE) -> None:
    with pytest.raises(SizeError, match=r"8x16x24.*9x16x24 or 5x16x24"):
        vae.encode(make_video(8))
    with pytest.raises(SizeError, match="20x24"):
        vae.encode(make_video(5, 20, 24))
    with pytest.raises(SizeError, match="7x16x24"):
        list(vae.encode_stream(cut(make_video(7), [2])))


def test_malformed_tensors_are_refused(vae: SoraVAE) -> None:
    with pytest.raises(VideoError, match=r"\[B, 3, T, H, W\]"):
        vae.encode(torch.zeros(1, 5, 3, 16, 16))
    with pytest.raises(VideoError, match="uint8"):
        vae.encode(torch.zeros(1, 3, 5, 16, 16, dtype=torch.uint8))
    with pytest.raises(VideoError, match=r"\[B, 16, t, h, w\]"):
        vae.decode(torch.zeros(1, 4, 2, 2, 2))


def test_config_refuses_what_makes_no_sense() -> None:
    with pytest.raises(ConfigError, match="decoder_width"):
        SoraVAEConfig(decoder_width=0)
    with pytest.raises(ConfigError, match="noise"):
        SoraVAEConfig(noise=0.0)


def test_presets_have_their_size() -> None:
    with torch.device("meta"):
        counts = {name: sum(p.numel() for p in SoraVAE(c).parameters()) for name, c in SORA_VAE.items()}
    assert counts["small"] <= 5_000_000
    assert 25_000_000 <= counts["base"] <= 35_000_000


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (torch.full((1, 3, 5, 16, 16), torch.nan), "NaN"),
        (torch.full((1, 3, 5, 16, 16), 2.0), "from 2 to 2"),
        (torch.zeros(1, 3, 5, 16, 16, dtype=torch.uint8), "float tensor"),
        (torch.zeros(3, 5, 16, 16), "float tensor"),
        ([1.0], "torch tensor"),
    ],
)
def test_what_is_no_video_is_refused(vae: SoraVAE, wrong: torch.Tensor, message: str) -> None:
    with pytest.raises(VideoError, match=message):
        vae.encode(wrong)
