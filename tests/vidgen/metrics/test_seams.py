"""The seam measure: nothing where there is none, and it grows with the jump."""

from __future__ import annotations

import torch

from vidgen.metrics.seams import seam

RAMP = torch.arange(16.0).expand(1, 3, 2, 16, 16) / 16


def test_no_seam_is_zero():
    assert seam(RAMP, RAMP, columns=[8]) == 0


def test_a_step_at_the_seam_is_counted_over_the_natural_jump():
    stepped = RAMP + 2 / 16 * (torch.arange(16) >= 8)
    assert seam(stepped, RAMP, columns=[8]) == 2
    assert seam(stepped, RAMP, columns=[5]) == 0


def test_a_smooth_error_is_no_seam():
    assert seam(0.9 * RAMP, RAMP, columns=[8]) < 0.11
    turned = RAMP.transpose(-1, -2)
    assert seam(turned + (torch.arange(16)[:, None] >= 4) / 16, turned, rows=[4]) == 1
