"""Every shipped denoiser, shared out between two processes over gloo, has the loss and the gradients of one process."""

from __future__ import annotations

import os

import pytest
import torch
import torch.distributed as dist
from torch import nn

import vidgen
from vidgen.interfaces import Condition, TextEmbedding
from vidgen.train.memory import checkpoint_blocks, shard, whole

DENOISERS = vidgen.list_components("denoiser")

pytestmark = pytest.mark.slow


class Look(nn.Module):
    """An objective: one look at some latents."""

    def __init__(self, name):
        super().__init__()
        torch.manual_seed(0)
        self.denoiser = vidgen.create("denoiser", f"{name}/tiny").train()
        for p in self.denoiser.parameters():  # so that gates which start at zero let gradients through
            nn.init.normal_(p, std=0.05)
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0

    def forward(self, samples):
        contract, chance = self.denoiser.config.contract(), torch.Generator().manual_seed(0)
        latents = torch.randn(2, contract.latent_channels or 4, 4, 8, 8, generator=chance)[samples]
        tokens = torch.randn(2, 5, contract.text.width or 16, generator=chance)[samples]
        pooled = torch.randn(2, contract.text.pooled_width or 1, generator=chance)[samples]
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool)
        text = TextEmbedding(tokens, mask, pooled if contract.text.pooled_width else None)
        prepared = self.denoiser.prepare(text, Condition(), vidgen.Size(4, 8, 8))
        value = self.denoiser(latents, torch.tensor([0.3, 0.8])[samples], prepared).value
        return (value - 1).square().mean()


def work(number, count, folder):
    """Be one of the processes: look at one of the two samples."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=number, world_size=count)
    page = {}
    for name in DENOISERS:
        alone, shared = Look(name), Look(name)
        loss = alone(slice(None))
        loss.backward()
        checkpoint_blocks(shared.denoiser)
        shard(shared)
        half = shared(slice(number, number + 1))
        half.backward()
        dist.all_reduce(half)
        pairs = list(zip(shared.parameters(), alone.parameters(), strict=True))
        assert all((p.grad is None) == (q.grad is None) for p, q in pairs)
        pairs = [pair for pair in pairs if pair[0].grad is not None]
        page[name] = {
            "losses": (float(loss), float(half) / count),
            "largest": max(float(q.grad.abs().max()) for _, q in pairs),
            "error": max(float((whole(p.grad) - q.grad).abs().max()) for p, q in pairs),
            "held": sum(p.to_local().numel() for p in shared.parameters())
            / sum(p.numel() for p in alone.parameters()),
        }
    if number == 0:
        torch.save(page, f"{folder}/page.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sharding")
    torch.multiprocessing.spawn(work, (2, str(folder)), nprocs=2)
    return torch.load(folder / "page.pt", weights_only=True)


@pytest.mark.parametrize("name", DENOISERS)
def test_loss_and_gradients_are_those_of_one_process(name, page):
    row = page[name]
    assert row["losses"][1] == pytest.approx(row["losses"][0], abs=1e-6)
    assert row["error"] < 1e-5 * row["largest"], row
    assert row["held"] < 0.55
