"""The spacetime-patch transformer: sizes, masks, times, precision."""

from __future__ import annotations

import pytest
import torch

from vidgen.errors import ConfigError, ContractError, SizeError
from vidgen.interfaces import Condition, TextEmbedding
from vidgen.size import Size
from vidgen_sora.config import SoraDiTConfig
from vidgen_sora.denoiser import SoraDiT
from vidgen_sora.presets import SORA_DIT

BATCH, CHANNELS, WIDTH = 3, 16, 64
SIZE = Size(3, 4, 6)


def make(config: SoraDiTConfig = SORA_DIT["tiny"]) -> SoraDiT:
    """Return a model in which every weight matters: layers that start at zero are moved away from it."""
    torch.manual_seed(0)
    model = SoraDiT(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def make_text(batch: int = BATCH, length: int = 5, seed: int = 1) -> TextEmbedding:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(length)[None] < torch.arange(2, 2 + batch)[:, None]
    return TextEmbedding(torch.randn(batch, length, WIDTH, generator=generator), mask)


def predict(model: SoraDiT, x: torch.Tensor, time: torch.Tensor, text: TextEmbedding) -> torch.Tensor:
    return model(x, time, model.prepare(text, Condition(), Size(*x.shape[2:]))).value


@pytest.fixture
def model() -> SoraDiT:
    return make()


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(BATCH, CHANNELS, *SIZE, generator=torch.Generator().manual_seed(2))


@pytest.fixture
def time() -> torch.Tensor:
    return torch.tensor([0.1, 0.5, 0.9])


@pytest.mark.parametrize("patch", [(1, 2, 2), (2, 2, 2), (1, 1, 1), (3, 4, 5)])
@pytest.mark.parametrize("size", [(1, 1, 1), (5, 8, 8), (3, 5, 7), (2, 6, 3)])
@torch.no_grad()
def test_any_size_is_predicted(patch: tuple[int, int, int], size: tuple[int, int, int]) -> None:
    model = make(SORA_DIT["tiny"].replace(patch=patch))
    x = torch.randn(BATCH, CHANNELS, *size)
    for time in (torch.rand(BATCH), torch.rand(BATCH, size[0])):
        value = predict(model, x, time, make_text())
        assert value.shape == x.shape
        assert value.isfinite().all()


def test_starts_at_zero(x: torch.Tensor, time: torch.Tensor) -> None:
    assert not predict(SoraDiT(SORA_DIT["tiny"]), x, time, make_text()).any()


@torch.no_grad()
def test_masked_text_changes_nothing(model: SoraDiT, x: torch.Tensor, time: torch.Tensor) -> None:
    text = make_text()
    expected = predict(model, x, time, text)
    for rubbish in (1e4, float("nan"), float("inf")):
        tokens = text.tokens.masked_fill(~text.text_mask[..., None], rubbish)
        torch.testing.assert_close(predict(model, x, time, TextEmbedding(tokens, text.text_mask)), expected)
    tokens = text.tokens[:, :4]
    assert not text.text_mask[:, 4:].any()
    shorter = predict(model, x, time, TextEmbedding(tokens, text.text_mask[:, :4]))
    torch.testing.assert_close(shorter, expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_text_that_is_read_matters(model: SoraDiT, x: torch.Tensor, time: torch.Tensor) -> None:
    text = make_text()
    other = text.tokens.clone()
    other[1, 2] += 1
    assert text.text_mask[1, 2]
    difference = (
        predict(model, x, time, text) - predict(model, x, time, TextEmbedding(other, text.text_mask))
    ).abs()
    assert difference[1].max() > 1e-3
    assert not difference[[0, 2]].any()


@torch.no_grad()
def test_no_text_is_the_learned_null(model: SoraDiT, x: torch.Tensor, time: torch.Tensor) -> None:
    nothing = TextEmbedding(torch.zeros(BATCH, 0, WIDTH), torch.zeros(BATCH, 0, dtype=torch.bool))
    masked = TextEmbedding(torch.randn(BATCH, 4, WIDTH), torch.zeros(BATCH, 4, dtype=torch.bool))
    one, two = predict(model, x, time, nothing), predict(model, x, time, masked)
    assert one.isfinite().all()
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_samples_of_a_batch_do_not_meet(model: SoraDiT, x: torch.Tensor, time: torch.Tensor) -> None:
    text, order = make_text(), [2, 0, 1]
    permuted = predict(model, x[order], time[order], TextEmbedding(text.tokens[order], text.text_mask[order]))
    torch.testing.assert_close(permuted, predict(model, x, time, text)[order], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_constant_time_of_each_frame_is_scalar_time(
    model: SoraDiT, x: torch.Tensor, time: torch.Tensor
) -> None:
    each = time[:, None].expand(-1, SIZE.frames)
    torch.testing.assert_close(
        predict(model, x, each, make_text()), predict(model, x, time, make_text()), atol=1e-5, rtol=1e-4
    )


@torch.no_grad()
def test_time_matters_and_so_does_each_frames(model: SoraDiT, x: torch.Tensor, time: torch.Tensor) -> None:
    each = time[:, None].repeat(1, SIZE.frames)
    clean_first = each.clone()
    clean_first[:, 0] = 0
    one, two = predict(model, x, each, make_text()), predict(model, x, clean_first, make_text())
    assert (one - two).abs().amax(dim=(1, 3, 4)).min() > 1e-4  # every frame hears of it


@torch.no_grad()
def test_place_and_size_matter(model: SoraDiT, time: torch.Tensor) -> None:
    value = predict(model, torch.ones(BATCH, CHANNELS, *SIZE), time, make_text())
    for axis, patch in ((2, 1), (3, 2), (4, 2)):
        assert (value - value.roll(patch, dims=axis)).abs().max() > 1e-3
    longer = predict(model, torch.ones(BATCH, CHANNELS, 6, 4, 6), time, make_text())
    assert (longer[:, :, :3] - value).abs().max() > 1e-3


@torch.no_grad()
def test_prepared_once_serves_every_step(model: SoraDiT, x: torch.Tensor) -> None:
    prepared = model.prepare(make_text(), Condition(), SIZE)
    for t in (1.0, 0.5, 0.0):
        time = torch.full((BATCH,), t)
        torch.testing.assert_close(
            model(x, time, prepared).value, predict(model, x, time, make_text()), rtol=0, atol=0
        )


def test_gradients_reach_every_parameter(model: SoraDiT, x: torch.Tensor, time: torch.Tensor) -> None:
    text = make_text()
    text.tokens.requires_grad_()
    predict(model, x, time, text).square().mean().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert text.tokens.grad is not None
    assert (text.tokens.grad.abs().sum(-1) > 0).equal(text.text_mask)


@torch.no_grad()
def test_bfloat16_is_close(x: torch.Tensor, time: torch.Tensor) -> None:
    model = make()
    exact = predict(model, x, time, make_text())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = predict(model, x, time, make_text()).float()
    model.to(torch.bfloat16)
    rounded = predict(model, x.bfloat16(), time, make_text().to(torch.bfloat16))
    assert rounded.dtype == torch.bfloat16
    for close in (mixed, rounded.float()):
        assert (close - exact).norm() < 0.03 * exact.norm()


def test_wrong_use_is_refused(model: SoraDiT, x: torch.Tensor, time: torch.Tensor) -> None:
    with pytest.raises(SizeError, match="prepare again"):
        model(x, time, model.prepare(make_text(), Condition(), Size(2, 4, 6)))
    with pytest.raises(ContractError, match="fps"):
        model.prepare(make_text(), Condition(fps=torch.ones(BATCH)), SIZE)
    for wrong in ({"heads": 5}, {"heads": 64}, {"patch": (0, 2, 2)}, {"depth": 0}, {"time_width": 3}):
        with pytest.raises(ConfigError, match="SoraDiTConfig"):
            SoraDiTConfig(**wrong)


@pytest.mark.parametrize(
    ("preset", "low", "high"), [("small", 5e6, 9e6), ("base", 1.2e8, 1.4e8), ("xl", 6.5e8, 7.5e8)]
)
def test_presets_have_the_declared_size(preset: str, low: float, high: float) -> None:
    with torch.device("meta"):
        model = SoraDiT(SORA_DIT[preset])
    assert low < sum(p.numel() for p in model.parameters()) < high
