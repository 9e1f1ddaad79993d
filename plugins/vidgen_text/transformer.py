"""A small pre-norm transformer over symbols, made to be trained from scratch together with a denoiser.

At the start it hands out the normalised sum of embedding and position, both of unit size: the blocks' last
layers are zero, so a denoiser finds the bare words from the first step on. Pre-norm after
https://arxiv.org/abs/2002.04745, residual branches that start at zero after https://arxiv.org/abs/2003.04887.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vidgen.interfaces import TextEmbedding, TextEncoder
from vidgen_text.config import SymbolConfig
from vidgen_text.prompts import check_prompts, warn_if_cut

__all__ = ["SymbolEncoder", "sine_positions"]


def sine_positions(length: int, width: int) -> Tensor:
    """Return sine and cosine positions ``[length, width]`` of unit size (root mean square 1).

    Wavelengths run from about 6 tokens to about 60 times the length.
    """
    rates = torch.exp(-torch.linspace(0, 1, width // 2) * torch.log(torch.tensor(10.0 * max(length, 1))))
    angles = torch.arange(length)[:, None] * rates[None, :]
    return torch.cat((angles.sin(), angles.cos()), dim=1) * 2**0.5


def _block(config: SymbolConfig) -> nn.TransformerEncoderLayer:
    block = nn.TransformerEncoderLayer(
        config.width,
        config.heads,
        dim_feedforward=4 * config.width,
        dropout=0.0,
        activation="gelu",
        batch_first=True,
        norm_first=True,
    )
    for last in (block.self_attn.out_proj, block.linear2):
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return block


class SymbolEncoder(TextEncoder):
    """Symbols to tokens; a subclass says which symbols a prompt has.

    Args:
        config: The configuration.
        symbols: Number of different symbols.
    """

    config: SymbolConfig
    positions: Tensor

    def __init__(self, config: SymbolConfig, symbols: int) -> None:
        super().__init__(config)
        self.embedding = nn.Embedding(symbols, config.width)
        self.register_buffer("positions", sine_positions(config.max_tokens, config.width), persistent=False)
        self.blocks = nn.ModuleList(_block(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    @abstractmethod
    def symbols(self, prompt: str) -> list[int]:
        """Return the symbols of a prompt, uncut; at least one, for the empty prompt too."""

    def encode(self, prompts: Sequence[str]) -> TextEmbedding:
        """Encode B prompts to the length of the longest; behind a prompt's end all is zero and masked."""
        limit = self.config.max_tokens
        rows = []
        for prompt in check_prompts(prompts):
            row = self.symbols(prompt)
            warn_if_cut(prompt, len(row), limit)
            rows.append(torch.tensor(row[:limit]))
        device = self.embedding.weight.device
        symbols = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1).to(device)
        text_mask = symbols >= 0
        x = self.embedding(symbols.clamp(min=0)) + self.positions[: symbols.shape[1]]
        for block in self.blocks:
            x = block(x, src_key_padding_mask=~text_mask)
        return TextEmbedding(self.norm(x) * text_mask[..., None], text_mask)
