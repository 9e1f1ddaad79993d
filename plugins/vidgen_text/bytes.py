"""A text encoder over UTF-8 bytes: no vocabulary, every language."""

from __future__ import annotations

from vidgen_text.config import BytesConfig
from vidgen_text.transformer import SymbolEncoder

__all__ = ["BytesEncoder"]


class BytesEncoder(SymbolEncoder):
    """A transformer over the bytes of a prompt, which is read as it stands.

    Args:
        config: The configuration.
    """

    config: BytesConfig

    def __init__(self, config: BytesConfig) -> None:
        super().__init__(config, 257)

    def symbols(self, prompt: str) -> list[int]:
        """Return the bytes' numbers: 0 says that there is none, then the 256 bytes."""
        return [1 + byte for byte in prompt.encode()] or [0]
