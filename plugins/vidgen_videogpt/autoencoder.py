"""`videogpt-vqvae`: videos as grids of discrete codes.

VideoGPT (https://arxiv.org/abs/2104.10157): strided convolutions, residual blocks with attention along each axis,
and a codebook that follows running means (https://arxiv.org/abs/1711.00937, appendix; restarts of unused codes as in
https://arxiv.org/abs/2005.00341). Tensor names are the published ones. Its own video range is [-0.5, 0.5].
Letters: B batch, C channels, N vectors, K codes.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vidgen import PublishedLayout
from vidgen.errors import VideoError
from vidgen.interfaces import NormalisedAutoencoder
from vidgen.nn import attention
from vidgen_videogpt.config import VideoGPTVQVAEConfig

__all__ = ["VideoGPTVQVAE"]

RANGE = 0.5
"""Its videos lie in [-RANGE, RANGE]."""
HEADS = 2
ROWS = 16384
"""Vectors that are compared with all codes at once: bounds the memory of long videos."""
AXES = {
    "w": ("b t h w (n d) -> (b t h) n w d", "(b t h) n w d -> b t h w (n d)"),
    "h": ("b t h w (n d) -> (b t w) n h d", "(b t w) n h d -> b t h w (n d)"),
    "t": ("b t h w (n d) -> (b h w) n t d", "(b h w) n t d -> b t h w (n d)"),
}


class SamePadConv3d(nn.Module):
    """A convolution that gives ``size / stride``: zeros on both sides, the odd one in front."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: tuple[int, int, int] = (1, 1, 1),
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.pad = _same_pad(kernel, stride)
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, T, H, W]``."""
        return self.conv(functional.pad(x, self.pad))


class SamePadConvTranspose3d(nn.Module):
    """A transposed convolution that gives ``size * stride``."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: tuple[int, int, int]) -> None:
        super().__init__()
        self.pad = _same_pad(kernel, stride)
        self.convt = nn.ConvTranspose3d(inputs, outputs, kernel, stride, padding=kernel - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, t, h, w]``."""
        return self.convt(functional.pad(x, self.pad))


class AxisAttention(nn.Module):
    """Two heads of attention along one axis."""

    def __init__(self, width: int, axis: str) -> None:
        super().__init__()
        self.axis = axis
        self.w_qs, self.w_ks, self.w_vs = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.fc = nn.Linear(width, width)
        for layer in (self.w_qs, self.w_ks, self.w_vs, self.fc):
            nn.init.normal_(layer.weight, std=width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``[B, T, H, W, C]`` along the axis."""
        split, join = AXES[self.axis]
        sizes = dict(zip("bthw", x.shape[:-1], strict=True))
        del sizes[self.axis]
        q, k, v = (rearrange(layer(x), split, n=HEADS) for layer in (self.w_qs, self.w_ks, self.w_vs))
        return self.fc(rearrange(attention(q, k, v), join, **sizes))


