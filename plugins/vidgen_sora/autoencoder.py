"""A causal convolutional KL autoencoder for video and images, strides 4x8x8.

The first frame is repeated three times in front, so that 1 + 4k frames make 1 + k whole groups of four and
an image is one group. Blocks of 4x8x8 pixels go through a linear map (which can start as the PCA of such
blocks, see `pca.py`) to which a net of causal convolutions on the latent grid adds what depends on the
neighbours and on the past; the decoder mirrors it. Nothing mixes positions but those convolutions, so a clip
can be coded piece by piece, exactly, at every length, by keeping the last frame each convolution has seen.

Causal video coding follows MAGVIT-v2 (arXiv 2310.05737) and the reports on Sora-like systems (Open-Sora Plan,
arXiv 2412.00131); residual blocks without norms follow EDSR (arXiv 1707.02921).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vidgen.errors import VideoError
from vidgen.interfaces import VideoAutoencoder
from vidgen.size import Size
from vidgen_sora.blocks import BLOCK_VALUES, from_blocks, repeat_first, to_blocks
from vidgen_sora.config import TIME_STRIDE, SoraVAEConfig
from vidgen_sora.pca import fit_pca

__all__ = ["SoraVAE"]

STREAM_GROUPS = 4
"""Latent frames that are coded at once in a stream: bounds its memory whatever the length of the pieces."""

History = dict[nn.Module, Tensor]
"""The last frame that each causal convolution has seen of a stream."""


class CausalConv(nn.Module):
    """A 2x3x3 convolution over ``[B, t, h, w, C]`` that sees this frame and the one before (zeros at first).

    Its weight is kept as a matrix ``[out, in * 18]``, so that optimisers for matrices (Muon) take it.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        layer = nn.Linear(inputs * 18, outputs)
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor, history: History | None) -> Tensor:
        """Return ``[B, t, h, w, out]``; `history` continues a stream and is updated."""
        before = None if history is None else history.get(self)
        if history is not None:
            history[self] = x[:, -1:]
        x = torch.cat([torch.zeros_like(x[:, :1]) if before is None else before, x], dim=1)
        kernel = self.weight.view(len(self.weight), -1, 2, 3, 3)
        # Channels lie last in memory, which is what convolutions on CPUs and tensor cores like best.
        return functional.conv3d(x.movedim(-1, 1), kernel, self.bias, padding=(0, 1, 1)).movedim(1, -1)


