"""A U of 3D convolutions: fine and coarse in space, joined by a skip, modulated by time and text.

After the U-Net of DDPM (arXiv 2006.11239) and ConvNeXt's blocks (arXiv 2201.03545); no attention anywhere.
"""

import torch
import vidgen
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """A depthwise convolution over 3x5x5 and a perceptron, scaled and shifted by time and text."""

    def __init__(self, width):
        super().__init__()
        self.mix = nn.Conv3d(width, width, (3, 5, 5), padding=(1, 2, 2), groups=width)
        self.norm = nn.GroupNorm(1, width)
        self.modulation = nn.Linear(width, 2 * width)
        self.rise, self.fall = (
            nn.Conv3d(width, 3 * width, 1),
            nn.Conv3d(3 * width, width, 1),
        )

    def forward(self, x, c):
        scale, shift = self.modulation(c)[:, :, None, None, None].chunk(2, dim=1)
        hidden = self.norm(self.mix(x)) * (1 + scale) + shift
        return x + self.fall(functional.gelu(self.rise(hidden)))


class ConvNet(vidgen.Denoiser):
    """Any size: what halving in space does not divide is padded inside and cropped back."""

    def __init__(self, config):
        super().__init__(config)
        known, width = config.follow(), config.width
        self.enter = nn.Conv3d(known.latent_channels, width, 3, padding=1)
        self.time = nn.Sequential(
            nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.text = nn.Sequential(
            nn.Linear(known.text_width, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.down = nn.Conv3d(width, width, (1, 2, 2), stride=(1, 2, 2))
        self.fine, self.coarse, self.last = (
            nn.ModuleList(Block(width) for _ in range(config.depth)) for _ in range(3)
        )
        self.up = nn.ConvTranspose3d(width, width, (1, 2, 2), stride=(1, 2, 2))
        self.leave = nn.Conv3d(width, known.latent_channels, 1)

    def prepare(self, text, condition, size):
        condition.check(self.config.contract(), "convnet")
        mask = text.text_mask[..., None]
        count = mask.sum(1).clamp(min=1).sqrt().to(text.tokens.dtype)
        return self.text(text.tokens.masked_fill(~mask, 0)).mul(mask).sum(1) / count

    def forward(self, x, time, prepared):
        height, width = x.shape[3:]
        rates = torch.pi * 2.0 ** (torch.arange(32, device=time.device) / 4)
        angles = time.float()[:, None] * rates
        c = functional.silu(
            self.time(torch.cat((angles.cos(), angles.sin()), 1).to(x.dtype)) + prepared
        )
        x = functional.pad(x, (0, width % 2, 0, height % 2, 0, 0), mode="replicate")
        x = self.enter(x)
        for block in self.fine:
            x = block(x, c)
        coarse = self.down(x)
        for block in self.coarse:
            coarse = block(coarse, c)
        x = x + self.up(coarse)
        for block in self.last:
            x = block(x, c)
        return vidgen.Prediction(
            self.leave(functional.silu(x))[:, :, :, :height, :width]
        )
