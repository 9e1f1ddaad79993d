"""What a denoiser is asked to learn: times, noise and weights, against formulas written out here."""

from __future__ import annotations

import sys
import types

import pytest
import torch
from torch import nn

from vidgen.errors import MissingDependencyError
from vidgen.interfaces import Prediction, TextEmbedding
from vidgen.process import PREDICTIONS, Process, ProcessSpec
from vidgen.train.config import GivenConfig, TrainConfig
from vidgen.train.objectives import DenoiserObjective, min_snr_weight
from vidgen.train.optimizers import Averaged, make_optimizers

SHAPE = (4, 3, 2, 4, 5)
SPECS = {"straight": ProcessSpec(), "preserving": ProcessSpec(family="vp-cosine", zero_terminal_snr=True)}


class Guess(nn.Module):
    """A denoiser that remembers what it was shown and answers a constant."""

    def __init__(self, spec: ProcessSpec, prediction: str, abilities: tuple[str, ...] = ()) -> None:
        super().__init__()
        contract = types.SimpleNamespace(process=spec, prediction=prediction, abilities=frozenset(abilities))
        self.config = types.SimpleNamespace(contract=lambda: contract)

    def prepare(self, text, condition, size):
        return None

    def forward(self, x, time, prepared):
        self.x, self.time = x, time
        return Prediction(torch.full_like(x, 0.25))


class Words:
    def encode(self, prompts):
        return TextEmbedding(torch.zeros(len(prompts), 1, 1), torch.ones(len(prompts), 1, dtype=torch.bool))


def shown(spec, prediction="epsilon", latents=None, abilities=(), **settings):
    """Return the objective's loss and the denoiser after one look."""
    denoiser = Guess(spec, prediction, abilities)
    objective = DenoiserObjective(denoiser, Words(), TrainConfig(**settings))
    latents = torch.zeros(SHAPE) if latents is None else latents
    loss = objective(latents, [""] * len(latents), torch.Generator().manual_seed(0))["denoising"]
    return loss, denoiser


def test_the_defaults_draw_as_ever():
    loss, denoiser = shown(SPECS["straight"], "flow")
    chance = torch.Generator().manual_seed(0)
    torch.rand(4, generator=chance)
    time = torch.sigmoid(torch.randn(4, generator=chance))
    noise = torch.randn(SHAPE, generator=chance)
    assert torch.equal(denoiser.time, time)
    assert torch.equal(denoiser.x, time.reshape(4, 1, 1, 1, 1) * noise)
    assert loss == (0.25 - noise).square().mean()


