"""Modules of Wan's autoencoder against their plain forms."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vidgen_wan.causal import DoublingConv2d


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (8, 4)])
def test_a_doubling_convolution_is_one_of_the_doubled_picture(height, width):
    torch.manual_seed(0)
    conv = DoublingConv2d(6, 4).double()
    x = torch.randn(2, 6, height, width, dtype=torch.float64, requires_grad=True)
    plain = nn.functional.conv2d(
        nn.functional.interpolate(x, scale_factor=2, mode="nearest-exact"), conv.weight, conv.bias, padding=1
    )
    made = conv(x)
    torch.testing.assert_close(made, plain)
    pull = torch.randn_like(plain)
    wanted = torch.autograd.grad(plain, (x, *conv.parameters()), pull)
    torch.testing.assert_close(torch.autograd.grad(made, (x, *conv.parameters()), pull), wanted)


def test_its_weights_are_added_up_in_float32():
    torch.manual_seed(0)
    conv = DoublingConv2d(8, 8).bfloat16()
    x = torch.randn(1, 8, 6, 6).bfloat16()
    exact = nn.functional.conv2d(
        nn.functional.interpolate(x.double(), scale_factor=2, mode="nearest-exact"),
        conv.weight.double(),
        conv.bias.double(),
        padding=1,
    )
    assert (conv(x).double() - exact).abs().max() < 2**-7 * exact.abs().max()
