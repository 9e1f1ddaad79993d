"""Statistics of latents: equal to a direct computation, whatever is declared; what is normalised with them is."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import vidgen
from vidgen.config import config
from vidgen.errors import ContractError, VideoError

NORMALISED = [
    name
    for name in vidgen.list_components("autoencoder")
    if vidgen.create("autoencoder", f"{name}/tiny").normalisation() is not None
]


@config
class ColoursConfig(vidgen.NormalisedAutoencoderConfig):
    gains: tuple[float, ...] = (1.0, 1.0, 1.0)
    offset: float = 0.0

    def contract(self):
        latent = vidgen.LatentSpec(
            space="", channels=3, time_stride=1, space_stride=1, frame_rule="any", streaming="none"
        )
        return vidgen.AutoencoderContract(latent=latent)


class Colours(vidgen.NormalisedAutoencoder):
    """Each colour is a channel, times its gain, plus an offset; in float64."""

    def __init__(self, config):
        super().__init__(config)
        self.register_buffer("gains", torch.tensor(config.gains, dtype=torch.float64).view(-1, 1, 1, 1))

    def raw_latents(self, video):
        return video * self.gains + self.config.offset

    def pixels(self, raw):
        return (raw - self.config.offset) / self.gains

    def forward_train(self, video):
        return video, {}


def clips(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 1


def direct(raw):
    """Mean, deviation and standard error of the mean of ``[N, C, t, h, w]`` at once."""
    rows = raw.transpose(0, 1).flatten(1)
    error = raw.flatten(2).mean(dim=2).std(dim=0) / len(raw) ** 0.5
    return rows.mean(dim=1), rows.std(dim=1, correction=0), error


@settings(max_examples=40, deadline=None)
@given(
    batches=st.lists(st.integers(1, 4), min_size=1, max_size=5).filter(lambda sizes: sum(sizes) > 1),
    frames=st.integers(1, 4),
    gains=st.tuples(*[st.floats(0.05, 20.0)] * 3),
    offset=st.sampled_from([0.0, -3.0, 1e6]),
    shift=st.floats(-5, 5),
    scale=st.floats(0.1, 10),
)
def test_they_equal_a_direct_computation(batches, frames, gains, offset, shift, scale):
    part = Colours(ColoursConfig(gains=gains, offset=offset, latent_shift=(shift,), latent_scale=(scale,)))
    videos = clips(sum(batches), 3, frames, 3, 5)
    before = part.config
    found = vidgen.latent_statistics(part, videos.split(batches))
    mean, std, error = direct(part.raw_latents(videos))
    assert part.config == before
    assert (found.videos, found.count) == (len(videos), videos[:, 0].numel())
    # 1e6 above deviations of 0.05, sums of squares in float64 would be off by a fiftieth and more.
    assert torch.allclose(found.mean, mean, rtol=1e-12, atol=1e-9)
    assert torch.allclose(found.std, std, rtol=1e-6)
    assert torch.allclose(found.error, error, rtol=1e-5, atol=1e-8)
    values = part.raw_latents(videos)
    assert found.overall == pytest.approx((float(values.mean()), float(values.std(correction=0))), rel=1e-6)
    assert found.factor == pytest.approx(1 / float(values.std(correction=0)), rel=1e-6)


def test_videos_of_several_sizes_count_by_their_values():
    part = Colours(ColoursConfig())
    long, image = clips(2, 3, 5, 4, 4), clips(3, 3, 1, 2, 2, seed=1) / 2
    found = vidgen.latent_statistics(part, [long, image])
    rows = torch.cat([x.transpose(0, 1).flatten(1) for x in (long, image)], dim=1)
    assert found.count == rows.shape[1]
    assert torch.allclose(found.mean, rows.mean(dim=1))
    assert torch.allclose(found.std, rows.std(dim=1, correction=0))


@pytest.mark.parametrize("name", NORMALISED)
def test_what_is_normalised_with_them_has_mean_0_and_deviation_1(name):
    torch.manual_seed(0)
    part = vidgen.create("autoencoder", f"{name}/tiny")
    size = part.latent.pixel_size(vidgen.Size(2, 3, 4))
    part.start_from_data([clips(4, 3, *size, seed=1).float()])
    videos = clips(4, 3, *size).float()
    found = vidgen.latent_statistics(part, videos.split(2))
    assert not found.dead
    part.set_normalisation(found.shift, 1 / found.scale)
    with torch.no_grad():
        mean, std, _ = direct(part.encode(videos).double())
    assert torch.allclose(mean, torch.zeros_like(mean), atol=1e-4)
    assert torch.allclose(std, torch.ones_like(std), atol=1e-4)
    again = vidgen.latent_statistics(part, videos.split(2))
    assert torch.allclose(again.std, found.std, rtol=1e-4)
    assert torch.allclose(again.mean, found.mean, atol=1e-4 * float(found.std.max()))


def test_measuring_changes_nothing_even_in_training_mode():
    part = vidgen.create("autoencoder", "videogpt-vqvae/tiny").train()
    before = {name: value.clone() for name, value in part.state_dict().items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vidgen.latent_statistics(part, [clips(1, 3, 4, 16, 16).float()])
    assert part.training
    assert all(torch.equal(before[name], value) for name, value in part.state_dict().items())


def test_dead_channels_are_named_and_keep_their_scale():
    part = Colours(ColoursConfig(gains=(1.0, 1e-9, 0.5), offset=2.0))
    videos = clips(3, 3, 2, 4, 4)
    with pytest.warns(UserWarning, match="channels 1 hardly vary"):
        found = vidgen.latent_statistics(part, [videos])
    assert found.dead == [1]
    assert found.scale[1] == 1
    assert found.shift[1] == pytest.approx(2)
    part.set_normalisation(found.shift, 1 / found.scale)
    assert part.encode(videos)[:, 1].abs().max() < 1e-6


def test_latents_that_never_vary_divide_by_nothing():
    part = Colours(ColoursConfig())
    with pytest.warns(UserWarning, match="channels 0, 1, 2"):
        found = vidgen.latent_statistics(part, [torch.full((2, 3, 1, 2, 2), 0.25)])
    assert found.scale.tolist() == [1, 1, 1]
    assert found.mean.tolist() == [0.25] * 3


def test_one_value_has_no_spread_yet():
    with pytest.warns(UserWarning, match="hardly vary"):
        found = vidgen.latent_statistics(Colours(ColoursConfig()), [clips(1, 3, 1, 1, 1)])
    assert found.error.isnan().all()
    assert found.scale.isfinite().all()


def test_what_cannot_be_measured_is_refused():
    class Plain(Colours):
        normalisation = vidgen.VideoAutoencoder.normalisation
        set_normalisation = vidgen.VideoAutoencoder.set_normalisation

    plain = Plain(ColoursConfig())
    with pytest.raises(ContractError, match=r"needs normalisation\(\) and set_normalisation\(mean, std\)"):
        vidgen.latent_statistics(plain, [clips(1, 3, 1, 2, 2)])
    with pytest.raises(ContractError, match=r"define normalisation\(\) and set_normalisation\(mean, std\)"):
        plain.set_normalisation(torch.zeros(3), torch.ones(3))
    with pytest.raises(VideoError, match="at least one video"):
        vidgen.latent_statistics(Colours(ColoursConfig()), [])
    broken = Colours(ColoursConfig(gains=(1.0, float("inf"), 1.0)))
    with pytest.raises(VideoError, match="not finite"):
        vidgen.latent_statistics(broken, [clips(2, 3, 1, 2, 2)])
