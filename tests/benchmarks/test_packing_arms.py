"""The arms of the packing benchmark learn the same: packed, padded and bucketed have one loss and one gradient."""

from __future__ import annotations

import pytest
import torch

import vidgen
from benchmarks.packing import CHANNELS, LATENTS, WIDTH, bucketed, draw, packed, padded


def test_all_arms_have_the_same_loss_and_gradients():
    torch.manual_seed(0)
    part = vidgen.create("denoiser", "sora-dit/tiny", latent_channels=CHANNELS, text_width=WIDTH).train()
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    whole, kinds = draw(1), len(LATENTS)
    mixed = [whole.pick(list(range(start, start + 4))) for start in range(0, 16, 4)]
    alike = [whole.pick(list(range(kind, 16, kinds))) for kind in range(kinds)]
    arms = {"packed": (packed, mixed), "padded": (padded, mixed), "bucketed": (bucketed, alike)}
    found = {}
    for name, (arm, batches) in arms.items():
        loss = torch.stack([arm(part, batch)() for batch in batches]).mean()
        loss.backward()
        found[name] = (loss.item(), part.blocks[0].mix.qkv.weight.grad.clone())
        part.zero_grad()
    for name in ("padded", "bucketed"):
        assert found[name][0] == pytest.approx(found["packed"][0], rel=1e-5)
        torch.testing.assert_close(found[name][1], found["packed"][1], rtol=1e-3, atol=1e-7)
