"""Ways to compute attention, behind `vidgen.nn.attention`."""

from __future__ import annotations

from vidgen.config import Config
from vidgen.hookspecs import hookimpl
from vidgen.spec import ComponentSpec

__all__ = ["vidgen_components"]

BACKENDS = (
    ("sdpa", "vidgen.nn.attention:Sdpa", "PyTorch's own, in one call; unequal samples are padded for it."),
    ("loop", "vidgen.nn.attention:Loop", "PyTorch's own, a call for all samples of equal length."),
    ("reference", "vidgen_attention.attention:Reference", "Every score written out, masked."),
    ("flex", "vidgen_attention.attention:Flex", "PyTorch's flex_attention over blocks of the sequence."),
    ("varlen", "vidgen_attention.attention:Varlen", "PyTorch's kernel for packed sequences; CUDA."),
    ("xformers", "vidgen_attention.attention:Xformers", "xformers' block-diagonal kernels; CUDA."),
)


@hookimpl
def vidgen_components() -> list[ComponentSpec]:
    """Declare the backends."""
    return [
        ComponentSpec(kind="attention", name=name, target=target, config=Config, summary=summary)
        for name, target, summary in BACKENDS
    ]
