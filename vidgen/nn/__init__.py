"""Blocks that families share."""

from vidgen.nn.attention import attention
from vidgen.nn.rope import rope_3d, rotate

__all__ = ["attention", "rope_3d", "rotate"]
