"""Gradient checkpointing: less is kept, nothing else changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import vidgen
from vidgen.config import Config
from vidgen.errors import ConfigError
from vidgen.interfaces import Condition, TextEmbedding
from vidgen.nn import Segments, attention, attention_backend
from vidgen.nn.attention import Loop
from vidgen.nn.blocks import blocks_of
from vidgen.train.config import TrainConfig
from vidgen.train.memory import checkpoint_blocks


def learn(denoiser):
    """Return the loss, the gradients and the bytes of activations kept of one look at some latents."""
    contract = denoiser.config.contract()
    chance = torch.Generator().manual_seed(0)
    latents = torch.randn(2, contract.latent_channels or 4, 4, 8, 8, generator=chance)
    width = contract.text.width or 16
    text = TextEmbedding(
        torch.randn(2, 5, width, generator=chance), torch.ones(2, 5, dtype=torch.bool),
        torch.randn(2, contract.text.pooled_width, generator=chance) if contract.text.pooled_width else None,
    )  # fmt: skip
    torch.manual_seed(2)  # of dropout
    kept: dict[int, int] = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        prepared = denoiser.prepare(text, Condition(), vidgen.Size(4, 8, 8))
        value = denoiser(latents, torch.tensor([0.3, 0.8]), prepared).value
        loss = (value - 1).square().mean()
    loss.backward()
    gradients = {name: p.grad for name, p in denoiser.named_parameters() if p.grad is not None}
    return loss.detach(), gradients, sum(kept.values())


@pytest.mark.parametrize("name", vidgen.list_components("denoiser"))
def test_checkpointing_changes_nothing_but_memory(name):
    torch.manual_seed(0)
    plain = vidgen.create("denoiser", f"{name}/tiny").train()
    torch.manual_seed(1)
    for p in plain.parameters():  # so that gates which start at zero let gradients through
        nn.init.normal_(p, std=0.05)
    again = vidgen.create("denoiser", f"{name}/tiny").train()
    again.load_state_dict(plain.state_dict())
    checkpoint_blocks(again)
    assert again.state_dict().keys() == plain.state_dict().keys()
    (loss, gradients, kept), (loss2, gradients2, kept2) = learn(plain), learn(again)
    assert torch.equal(loss, loss2)
    assert gradients.keys() == gradients2.keys()
    for key, gradient in gradients.items():
        torch.testing.assert_close(gradients2[key], gradient, rtol=1e-5, atol=1e-7)
    assert kept2 < 0.9 * kept


def test_blocks_are_the_members_of_the_outermost_lists():
    inner = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1)])
    nested = nn.ModuleList([nn.Sequential(nn.ModuleList([nn.Linear(1, 1)])), inner])
    module = nn.Sequential(nn.Linear(1, 1), nn.ModuleDict({"deep": nested}))
    assert blocks_of(module) == [nested[0], *inner]


def test_without_blocks_it_says_so():
    with pytest.raises(ConfigError, match="no blocks"):
        checkpoint_blocks(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": ["autoencoder"], "checkpointing": True}, "for denoisers"),
        ({"shard": True, "optimizer": "muon"}, "optimizer = 'adamw'"),
        ({"global_batches": 4, "accumulate": 2}, "name one of them"),
    ],
)
def test_what_does_not_go_together_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TrainConfig.from_dict(settings)


def test_going_backward_a_block_sees_what_was_chosen_for_it():
    class Block(nn.Module):
        def forward(self, x):
            return attention(x, x, x, Segments.of([1, 2, 3]))

    seen = []

    class Watched(Loop):
        def packed(self, q, k, v, segments):
            seen.append(len(seen))
            return super().packed(q, k, v, segments)

    holder = nn.Module()
    holder.blocks = nn.ModuleList([Block()])
    checkpoint_blocks(holder)
    with attention_backend(Watched(Config())):
        made = holder.blocks[0](torch.randn(1, 2, 6, 4, requires_grad=True))
    made.sum().backward()
    assert len(seen) == 2
