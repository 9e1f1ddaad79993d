"""CLIP's text tower (https://arxiv.org/abs/2103.00020) as transformers has it: the pooled vector is not projected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from vidgen.interfaces import TextEmbedding
from vidgen_text.pretrained import TransformersEncoder
from vidgen_text.prompts import check_prompts, warn_if_cut
from vidgen_text.transformers_config import CLIPConfig

__all__ = ["CLIPEncoder"]


class CLIPEncoder(TransformersEncoder):
    """Tokens after the final norm, and the token of the end mark as pooled vector (HunyuanVideo's second encoder).

    Args:
        config: The configuration.

    Raises:
        CheckpointError: When the tokenizer or the weights cannot be had, or were made for other sizes.
    """

    config: CLIPConfig
    name = "clip"

    def encode(self, prompts: Sequence[str]) -> TextEmbedding:
        """Encode B prompts, all to `max_tokens`; padding is attended to (tokens see only what stands before them)."""
        prompts, config = check_prompts(prompts), self.config
        for prompt, row in zip(prompts, self.tokenizer(prompts)["input_ids"], strict=True):
            warn_if_cut(prompt, len(row), config.max_tokens)
        batch = self.tokenize(prompts, config.max_tokens, whole=True)
        out = self.stack(input_ids=batch["input_ids"])
        tokens = out.last_hidden_state
        mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        return TextEmbedding(tokens, mask, out.pooler_output)

    def model_class(self) -> Any:
        """Return transformers' text tower."""
        import transformers

        return transformers.CLIPTextModel

    def sizes(self) -> Any:
        """Return transformers' configuration."""
        import transformers

        config = self.config
        return transformers.CLIPTextConfig(
            vocab_size=config.vocabulary,
            hidden_size=config.width,
            intermediate_size=config.hidden,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            max_position_embeddings=config.max_tokens,
            hidden_act=config.activation,
            layer_norm_eps=config.norm_eps,
            eos_token_id=config.end_mark,
        )
