from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from vidgen.errors import SizeError, VideoError
from vidgen.metrics import Quality, psnr, ssim
from vidgen.video import Video


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """A smooth clip and a noisy copy of it, uint8 [19, 24, 32, 3]."""
    rng = np.random.default_rng(0)
    clip = gaussian_filter(rng.normal(128, 600, (19, 24, 32, 3)), (1, 3, 3, 0)).clip(0, 255)
    noisy = (clip + rng.normal(0, 1, clip.shape) * np.linspace(0, 30, 19)[:, None, None, None]).clip(0, 255)
    return clip.astype(np.uint8), noisy.astype(np.uint8)


def test_psnr_by_hand(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    expected = 10 * np.log10(255**2 / ((a.astype(float) - b) ** 2).mean())
    assert psnr(a, b).item() == pytest.approx(expected, abs=1e-4)
    assert psnr(Video(a), Video(b)).shape == ()
    assert psnr(Video(a).tensor(), Video(b).tensor())[0].item() == pytest.approx(expected, abs=1e-3)
    assert psnr(Video(a).tensor()[0], b).item() == pytest.approx(expected, abs=1e-3)


def test_ssim_by_its_formula(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Against the formula of Wang et al. 2004, with mirrored borders."""

    def blur(x: np.ndarray) -> np.ndarray:
        return gaussian_filter(x, (0, 1.5, 1.5, 0), truncate=5 / 1.5, mode="mirror")

    a, b = (part.astype(float) / 255 for part in pair)
    mean_a, mean_b = blur(a), blur(b)
    var_a, var_b, both = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2, blur(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    value = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    value /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    assert ssim(*pair).item() == pytest.approx(value.mean(), abs=1e-4)


def test_torchmetrics_of_all_frames_at_once(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = (torch.from_numpy(part).permute(0, 3, 1, 2).double() / 255 for part in pair)
    assert psnr(*pair).item() == pytest.approx(peak_signal_noise_ratio(a, b, data_range=1.0).item(), abs=1e-4)
    known = structural_similarity_index_measure(a, b, data_range=1.0)
    assert ssim(*pair).item() == pytest.approx(known.item(), abs=1e-5)


def test_ends(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    assert (psnr(a, a).item(), ssim(a, a).item()) == (100.0, pytest.approx(1.0))
    black, white = np.zeros((1, 16, 16, 3), np.uint8), np.full((1, 16, 16, 3), 255, np.uint8)
    assert psnr(black, white).item() == pytest.approx(0.0, abs=1e-6)
    assert ssim(black, white).item() < 0.01
    assert ssim(a, b).item() < 0.99


def test_each_of_a_batch_is_measured_alone(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = (Video(part).tensor() for part in pair)
    for measure in (psnr, ssim):
        batch = measure(torch.cat([a, a]), torch.cat([b, a]))
        assert batch.shape == (2,)
        assert batch[0].item() == pytest.approx(measure(a, b).item(), abs=1e-9)
        assert batch[1].item() == measure(a, a).item()


def test_values_beyond_the_range_are_cut_off() -> None:
    a = torch.ones(1, 3, 1, 16, 16)
    assert psnr(a, a * 1.4).item() == 100.0


@pytest.mark.parametrize("length", [1, 5, 8, 19])
def test_pieces_equal_whole(pair: tuple[np.ndarray, np.ndarray], length: int) -> None:
    a, b = pair
    quality = Quality()
    for start in range(0, len(a), length):
        quality.update(a[start : start + length], b[start : start + length])
    assert quality.frames == len(a)
    assert quality.psnr == pytest.approx(psnr(a, b).item(), abs=1e-9)
    assert quality.ssim == pytest.approx(ssim(a, b).item(), abs=1e-6)


def test_bad_input_is_refused(pair: tuple[np.ndarray, np.ndarray]) -> None:
    a, b = pair
    with pytest.raises(SizeError, match="cannot compare"):
        psnr(a, b[:-1])
    with pytest.raises(SizeError, match="11x11"):
        ssim(a[:, :8], b[:, :8])
    with pytest.raises(VideoError, match="NaN"):
        psnr(torch.full((1, 3, 1, 16, 16), torch.nan), torch.zeros(1, 3, 1, 16, 16))
    with pytest.raises(VideoError, match="is no video"):
        psnr(torch.zeros(4, 4), torch.zeros(4, 4))
    with pytest.raises(VideoError, match="call update first"):
        _ = Quality().psnr
    quality = Quality()
    quality.update(a, b)
    with pytest.raises(SizeError, match="follows one of"):
        quality.update(a[:, :16], b[:, :16])
    with pytest.raises(SizeError, match="not a batch"):
        Quality().update(torch.zeros(2, 3, 1, 16, 16), torch.zeros(2, 3, 1, 16, 16))
