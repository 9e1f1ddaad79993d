"""Packed samples of different sizes: the same loss and gradients as one by one, whoever computes attention."""

from __future__ import annotations

import pytest
import torch

from vidgen.errors import SizeError
from vidgen.interfaces import Condition, PackedLatents, TextEmbedding
from vidgen.nn import attention_backend
from vidgen.size import Size
from vidgen_sora.denoiser import SoraDiT
from vidgen_sora.presets import SORA_DIT

SIZES = (Size(5, 8, 8), Size(1, 12, 12), Size(3, 10, 6), Size(9, 6, 10), Size(1, 12, 12), Size(2, 5, 7))
"""Latents of 17x64x64, 1x96x96, 9x80x48, 33x48x80, an image again, and a size that no patch divides."""

BATCH = len(SIZES)


def make(patch: tuple[int, int, int] = (1, 2, 2)) -> SoraDiT:
    torch.manual_seed(0)
    model = SoraDiT(SORA_DIT["tiny"].replace(patch=patch))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def inputs(per_frame: bool = False) -> tuple[list[torch.Tensor], torch.Tensor, TextEmbedding]:
    draw = torch.Generator().manual_seed(1)
    samples = [torch.randn(16, *size, generator=draw) for size in SIZES]
    time = torch.rand(sum(size.frames for size in SIZES) if per_frame else BATCH, generator=draw)
    mask = torch.arange(5)[None] < torch.tensor([5, 1, 3, 0, 2, 4])[:, None]
    return samples, time, TextEmbedding(torch.randn(BATCH, 5, 64, generator=draw), mask)


def losses_one_by_one(model, samples, time, text):
    counts = [size.frames for size in SIZES] if len(time) > BATCH else [1] * BATCH
    for i, (sample, own) in enumerate(zip(samples, time.split(counts), strict=True)):
        words = TextEmbedding(text.tokens[i : i + 1], text.text_mask[i : i + 1])
        own = own[None] if len(time) > BATCH else own
        prepared = model.prepare(words, Condition(), Size(*sample.shape[1:]))
        yield (model(sample[None], own, prepared).value[0] - sample).square().mean()


def packed_loss(model, samples, time, text):
    x = PackedLatents.of(samples)
    value = model(x, time, model.prepare(text, Condition(), x.sizes)).value
    return PackedLatents((value - x.values).square(), x.sizes).means().mean()


def gradients(model):
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


@pytest.mark.parametrize("per_frame", [False, True], ids=["time", "time-per-frame"])
@pytest.mark.parametrize("backend", ["sdpa", "loop", "reference"])
def test_loss_and_gradients_are_those_of_one_by_one(backend, per_frame):
    model, given = make(), inputs(per_frame)
    alone = torch.stack(list(losses_one_by_one(model, *given))).mean()
    alone.backward()
    wanted = gradients(model)
    with attention_backend(backend):
        packed = packed_loss(model, *given)
        packed.backward()
    got = gradients(model)
    assert abs((packed - alone).item()) <= 1e-4 * alone.item()
    assert got.keys() == wanted.keys() == dict(model.named_parameters()).keys()
    for name, one in got.items():
        scale = wanted[name].abs().max()
        assert (one - wanted[name]).abs().max() <= 1e-4 * scale, name


@torch.no_grad()
def test_patches_of_several_frames_pack_too():
    model, given = make((2, 2, 2)), inputs(per_frame=True)
    alone = torch.stack(list(losses_one_by_one(model, *given))).mean()
    torch.testing.assert_close(packed_loss(model, *given), alone, rtol=1e-4, atol=0)


@torch.no_grad()
def test_what_does_not_belong_together_is_refused():
    model, (samples, time, text) = make(), inputs()
    x = PackedLatents.of(samples)
    prepared = model.prepare(text, Condition(), x.sizes)
    with pytest.raises(SizeError, match="prepare again"):
        model(PackedLatents.of(samples[::-1]), time, prepared)
    with pytest.raises(SizeError, match="6 prompts meet 5"):
        model.prepare(text, Condition(), x.sizes[1:])
    with pytest.raises(SizeError, match="positions"):
        PackedLatents(x.values[:, 1:], x.sizes)
    for wrong in (time[1:], time[:, None]):
        with pytest.raises(SizeError, match=rf"take values \[6\].*not \[{wrong.shape[0]}"):
            model(x, wrong, prepared)
        with pytest.raises(SizeError, match="6 packed samples"):
            x.spread(wrong)
    a, b = samples[:2]
    for unlike in ([], [a, b[1:]], [a, b[:, 0]], [a[None]]):
        with pytest.raises(SizeError, match=r"Packed samples are \[C, t, h, w\]"):
            PackedLatents.of(unlike)


def test_packed_latents_split_spread_and_average():
    samples, time, _ = inputs()
    x = PackedLatents.of(samples)
    assert all(torch.equal(one, two) for one, two in zip(x.split(), samples, strict=True))
    spread = PackedLatents(x.spread(time)[None], x.sizes).split()
    assert all((one == own).all() for one, own in zip(spread, time, strict=True))
    frames = torch.arange(float(sum(size.frames for size in SIZES)))
    first = PackedLatents(x.spread(frames)[None], x.sizes).split()[0]
    assert torch.equal(first, torch.arange(5.0)[None, :, None, None].expand(1, 5, 8, 8))
    torch.testing.assert_close(x.means(), torch.stack([one.mean() for one in samples]))
