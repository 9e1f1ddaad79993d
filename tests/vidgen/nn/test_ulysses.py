"""Attention over a shared-out sequence, on two processes over gloo, against attention in one."""

from __future__ import annotations

import os

import pytest
import torch
import torch.distributed as dist
from einops import rearrange
from torch import nn

from vidgen.errors import SizeError
from vidgen.nn import attention
from vidgen.nn.ulysses import join_sequence, share_sequence, ulysses_attention

HEADS, WIDTH = 4, 8


def inputs(tokens):
    chance = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, HEADS, tokens, WIDTH, generator=chance, dtype=torch.float64) for _ in range(3))
    masks = {
        "none": None,
        "padding": (torch.arange(tokens) < tokens - 2)[None, None, None],
        "bias": torch.randn(1, HEADS, tokens, tokens, generator=chance, dtype=torch.float64),
    }
    weights = torch.randn(2, HEADS, tokens, WIDTH, generator=chance, dtype=torch.float64)
    return (q, k, v), masks, weights


class Layer(nn.Module):
    """A residual layer of attention and a perceptron."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x, attend):
        q, k, v = rearrange(self.qkv(x), "b l (three h d) -> three b h l d", three=3, h=HEADS)
        return x + self.out(rearrange(attend(q, k, v), "b h l d -> b l (h d)")).tanh()


def clips():
    return torch.randn(2, 11, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def work(number, count, folder):
    """Be one of the processes; write what it has."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=number, world_size=count)
    found = {}
    for tokens in (12, 13):
        whole, masks, weights = inputs(tokens)
        for name, mask in masks.items():
            leaves = [x.clone().requires_grad_() for x in whole]
            shared = [share_sequence(x, dim=2) for x in leaves]
            lengths = shared[0][1]
            made = ulysses_attention(*(x for x, _ in shared), mask, lengths=lengths)
            (made * share_sequence(weights, dim=2)[0]).sum().backward()
            joined = join_sequence(made.detach(), lengths, dim=2)
            for leaf in leaves:
                dist.all_reduce(leaf.grad)
            found[tokens, name] = (joined, [leaf.grad for leaf in leaves])
    layer = Layer().double()
    tokens, lengths = share_sequence(clips())
    for _ in range(2):
        tokens = layer(tokens, lambda q, k, v: ulysses_attention(q, k, v, lengths=lengths))
    loss = join_sequence(tokens, lengths).square().mean()
    loss.backward()
    for p in layer.parameters():
        dist.all_reduce(p.grad, dist.ReduceOp.SUM)
        p.grad /= count
    found["layer"] = (loss.detach(), [p.grad for p in layer.parameters()])
    problems = []
    for q, told in ((torch.zeros(1, 3, 2, 8), None), (torch.zeros(1, 4, 2, 8), (3, 3))):
        try:
            ulysses_attention(q, q, q, lengths=told)
        except SizeError as problem:
            problems.append(str(problem))
    if number == 0:
        torch.save({"found": list(found.items()), "problems": problems}, f"{folder}/found.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ulysses")
    torch.multiprocessing.spawn(work, (2, str(folder)), nprocs=2)
    page = torch.load(folder / "found.pt", weights_only=True)
    return dict(page["found"]), page["problems"]


@pytest.mark.parametrize("name", ["none", "padding", "bias"])
@pytest.mark.parametrize("tokens", [12, 13], ids=["even", "uneven"])
def test_two_processes_attend_as_one(tokens, name, made):
    whole, masks, weights = inputs(tokens)
    leaves = [x.clone().requires_grad_() for x in whole]
    expected = attention(*leaves, masks[name])
    (expected * weights).sum().backward()
    value, gradients = made[0][tokens, name]
    torch.testing.assert_close(value, expected.detach(), rtol=0, atol=1e-12)
    for gradient, leaf in zip(gradients, leaves, strict=True):
        torch.testing.assert_close(gradient, leaf.grad, rtol=0, atol=1e-12)


def test_layers_learn_as_in_one_process(made):
    layer, tokens = Layer().double(), clips()
    for _ in range(2):
        tokens = layer(tokens, attention)
    loss = tokens.square().mean()
    loss.backward()
    value, gradients = made[0]["layer"]
    torch.testing.assert_close(value, loss.detach(), rtol=0, atol=1e-12)
    for gradient, p in zip(gradients, layer.parameters(), strict=True):
        torch.testing.assert_close(gradient, p.grad, rtol=0, atol=1e-12)


def test_what_cannot_be_shared_out_is_refused(made):
    heads, lengths = made[1]
    assert "3 heads cannot be shared out among 2" in heads
    assert "holds 2 tokens" in lengths
