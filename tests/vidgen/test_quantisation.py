"""Weights in fewer bits: how far the results move, and what is left as it was."""

from __future__ import annotations

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import vidgen
from tests.vidgen.test_lora import output, stirred
from vidgen.errors import ConfigError, MissingDependencyError
from vidgen.quantisation import STORAGES, Float8, quantise, unpack
from vidgen.sampling.offload import Group

CPU = torch.device("cpu")
PARTS = ["denoiser:sora-dit", "denoiser:latte", "text_encoder:t5"]
pytestmark = pytest.mark.filterwarnings("ignore:Random weights")


def moved(name, storage):
    """How far the output of a part moves, over its own size (root mean squares)."""
    kind, _, name = name.partition(":")
    part = stirred(kind, name)
    exact = output(part)
    quantise(part, storage)
    return float((output(part) - exact).square().mean().sqrt() / exact.square().mean().sqrt())


@given(seed=st.integers(0, 1000), scale=st.sampled_from([1e-6, 0.02, 1.0, 300.0]))
def test_float8_is_off_by_at_most_a_sixteenth(seed, scale):
    weight = scale * torch.randn(6, 40, generator=torch.Generator().manual_seed(seed))
    rule = Float8(torch.float32)
    stored, row = rule.right_inverse(weight)
    assert stored.dtype == torch.float8_e4m3fn
    made, top = rule(stored, row), weight.abs().amax(dim=1, keepdim=True)
    # a little more than 1/16 for the rounding of the scale; below 1/28672 of the row's largest steps are even
    bound = torch.maximum(weight.abs() / 16, top / 28672 / 16) * 1.0001
    assert ((made - weight).abs() <= bound).all()
    assert torch.allclose(made.abs().amax(dim=1, keepdim=True), top, rtol=1e-6)


def test_float8_takes_rows_of_zeros():
    rule = Float8(torch.float32)
    assert (rule(*rule.right_inverse(torch.zeros(2, 3))) == 0).all()


# Measured: 0.011, 0.010 and 0.073. The tiny T5 is stirred so strongly that every rounding counts.
@pytest.mark.parametrize(("name", "bound"), list(zip(PARTS, [0.02, 0.02, 0.1], strict=True)))
def test_float8_moves_the_output_by_little(name, bound):
    assert 0 < moved(name, "fp8") < bound


@pytest.mark.parametrize("name", PARTS)
def test_float8_is_torchaos(name):
    """Another implementation of the same storage gives the same weights."""
    pytest.importorskip("torchao")
    ours, theirs = (stirred(*name.split(":")) for _ in range(2))
    quantise(ours, "fp8")
    quantise(theirs, "float8-weight-only")
    assert torch.allclose(output(ours), output(theirs), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_float8_takes_a_byte_a_weight(dtype):
    part = stirred("denoiser", "sora-dit").to(dtype)
    names = list(part.state_dict())
    inside = [one for one in part.blocks.modules() if isinstance(one, nn.Linear)]
    weights, rows = sum(one.weight.numel() for one in inside), sum(one.out_features for one in inside)
    before = Group(part, CPU).size
    assert quantise(part, "fp8") == len(inside)
    assert Group(part, CPU).size == before - weights * dtype.itemsize + weights + 4 * rows
    assert all(one.weight.dtype == dtype for one in inside)  # whoever reads it gets what can be worked with
    assert part.enter.weight.dtype == dtype
    assert set(part.state_dict()) == set(names)
    made, kept = part.state_dict(), {n: v.clone() for n, v in part.state_dict().items()}
    assert all(value.dtype == dtype for value in made.values())
    quantise(part, "fp8")  # again: nothing is rounded twice
    assert all(torch.equal(value, kept[n]) for n, value in part.state_dict().items())
    unpack(part)
    assert set(dict(part.named_parameters())) == set(names)
    assert all(torch.equal(value, kept[n]) for n, value in part.state_dict().items())
    assert Group(part, CPU).size == before


def test_a_pipeline_keeps_weights_so_and_says_it(tmp_path):
    parts = {"autoencoder": "sora-vae/tiny", "denoiser": stirred("denoiser", "sora-dit")}
    pipe = vidgen.compose(**parts, text_encoder="words/tiny", scheduler="euler")
    small = {"frames": 5, "height": 32, "width": 32, "steps": 2, "seed": 0, "show_progress": False}
    exact = pipe("a red circle", **small).numpy().astype(float)
    kept = pipe.place("cpu", storage="fp8")("a red circle", **small)
    layered = pipe.place("cpu", memory="layers", storage="fp8")("a red circle", **small)
    assert "weights as fp8" in kept.metadata["memory"]
    assert pipe.dtype == torch.float32
    assert (kept.numpy() == layered.numpy()).all()
    assert 0 < abs(kept.numpy() - exact).mean() < 2  # of 255
    pipe.save(tmp_path / "pipe")
    again = vidgen.load(tmp_path / "pipe")("a red circle", **small)
    assert (again.numpy() == kept.numpy()).all()


# Measured: 0.0023, 0.0024 and 0.020.
@pytest.mark.parametrize(("name", "bound"), list(zip(PARTS, [0.004, 0.004, 0.03], strict=True)))
def test_int8_by_torchao_moves_the_output_by_less(name, bound):
    pytest.importorskip("torchao")
    assert 0 < moved(name, "int8-weight-only") < bound


@pytest.mark.parametrize("memory", ["stages", "layers"])
def test_int8_by_torchao_comes_and_goes(memory):
    pytest.importorskip("torchao")
    parts = {"autoencoder": "sora-vae/tiny", "denoiser": stirred("denoiser", "sora-dit")}
    pipe = vidgen.compose(**parts, text_encoder="words/tiny", scheduler="euler")
    small = {"frames": 5, "height": 32, "width": 32, "steps": 2, "seed": 0, "show_progress": False}
    plain = pipe.place("cpu", memory="all", storage="int8-weight-only")("a", **small).numpy()
    moving = pipe.place("cpu", memory=memory, storage="int8-weight-only")("a", **small).numpy()
    assert (plain == moving).all()


def test_without_torchao_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchao", None)
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'vidgen-components\[quantise\]'"):
        quantise(stirred("denoiser", "sora-dit"), "int8-weight-only")


def test_what_cannot_be_kept_so_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'int8-weight-only'"):
        quantise(stirred("denoiser", "sora-dit"), "int8-weights-only")
    with pytest.raises(ConfigError, match="Linear has no blocks"):
        quantise(nn.Linear(2, 2), "fp8")
    assert STORAGES[0] == "fp8"