@pytest.mark.parametrize("family", SPECS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_min_snr_counts_the_error_of_the_clean_sample(family, prediction):
    process, gamma = Process(SPECS[family]), 5.0
    t = torch.linspace(0.02, 0.98, 25)
    alpha, sigma = process.alpha_sigma(t)
    chance = torch.Generator().manual_seed(1)
    x, output = torch.randn(2, 25, 1, 1, 1, 1, generator=chance, dtype=torch.float64)
    error = torch.full_like(output, 0.1)
    clean, wrong = (process.to_clean(prediction, o, x, t) for o in (output, output + error))
    by_clean = torch.minimum((alpha / sigma) ** 2, torch.tensor(gamma)) * (wrong - clean).flatten() ** 2
    by_output = min_snr_weight(process, prediction, t, gamma) * 0.1**2
    torch.testing.assert_close(by_output, by_clean, rtol=1e-6, atol=1e-12)


def test_min_snr_is_that_of_the_paper_for_variance_preserving_processes():
    process, t = Process(SPECS["preserving"]), torch.tensor([0.1, 0.5, 0.9])
    snr = torch.exp(2 * process.log_snr(t))
    capped = snr.clamp(max=5)
    for prediction, weight in {"sample": capped, "epsilon": capped / snr, "v": capped / (snr + 1)}.items():
        torch.testing.assert_close(min_snr_weight(process, prediction, t, 5.0), weight, rtol=1e-9, atol=0)


@pytest.mark.parametrize("family", SPECS)
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_min_snr_is_finite_at_both_ends(family, prediction):
    weight = min_snr_weight(Process(SPECS[family]), prediction, torch.tensor([0.0, 1.0]), 5.0)
    assert weight.isfinite().all()
    assert (weight >= 0).all()


@pytest.mark.parametrize("prediction", ["v", "flow"])
def test_min_snr_weights_the_loss_of_each_sample(prediction):
    latents = torch.randn(SHAPE, generator=torch.Generator().manual_seed(2))
    loss, denoiser = shown(SPECS["preserving"], prediction, latents, weighting="min-snr", min_snr_gamma=2.0)
    process = Process(SPECS["preserving"])
    alpha, sigma = (x.reshape(4, 1, 1, 1, 1) for x in process.alpha_sigma(denoiser.time))
    noise = (denoiser.x - alpha * latents) / sigma
    target = process.target(prediction, latents, noise, denoiser.time)
    guess = torch.full_like(target, 0.25)
    made, meant = (process.to_clean(prediction, o, denoiser.x, denoiser.time) for o in (guess, target))
    expected = ((alpha / sigma).square().clamp(max=2) * (made - meant) ** 2).mean()
    torch.testing.assert_close(loss.double(), expected.double(), rtol=1e-4, atol=1e-6)


def test_min_snr_leaves_given_frames_out():
    given = GivenConfig(none=0, image=1)
    loss, denoiser = shown(
        SPECS["straight"], "flow", abilities=("per_frame_time",), given=given, weighting="min-snr"
    )
    time = denoiser.time
    assert (time[:, 0] == 0).all()
    weight = min_snr_weight(Process(SPECS["straight"]), "flow", time[:, 1], 5.0).reshape(4, 1, 1, 1)
    noise = denoiser.x[:, :, 1] / time[:, 1].reshape(4, 1, 1, 1)
    torch.testing.assert_close(loss, (weight * (0.25 - noise).square()).mean().float(), rtol=1e-4, atol=0)


def test_uniform_times_are_uniform():
    _, denoiser = shown(SPECS["straight"], latents=torch.zeros(20_000, 1, 1, 1, 1), times="uniform")
    levels = torch.linspace(0.05, 0.95, 19)
    torch.testing.assert_close(denoiser.time.quantile(levels), levels, rtol=0, atol=0.02)
    _, leaning = shown(SPECS["straight"], latents=torch.zeros(20_000, 1, 1, 1, 1), time_mean=1.0)
    torch.testing.assert_close(leaning.time.median(), torch.tensor(1.0).sigmoid(), rtol=0, atol=0.02)


def test_a_noise_offset_moves_whole_channels():
    shape = (64, 8, 4, 8, 8)
    _, plain = shown(SPECS["straight"], latents=torch.zeros(shape))
    _, moved = shown(SPECS["straight"], latents=torch.zeros(shape), noise_offset=0.5)
    difference = (moved.x - plain.x) / plain.time.reshape(-1, 1, 1, 1, 1)
    channels = difference.mean(dim=(2, 3, 4))
    torch.testing.assert_close(difference, channels[..., None, None, None].expand(shape), rtol=0, atol=1e-4)
    assert channels.std() == pytest.approx(0.5, rel=0.1)


def test_kinds_of_averages():
    values = torch.randn(40, generator=torch.Generator().manual_seed(3)).double()

    def average(**settings):
        result = Averaged([("w", torch.zeros(1))], 0.9, **settings)
        for step, value in enumerate(values):
            result.update([("w", value.reshape(1))], step)
        return float(result.values["w"])

    def expected(decay):
        mean = 0.0
        for step, value in enumerate(values.tolist()):
            mean = decay(step) * mean + (1 - decay(step)) * value
        return mean

    assert average(kind="constant") == pytest.approx(expected(lambda step: 0.9), abs=1e-5)
    assert average() == pytest.approx(expected(lambda step: min(0.9, (1 + step) / (10 + step))), abs=1e-5)
    power = expected(lambda step: (1 - 1 / (step + 1)) ** (3.5 + 1))
    assert average(kind="power", power=3.5) == pytest.approx(power, abs=1e-5)
    # The published profile: a weight taken in at time s of n counts as s ** power.
    shares = [(s / 40) ** 3.5 for s in range(1, 41)]
    profile = sum(s * v for s, v in zip(shares, values.tolist(), strict=True)) / sum(shares)
    assert average(kind="power", power=3.5) == pytest.approx(profile, abs=0.05)


def test_eight_bit_adamw_needs_a_library_and_takes_the_one_there_is(monkeypatch):
    module, settings = nn.Linear(3, 3), TrainConfig(optimizer="adamw8bit")
    for name in ("bitsandbytes", "bitsandbytes.optim", "torchao", "torchao.optim"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingDependencyError, match="pip install bitsandbytes"):
        make_optimizers(module, settings)
    package, optim = types.ModuleType("torchao"), types.ModuleType("torchao.optim")
    optim.AdamW8bit = type("AdamW8bit", (torch.optim.SGD,), {"__init__": _take})
    monkeypatch.setitem(sys.modules, "torchao", package)
    monkeypatch.setitem(sys.modules, "torchao.optim", optim)
    (made,) = make_optimizers(module, settings)
    assert type(made).__name__ == "AdamW8bit"
    assert [group["weight_decay"] for group in made.param_groups] == [0.01, 0.0]


def _take(self, groups, lr, betas):
    torch.optim.SGD.__init__(self, groups, lr=lr)
