"""Words as the sum of vectors of their letter groups, after fastText (arXiv 1607.04606)."""

import warnings
import zlib

import torch
import vidgen
from torch import nn
from vidgen.errors import ConfigError


class NGrams(vidgen.TextEncoder):
    """One token a word, in order; the pooled vector is their mean."""

    def __init__(self, config):
        super().__init__(config)
        self.pieces = nn.EmbeddingBag(config.buckets, config.width, mode="sum")
        self.places = nn.Embedding(config.max_tokens, config.width)
        self.norm = nn.LayerNorm(config.width)

    def encode(self, prompts):
        good = isinstance(prompts, list | tuple) and prompts
        if not good or not all(isinstance(prompt, str) for prompt in prompts):
            raise ConfigError(f"encode() takes a list of prompts, not {prompts!r}.")
        rows, most = (
            [prompt.lower().split() or [""] for prompt in prompts],
            self.config.max_tokens,
        )
        if max(map(len, rows)) > most:
            warnings.warn(
                f"A prompt has more than {most} words; the rest is not read.",
                stacklevel=2,
            )
        counts = torch.tensor([min(len(row), most) for row in rows])
        groups = [self.groups(word) for row in rows for word in row[:most]]
        starts = torch.tensor([0, *map(len, groups)]).cumsum(0)[:-1]
        device = self.places.weight.device
        numbers = torch.tensor([number for group in groups for number in group])
        words = self.pieces(numbers.to(device), starts.to(device)).split(
            counts.tolist()
        )
        tokens = nn.utils.rnn.pad_sequence(words, batch_first=True)
        place = torch.arange(tokens.shape[1], device=device)
        mask = place < counts[:, None].to(device)
        tokens = self.norm(tokens + self.places(place)) * mask[..., None]
        return vidgen.TextEmbedding(
            tokens, mask, tokens.sum(1) / mask.sum(1, keepdim=True)
        )

    def groups(self, word):
        """Return the bucket of the whole word and of each group of 2 letters up to the longest."""
        marked = f"<{word}>"
        parts = [marked] + [
            marked[start : start + length]
            for length in range(2, self.config.longest + 1)
            for start in range(len(marked) - length + 1)
        ]
        return [
            zlib.crc32(part.encode("utf-8", "replace")) % self.config.buckets
            for part in parts
        ]
