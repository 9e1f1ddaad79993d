"""Every backend agrees with the written-out reference, forward and backward."""

from __future__ import annotations

import pytest
import torch

import vidgen
from vidgen.errors import ConfigError, PluginError, SizeError, UnknownNameError
from vidgen.nn import AttentionBackend, Segments, attention, attention_backend

SELF = Segments.of((7, 130, 1, 7, 20))
CROSS = Segments(queries=(7, 130, 1, 7, 20), keys=(3, 5, 1, 4, 5))
CUDA = pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="no GPU; where there is one: python -m pytest tests/plugins/vidgen_attention -k cuda",
)


def packed(segments: Segments, device: str = "cpu", dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    """Return queries, keys and values of a packed sequence, two heads of 16."""
    draw = torch.Generator().manual_seed(0)
    lengths = (sum(segments.queries), sum(segments.keys), sum(segments.keys))
    return [torch.randn(1, 2, n, 16, generator=draw).to(device, dtype).requires_grad_() for n in lengths]


def answer(backend: str, segments: Segments, **where: object) -> list[torch.Tensor]:
    """Return the output and the gradients of queries, keys and values (flex on a CPU has none)."""
    inputs = packed(segments, **where)
    if backend == "flex" and not inputs[0].is_cuda:
        with torch.no_grad():
            return [attention(*inputs, segments, backend=backend)]
    made = attention(*inputs, segments, backend=backend)
    weights = torch.randn(made.shape, generator=torch.Generator().manual_seed(1)).to(made)
    return [made, *torch.autograd.grad((made * weights).sum(), inputs)]


def test_all_backends_are_listed():
    names = {"flex", "loop", "reference", "sdpa", "varlen", "xformers"}
    assert names <= set(vidgen.list_components("attention"))


@pytest.mark.parametrize("segments", [SELF, CROSS], ids=["self", "cross"])
@pytest.mark.parametrize("backend", ["sdpa", "loop", "flex", "xformers"])
def test_backends_agree_on_a_cpu(backend, segments):
    if backend == "xformers":
        pytest.importorskip("xformers.ops", exc_type=ImportError)
    for got, want in zip(answer(backend, segments), answer("reference", segments), strict=False):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


@CUDA
@pytest.mark.parametrize("segments", [SELF, CROSS], ids=["self", "cross"])
@pytest.mark.parametrize("backend", ["sdpa", "loop", "flex", "varlen", "xformers"])
def test_kernels_agree_on_cuda(backend, segments):
    if backend == "xformers":
        pytest.importorskip("xformers.ops", exc_type=ImportError)
    truth = answer("reference", segments)
    for got, want in zip(answer(backend, segments, device="cuda", dtype=torch.bfloat16), truth, strict=True):
        torch.testing.assert_close(got.float().cpu(), want, rtol=2e-2, atol=3e-2)


def test_a_sample_sees_nothing_of_the_others():
    segments = Segments.of((3, 4))
    q, k, v = (x.detach() for x in packed(segments))
    before = attention(q, k, v, segments)
    k, v = k.clone(), v.clone()
    k[:, :, 3:], v[:, :, 3:] = 9.0, 9.0
    after = attention(q, k, v, segments)
    torch.testing.assert_close(after[:, :, :3], before[:, :, :3], rtol=0, atol=0)
    assert not torch.allclose(after[:, :, 3:], before[:, :, 3:])


@pytest.mark.parametrize("backend", ["sdpa", "loop", "reference"])
def test_training_follows_inference(backend):
    segments = Segments.of((5, 2, 9, 5, {"sdpa": 1, "loop": 2, "reference": 3}[backend]))
    with torch.inference_mode():
        attention(*packed(segments), segments, backend=backend)
    answer(backend, segments)


@pytest.mark.parametrize("backend", ["loop", "reference", "flex"])
def test_a_batch_without_packing_is_attended_alike(backend):
    q, k, v = (torch.randn(3, 2, n, 16, generator=torch.Generator().manual_seed(n)) for n in (5, 4, 4))
    with attention_backend(backend):
        torch.testing.assert_close(attention(q, k, v), attention(q, k, v, backend="sdpa"))


def test_a_new_backend_registers_like_any_component(scratch_registry):
    @vidgen.register("attention", "zeros")
    class Zeros(AttentionBackend):
        """Nothing at all."""

        def packed(self, q, k, v, segments):
            return torch.zeros_like(q)

    inputs = packed(SELF)
    with attention_backend("zeros"):
        assert attention(*inputs, SELF).abs().sum() == 0
    assert attention(*inputs, SELF).abs().sum() > 0


def test_what_cannot_be_is_refused(scratch_registry):
    q, k, v = packed(SELF)
    with pytest.raises(UnknownNameError, match="reference"), attention_backend("referense"):
        pass
    with pytest.raises(SizeError, match="of the tensors"):
        attention(q[:, :, 1:], k, v, SELF)
    with pytest.raises(SizeError, match="needs queries and keys"):
        Segments.of((3, 0))
    with pytest.raises(ConfigError, match="CUDA"):
        attention(q, k, v, SELF, backend="varlen")
    with pytest.raises(ConfigError, match="does not train on a CPU"):
        attention(q, k, v, SELF, backend="flex")
    vidgen.register("attention", "no-backend")(type("NoBackend", (), {"__init__": lambda self: None}))
    with pytest.raises(PluginError, match="AttentionBackend"):
        attention(q, k, v, SELF, backend="no-backend")
