"""Blocks that families share."""

from vidgen.nn.attention import AttentionBackend, Segments, attention, attention_backend
from vidgen.nn.rope import rope_3d, rotate

__all__ = ["AttentionBackend", "Segments", "attention", "attention_backend", "rope_3d", "rotate"]
