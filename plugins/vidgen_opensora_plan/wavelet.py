"""Haar wavelets of videos and of frames, under the published tensor names.

Coefficients stand in the order of `KERNELS`: all channels of the first, then all of the second. The published
constant of the 3D transform is 0.3536, rounded, not ``1 / (2 sqrt 2)``.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vidgen.nn.ldm import per_frame
from vidgen_opensora_plan.causal import CausalConv3d
from vidgen_opensora_plan.stream import current, windows

__all__ = ["Haar2D", "Haar3D", "InverseHaar2D", "InverseHaar3D"]

# On the CPU even when a part is first made under another default device.
_PLUS, _MINUS = (torch.tensor([1.0, sign], device="cpu") for sign in (1.0, -1.0))


def _kernel(*axes: Tensor) -> Tensor:
    result = axes[0]
    for axis in axes[1:]:
        result = result[..., None] * axis
    return result[None, None]


KERNELS_2D = {
    "aa": _kernel(_PLUS, _PLUS) / 2,
    "ad": _kernel(_MINUS, _PLUS) / 2,
    "da": _kernel(_PLUS, _MINUS) / 2,
    "dd": _kernel(_MINUS, _MINUS) / 2,
}
KERNELS_3D = {
    name + end: _kernel(time, high, wide) * 0.3536
    for end, time in (("", _PLUS), ("_v", _MINUS))
    for name, high, wide in (
        ("h", _PLUS, _PLUS),
        ("g", _PLUS, _MINUS),
        ("hh", _MINUS, _PLUS),
        ("gh", _MINUS, _MINUS),
    )
}


class Haar3D(nn.Module):
    """Eight bands of a video; the first frame is repeated in front, so that 2 t - 1 frames give t."""

    def __init__(self) -> None:
        super().__init__()
        for name, kernel in KERNELS_3D.items():
            conv = CausalConv3d(1, 1, 2, 2, bias=False).requires_grad_(
                False
            )  # published as weights, never trained
            conv.conv.weight.copy_(kernel)
            self.add_module(f"{name}_conv", conv)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, 2t - 1, 2h, 2w]`` to ``[B, 8 C, t, h, w]``."""
        kernels = torch.cat([getattr(self, f"{name}_conv").conv.weight for name in KERNELS_3D])
        frames = windows(self, x, 2, 2)
        if frames.shape[2] == 0:
            return x.new_zeros(len(x), 8 * x.shape[1], 0, x.shape[3] // 2, x.shape[4] // 2)
        single = rearrange(frames, "b c t h w -> (b c) 1 t h w")
        bands = functional.conv3d(single, kernels.to(x.dtype), stride=2)
        return rearrange(bands, "(b c) k t h w -> b (k c) t h w", b=len(x))


class InverseHaar3D(nn.Module):
    """A video of its eight bands; t frames of bands give 2 t - 1."""

    def __init__(self) -> None:
        super().__init__()
        for name, kernel in KERNELS_3D.items():
            self.register_buffer(name, kernel.clone())

    def forward(self, bands: Tensor) -> Tensor:
        """Map ``[B, 8 C, t, h, w]`` to ``[B, C, 2t - 1, 2h, 2w]``."""
        stream, size = current(), bands.shape
        if size[2] == 0:
            return bands.new_zeros(len(bands), size[1] // 8, 0, 2 * size[3], 2 * size[4])
        head = 1 if stream is None or stream.memory.setdefault(self, True) else 0
        if stream is not None:
            stream.memory[self] = False
        kernels = torch.cat([getattr(self, name) for name in KERNELS_3D])
        single = rearrange(bands, "b (k c) t h w -> (b c) k t h w", k=len(kernels))
        video = functional.conv_transpose3d(single, kernels.to(bands.dtype), stride=2)
        return rearrange(video[:, :, head:], "(b c) 1 t h w -> b c t h w", b=len(bands))


class Haar2D(nn.Module):
    """Four bands of each frame."""

    def __init__(self) -> None:
        super().__init__()
        for name, kernel in KERNELS_2D.items():
            self.register_buffer(name, kernel.clone())

    @per_frame
    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, 2h, 2w]`` to ``[B, 4 C, h, w]``."""
        kernels = torch.cat([getattr(self, name) for name in KERNELS_2D])
        bands = functional.conv2d(rearrange(x, "b c h w -> (b c) 1 h w"), kernels.to(x.dtype), stride=2)
        return rearrange(bands, "(b c) k h w -> b (k c) h w", c=x.shape[1])


class InverseHaar2D(Haar2D):
    """Each frame of its four bands."""

    @per_frame
    def forward(self, bands: Tensor) -> Tensor:
        """Map ``[B, 4 C, h, w]`` to ``[B, C, 2h, 2w]``."""
        kernels = torch.cat([getattr(self, name) for name in KERNELS_2D])
        single = rearrange(bands, "b (k c) h w -> (b c) k h w", k=len(kernels))
        frames = functional.conv_transpose2d(single, kernels.to(bands.dtype), stride=2)
        return rearrange(frames, "(b c) 1 h w -> b c h w", c=bands.shape[1] // len(kernels))