class ResidualBlock(nn.Module):
    """``x + linear(silu(conv(x)))``; starts as the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.out = CausalConv(width, width), zeroed(nn.Linear(width, width))

    def forward(self, x: Tensor, history: History | None) -> Tensor:
        """Map ``[B, t, h, w, width]`` to the same shape."""
        return x + self.out(functional.silu(self.conv(x, history)))


class ResidualNet(nn.Module):
    """A stem, residual blocks and a head that starts at zero, on the latent grid."""

    def __init__(self, stem: nn.Module, width: int, depth: int, outputs: int) -> None:
        super().__init__()
        self.stem = stem
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(depth))
        self.head = zeroed(nn.Linear(width, outputs))

    def forward(self, x: Tensor, history: History | None) -> Tensor:
        """Map ``[B, t, h, w, inputs]`` to ``[B, t, h, w, outputs]``."""
        x = self.stem(x, history) if isinstance(self.stem, CausalConv) else self.stem(x)
        for block in self.blocks:
            x = block(x, history)
        return self.head(functional.silu(x))


class SoraVAE(VideoAutoencoder):
    """The flagship video autoencoder: 1 + 4k frames, sides that divide by 8, 16 channels by default.

    Args:
        config: Widths, depths and training weights.
    """

    config: SoraVAEConfig
    latent_mean: Tensor
    latent_std: Tensor

    def __init__(self, config: SoraVAEConfig) -> None:
        super().__init__(config)
        channels, wide = config.latent_channels, config.decoder_width
        self.encoder_linear = nn.Linear(BLOCK_VALUES, channels)
        self.decoder_linear = nn.Linear(channels, BLOCK_VALUES)
        stem = nn.Linear(BLOCK_VALUES, config.encoder_width)
        self.encoder = ResidualNet(stem, config.encoder_width, config.encoder_depth, 2 * channels)
        self.decoder = ResidualNet(CausalConv(channels, wide), wide, config.decoder_depth, BLOCK_VALUES)
        with torch.no_grad():
            # The posterior starts narrow: a deviation of about 0.02 in units of whitened PCA latents.
            self.encoder.head.bias[channels:] = -8.0
        self.register_buffer("latent_mean", torch.zeros(channels))
        self.register_buffer("latent_std", torch.ones(channels))

    def encode(self, video: Tensor) -> Tensor:
        """Return the posterior's mode ``[B, C, t, h, w]``, normalised, of ``[B, 3, T, H, W]`` in [-1, 1].

        Raises:
            VideoError: When the tensor has another form.
            SizeError: When the size does not fit; names the nearest ones.
        """
        self.check_video(video)
        return self._normalised(self._posterior(repeat_first(video), None)[0]).to(video.dtype)

    def decode(self, latents: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Return the video ``[B, 3, T, H, W]`` of normalised latents ``[B, C, t, h, w]``; it draws no noise.

        Raises:
            VideoError: When the latents have another form.
        """
        self._check_latents(latents)
        return self._decoded(self._denormalised(latents), None)[:, :, TIME_STRIDE - 1 :]

    def forward_train(self, video: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the reconstruction from a posterior sample, and the weighted ``kl`` (mean over latents)."""
        self.check_video(video)
        mean, variance = self._posterior(repeat_first(video), None)
        sample = (mean + variance.sqrt() * torch.randn_like(mean)).to(video.dtype)
        kl = 0.5 * (mean.square() + variance - 1 - variance.log()).mean()
        made = self._decoded(rearrange(sample, "b t h w c -> b c t h w"), None)
        return made[:, :, TIME_STRIDE - 1 :], {"kl": self.config.kl_weight * kl}

    def encode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Encode a clip that arrives in pieces; equal to `encode` of the whole, in bounded memory.

        Args:
            pieces: Parts ``[B, 3, T_i, H, W]`` of one clip in order, of any lengths that add up to 1 + 4k.

        Yields:
            Parts of the latents in order.

        Raises:
            SizeError: At the end, when the frames did not add up to 1 + 4k.
        """
        history: History = {}
        waiting: Tensor | None = None
        frames = 0
        for piece in pieces:
            self.check_video(piece, whole=False)
            frames += piece.shape[2]
            waiting = repeat_first(piece) if waiting is None else torch.cat([waiting, piece], dim=2)
            whole = waiting.shape[2] // TIME_STRIDE * TIME_STRIDE
            for part in waiting[:, :, :whole].split(STREAM_GROUPS * TIME_STRIDE, dim=2):
                if part.shape[2]:
                    yield self._normalised(self._posterior(part, history)[0]).to(piece.dtype)
            waiting = waiting[:, :, whole:]
        if waiting is not None and waiting.shape[2]:
            self.check_size(Size(frames, *waiting.shape[3:]))

    def decode_stream(self, pieces: Iterable[Tensor]) -> Iterator[Tensor]:
        """Decode latents that arrive in pieces ``[B, C, t_i, h, w]``; equal to `decode` of the whole.

        Yields:
            Parts of the video in order.
        """
        history: History = {}
        drop = TIME_STRIDE - 1
        for piece in pieces:
            self._check_latents(piece)
            for part in piece.split(STREAM_GROUPS, dim=2):
                yield self._decoded(self._denormalised(part), history)[:, :, drop:]
                drop = 0

    @torch.no_grad()
    def start_from_data(self, videos: Iterable[Tensor]) -> None:
        """Let the linear maps be the whitened components of videos: training starts from the best linear code.

        While the residual nets give zero, a fresh part then equals `BlockPCA.reconstruct`.
        """
        pca = fit_pca(videos, self.config.latent_channels)
        whiten = (pca.basis / pca.std).T
        self.encoder_linear.weight.copy_(whiten)
        self.encoder_linear.bias.copy_(-whiten @ pca.mean)
        self.decoder_linear.weight.copy_(pca.basis * pca.std)
        self.decoder_linear.bias.copy_(pca.mean)

    def normalisation(self) -> tuple[Tensor, Tensor]:
        """Return the mean and the deviation of the declared affine, ``[C]`` each."""
        return self.latent_mean.clone(), self.latent_std.clone()

    @torch.no_grad()
    def set_normalisation(self, mean: Tensor, std: Tensor) -> None:
        """Declare the affine of the latents: `encode` gives ``(raw - mean) / std``, with ``[C]`` each.

        Raises:
            VideoError: When a value is not finite or a deviation not positive.
        """
        if not (mean.isfinite().all() and std.isfinite().all() and (std > 0).all()):
            raise VideoError(
                "Latent normalisation needs finite means and positive deviations; check the data."
            )
        self.latent_mean.copy_(mean)
        self.latent_std.copy_(std)

    def _posterior(self, video: Tensor, history: History | None) -> tuple[Tensor, Tensor]:
        """Return mean and variance ``[B, t, h, w, C]`` of whole groups of frames ``[B, 3, 4t, H, W]``."""
        blocks = to_blocks(video)
        mean, log_variance = self.encoder(blocks, history).float().chunk(2, dim=-1)
        mean = mean + self.encoder_linear(blocks).float()
        return mean, self.config.noise**2 + log_variance.clamp(max=10.0).exp()

    def _decoded(self, latents: Tensor, history: History | None) -> Tensor:
        """Return all four frames of each latent frame of ``[B, C, t, h, w]`` before normalisation."""
        grid = rearrange(latents, "b c t h w -> b t h w c").contiguous()
        return from_blocks(self.decoder_linear(grid) + self.decoder(grid, history))

    def _normalised(self, mean: Tensor) -> Tensor:
        return rearrange((mean - self.latent_mean) / self.latent_std, "b t h w c -> b c t h w")

    def _denormalised(self, latents: Tensor) -> Tensor:
        shape = (1, -1, 1, 1, 1)
        return latents * self.latent_std.view(shape).to(latents) + self.latent_mean.view(shape).to(latents)

    def _check_latents(self, latents: Tensor) -> None:
        channels = self.config.latent_channels
        if latents.ndim != 5 or latents.shape[1] != channels or 0 in latents.shape:
            raise VideoError(
                f"Latents of this sora-vae are [B, {channels}, t, h, w], not {list(latents.shape)}."
            )


def zeroed(layer: nn.Linear) -> nn.Linear:
    """Return the layer with zero weights and biases."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