class AxialBlock(nn.Module):
    """The sum of attention along width, height and time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn_w, self.attn_h, self.attn_t = (AxisAttention(width, axis) for axis in "wht")

    def forward(self, x: Tensor) -> Tensor:
        """Mix ``[B, C, T, H, W]``."""
        x = rearrange(x, "b c t h w -> b t h w c")
        return rearrange(self.attn_w(x) + self.attn_h(x) + self.attn_t(x), "b t h w c -> b c t h w")


class AttentionResidualBlock(nn.Module):
    """Two convolutions and axial attention, added to their input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.block = nn.Sequential(
            nn.BatchNorm3d(width),
            nn.ReLU(),
            SamePadConv3d(width, half, 3, bias=False),
            nn.BatchNorm3d(half),
            nn.ReLU(),
            SamePadConv3d(half, width, 1, bias=False),
            nn.BatchNorm3d(width),
            nn.ReLU(),
            AxialBlock(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Refine ``[B, C, T, H, W]``."""
        return x + self.block(x)


def _residual_stack(width: int, depth: int) -> nn.Sequential:
    blocks = [AttentionResidualBlock(width) for _ in range(depth)]
    return nn.Sequential(*blocks, nn.BatchNorm3d(width), nn.ReLU())


class Encoder(nn.Module):
    """Strided convolutions, then residual blocks."""

    def __init__(self, width: int, depth: int, strides: tuple[int, int, int]) -> None:
        super().__init__()
        steps = _halvings(strides)
        self.convs = nn.ModuleList(
            SamePadConv3d(width if index else 3, width, 4, stride) for index, stride in enumerate(steps)
        )
        self.conv_last = SamePadConv3d(width, width, 3)
        self.res_stack = _residual_stack(width, depth)

    def forward(self, x: Tensor) -> Tensor:
        """Map pixels to ``[B, width, t, h, w]``."""
        for conv in self.convs:
            x = functional.relu(conv(x))
        return self.res_stack(self.conv_last(x))


class Decoder(nn.Module):
    """Residual blocks, then transposed convolutions."""

    def __init__(self, width: int, depth: int, strides: tuple[int, int, int]) -> None:
        super().__init__()
        self.res_stack = _residual_stack(width, depth)
        steps = _halvings(strides)
        self.convts = nn.ModuleList(
            SamePadConvTranspose3d(width, 3 if index == len(steps) - 1 else width, 4, stride)
            for index, stride in enumerate(steps)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, width, t, h, w]`` to pixels."""
        x = self.res_stack(x)
        for index, convt in enumerate(self.convts):
            x = convt(functional.relu(x) if index else x)
        return x


class Codebook(nn.Module):
    """Codes that follow the running means of the vectors nearest to them; unused ones start anew.

    Args:
        codes: Number K.
        width: Width C of a vector.
        decay: Of the running means.
    """

    embeddings: Tensor
    N: Tensor
    z_avg: Tensor

    def __init__(self, codes: int, width: int, decay: float) -> None:
        super().__init__()
        self.decay = decay
        start = torch.randn(codes, width)
        self.register_buffer("embeddings", start)
        self.register_buffer("N", torch.zeros(codes))
        self.register_buffer("z_avg", start.clone())

    def nearest(self, vectors: Tensor) -> Tensor:
        """Return the codes ``[N]`` nearest to vectors ``[N, C]``."""
        table = self.embeddings.float()
        half = table.square().sum(1) / 2
        with torch.no_grad(), torch.autocast(vectors.device.type, enabled=False):
            return torch.cat(
                [torch.addmm(half, part.float(), table.T, alpha=-1).argmin(1) for part in vectors.split(ROWS)]
            )

    @torch.no_grad()
    def start(self, vectors: Tensor) -> None:
        """Begin from vectors ``[N, C]`` drawn from data."""
        chosen = self._draw(vectors.float())
        self.embeddings.copy_(chosen)
        self.z_avg.copy_(chosen)
        self.N.fill_(1)

    @torch.no_grad()
    def follow(self, vectors: Tensor, codes: Tensor) -> None:
        """Move the codes towards the means of the vectors that chose them, over all processes."""
        vectors = vectors.float()
        counts = torch.bincount(codes, minlength=len(self.N)).to(self.N)
        sums = torch.zeros_like(self.z_avg).index_add_(0, codes, vectors.to(self.z_avg))
        if torch.distributed.is_initialized():
            torch.distributed.all_reduce(counts)
            torch.distributed.all_reduce(sums)
        self.N.lerp_(counts, 1 - self.decay)
        self.z_avg.lerp_(sums, 1 - self.decay)
        total = self.N.sum()
        smooth = (self.N + 1e-7) / (total + len(self.N) * 1e-7) * total
        used = self.N[:, None] >= 1
        self.embeddings.copy_(torch.where(used, self.z_avg / smooth[:, None], self._draw(vectors)))

    def _draw(self, vectors: Tensor) -> Tensor:
        """Draw a vector for each code, the same in all processes; too few are repeated with a little noise."""
        count, width = vectors.shape
        if count < len(self.N):
            vectors = vectors.repeat(-(-len(self.N) // count), 1)
            vectors = vectors + torch.randn_like(vectors) * 0.01 / width**0.5
        drawn = vectors[torch.randperm(len(vectors), device=vectors.device)[: len(self.N)]].to(self.z_avg)
        if torch.distributed.is_initialized():
            torch.distributed.broadcast(drawn, 0)
        return drawn


class VideoGPTVQVAE(NormalisedAutoencoder, PublishedLayout):
    """Frames and sides that divide by the strides; latents are the vectors of the codes.

    Args:
        config: Widths, strides and the codebook.
    """

    config: VideoGPTVQVAEConfig

    def __init__(self, config: VideoGPTVQVAEConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config.width, config.depth, config.strides)
        self.decoder = Decoder(config.width, config.depth, config.strides)
        self.pre_vq_conv = SamePadConv3d(config.width, config.latent_channels, 1)
        self.post_vq_conv = SamePadConv3d(config.latent_channels, config.width, 1)
        self.codebook = Codebook(config.codes, config.latent_channels, config.decay)

    def codes(self, video: Tensor) -> Tensor:
        """Return the codes ``[B, t, h, w]`` of a video ``[B, 3, T, H, W]`` in [-1, 1]."""
        self.check_video(video)
        return self._nearest(self._vectors(RANGE * video))

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Return the video of codes ``[B, t, h, w]``.

        Raises:
            VideoError: For another shape, or codes that the codebook does not have.
        """
        if codes.ndim != 4 or codes.is_floating_point() or 0 in codes.shape:
            raise VideoError(f"Codes are whole numbers [B, t, h, w], not {codes.dtype} {list(codes.shape)}.")
        if int(codes.min()) < 0 or int(codes.max()) >= self.config.codes:
            raise VideoError(f"Codes lie in [0, {self.config.codes}), not up to {int(codes.max())}.")
        return self._pixels(self._embedded(codes)) / RANGE

    def raw_latents(self, video: Tensor) -> Tensor:
        """Return the vectors of the codes ``[B, C, t, h, w]``."""
        return self._embedded(self._nearest(self._vectors(RANGE * video))).to(video.dtype)

    def pixels(self, raw: Tensor) -> Tensor:
        """Return the video of the codes nearest to vectors ``[B, C, t, h, w]``."""
        return self._pixels(self._embedded(self._nearest(raw)).to(raw.dtype)) / RANGE

    def forward_train(self, video: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the reconstruction and the weighted ``commitment``; in training mode the codes follow."""
        self.check_video(video)
        vectors = self._vectors(RANGE * video)
        codes = self._nearest(vectors)
        chosen = self._embedded(codes).to(vectors.dtype)
        commitment = functional.mse_loss(vectors.float(), chosen.float())
        if self.training:
            self.codebook.follow(rearrange(vectors.detach(), "b c t h w -> (b t h w) c"), codes.flatten())
        straight = vectors + (chosen - vectors).detach()
        return self._pixels(straight) / RANGE, {"commitment": self.config.commitment * commitment}

    @torch.no_grad()
    def start_from_data(self, videos: Iterable[Tensor]) -> None:
        """Let the codes be vectors that the fresh encoder gives for some videos."""
        vectors = [rearrange(self._vectors(RANGE * video), "b c t h w -> (b t h w) c") for video in videos]
        if vectors:
            self.codebook.start(torch.cat(vectors))

    def published_forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Take ``video`` in [-0.5, 0.5]; return ``pre_quant`` vectors, ``codes`` and ``decoded``."""
        vectors = self._vectors(inputs["video"])
        codes = self._nearest(vectors)
        return {"pre_quant": vectors, "codes": codes, "decoded": self._pixels(self._embedded(codes))}

    def _vectors(self, video: Tensor) -> Tensor:
        return self.pre_vq_conv(self.encoder(video))

    def _nearest(self, vectors: Tensor) -> Tensor:
        flat = self.codebook.nearest(rearrange(vectors, "b c t h w -> (b t h w) c"))
        b, _, t, h, w = vectors.shape
        return rearrange(flat, "(b t h w) -> b t h w", b=b, t=t, h=h, w=w)

    def _embedded(self, codes: Tensor) -> Tensor:
        return rearrange(functional.embedding(codes, self.codebook.embeddings), "b t h w c -> b c t h w")

    def _pixels(self, vectors: Tensor) -> Tensor:
        return self.decoder(self.post_vq_conv(vectors))


def _same_pad(kernel: int, stride: tuple[int, int, int]) -> list[int]:
    """Return zeros before and after each axis, last axis first, as `functional.pad` wants them."""
    return [side for step in reversed(stride) for side in (-(-(kernel - step) // 2), (kernel - step) // 2)]


def _halvings(strides: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """Return the strides of each convolution: an axis is halved as often as its stride says, at the beginning."""
    counts = [stride.bit_length() - 1 for stride in strides]
    steps = [tuple(2 if count > index else 1 for count in counts) for index in range(max(counts))]
    return [(a, b, c) for a, b, c in steps]
