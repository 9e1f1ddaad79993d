"""The encoder half of T5 (https://arxiv.org/abs/1910.10683), mT5 (2010.11934) and UMT5 (2304.09151)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import torch
from torch import nn

from vidgen.interfaces import TextEmbedding
from vidgen_text.pretrained import TransformersEncoder
from vidgen_text.prompts import check_prompts, clean, warn_if_cut
from vidgen_text.transformers_config import T5Config

__all__ = ["T5Encoder"]


class T5Encoder(TransformersEncoder):
    """Transformers' own encoder, with the padding rule that the configuration names.

    Args:
        config: The configuration.

    Raises:
        CheckpointError: When the tokenizer or the weights cannot be had, or were made for other sizes.
    """

    config: T5Config
    name = "t5"

    def encode(self, prompts: Sequence[str]) -> TextEmbedding:
        """Encode B prompts, to the longest (`masked`) or all to `max_tokens`."""
        config = self.config
        prompts = [clean(prompt, config.cleaning) for prompt in check_prompts(prompts)]
        for prompt, row in zip(prompts, self.tokenizer(prompts)["input_ids"], strict=True):
            warn_if_cut(prompt, len(row), config.max_tokens)
        blind = config.attends_padding or config.padding == "attended"
        whole = blind or config.padding == "zeros" or self.negative_follows
        batch = self.tokenize(prompts, config.max_tokens, whole=whole)
        mask = None if blind else batch["attention_mask"]
        tokens = self.stack(input_ids=batch["input_ids"], attention_mask=mask).last_hidden_state
        real = batch["attention_mask"].bool()
        if config.masks_empty:
            real = real & torch.tensor([[bool(prompt)] for prompt in prompts], device=real.device)
        if config.padding != "attended" and not self.negative_follows:
            tokens = tokens.masked_fill(~real[..., None], 0)
        return TextEmbedding(tokens, real if config.padding == "masked" else torch.ones_like(real))

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Move or convert; in float16 the last layers of the feed-forwards stay float32, whose sums would overflow."""
        super()._apply(fn, recurse)
        for name, parameter in self.named_parameters():
            if name.endswith(".wo.weight") and parameter.dtype == torch.float16:
                parameter.data = parameter.data.float()
        return self

    @property
    def negative_follows(self) -> bool:
        """Whether a negative prompt is read as far as the prompt beside it."""
        return self.config.negative_length == "prompt"

    def beside(self, negative: TextEmbedding, prompt: TextEmbedding) -> TextEmbedding:
        """Return the negative prompt as far as the prompt reaches, padding included."""
        return replace(negative, text_mask=prompt.text_mask) if self.negative_follows else negative

    def model_class(self) -> Any:
        """Return the family's encoder."""
        return _classes(self.config)[1]

    def sizes(self) -> Any:
        """Return the family's configuration."""
        config = self.config
        return _classes(config)[0](
            vocab_size=config.vocabulary,
            d_model=config.width,
            d_kv=config.head_width,
            d_ff=config.hidden,
            num_layers=config.layers,
            num_heads=config.heads,
            feed_forward_proj="gated-gelu" if config.gated else "relu",
        )

    def inner(self, whole: Any) -> nn.Module:
        """Return the stack of blocks."""
        encoder: nn.Module = whole.encoder
        return encoder


def _classes(config: T5Config) -> tuple[Any, Any]:
    import transformers

    prefix = {"t5": "T5", "mt5": "MT5", "umt5": "UMT5"}[config.family]
    return getattr(transformers, f"{prefix}Config"), getattr(transformers, f"{prefix}EncoderModel")
