"""Two text encoders as one: the tokens of the first, the pooled vector of the second."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidgen.interfaces import TextEmbedding, TextEncoder
from vidgen.sampling.assembly import make
from vidgen_text.config import JointConfig

__all__ = ["JointEncoder"]


class JointEncoder(TextEncoder):
    """What HunyuanVideo (https://arxiv.org/abs/2412.03603) and its like read.

    Args:
        config: Both encoders by name.
    """

    config: JointConfig
    tokens: Any
    pooled: Any

    def __init__(self, config: JointConfig) -> None:
        super().__init__(config)
        slots = {"tokens": config.tokens_slot, "pooled": config.pooled_slot}
        self.tokens, self.pooled = (make(slot) for slot in slots.values())
        if all(part.origin != "random" for part in (self.tokens, self.pooled)):
            self.origin = f"{self.tokens.origin} + {self.pooled.origin}"
        # What is saved from here on has the weights of both.
        loaded = {field: getattr(self, field).config for field, slot in slots.items() if slot.trained}
        self.config = config.replace(**loaded)

    def save_files(self, folder: Path) -> None:
        """Write what both have beside their tensors, each into a folder of its own."""
        for field in ("tokens", "pooled"):
            part = getattr(self, field)
            if hasattr(part, "save_files"):
                part.save_files(folder / field)

    def encode(self, prompts: Sequence[str]) -> TextEmbedding:
        """Encode B prompts by both."""
        tokens, pooled = self.tokens.encode(prompts), self.pooled.encode(prompts).pooled
        return TextEmbedding(tokens.tokens, tokens.text_mask, pooled.to(tokens.tokens))
