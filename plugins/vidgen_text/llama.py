"""A causal language model of Llama's form (https://arxiv.org/abs/2407.21783) as a text encoder.

HunyuanVideo (2412.03603) puts the prompt into an instruction and reads the hidden states some blocks before the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from torch import nn

from vidgen.errors import ConfigError
from vidgen.interfaces import TextEmbedding
from vidgen_text.pretrained import TransformersEncoder
from vidgen_text.prompts import check_prompts, warn_if_cut
from vidgen_text.transformers_config import LlamaConfig

__all__ = ["LlamaEncoder"]


class LlamaEncoder(TransformersEncoder):
    """Hidden states of transformers' Llama; blocks behind the one that is read are never made.

    Args:
        config: The configuration.

    Raises:
        CheckpointError: When the tokenizer or the weights cannot be had, or were made for other sizes.
    """

    config: LlamaConfig
    name = "llama"

    def encode(self, prompts: Sequence[str]) -> TextEmbedding:
        """Encode B prompts, to the longest; the template's tokens before them are left out.

        Raises:
            ConfigError: When nothing is left behind `template_tokens`.
        """
        prompts, config = check_prompts(prompts), self.config
        texts = [config.template.replace("{}", prompt) for prompt in prompts]
        first = config.template_tokens
        for prompt, row in zip(prompts, self.tokenizer(texts)["input_ids"], strict=True):
            warn_if_cut(prompt, len(row) - first, config.max_tokens)
            if len(row) <= first:
                raise ConfigError(
                    f"llama: template_tokens={first} leaves nothing of the {len(row)} tokens of {prompt[:40]!r}."
                )
        batch = self.tokenize(texts, first + config.max_tokens, whole=False)
        out = self.stack(
            input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False
        )
        real = batch["attention_mask"][:, first:].bool()
        tokens = out.last_hidden_state[:, first:].masked_fill(~real[..., None], 0)
        return TextEmbedding(tokens, real)

    def model_class(self) -> Any:
        """Return transformers' Llama, which knows that the last blocks are left out."""
        import transformers

        last = range(self.config.layers - self.config.skip, self.config.layers)
        unread = [rf"layers\.{number}\." for number in last]
        return type("Llama", (transformers.LlamaModel,), {"_keys_to_ignore_on_load_unexpected": unread})

    def sizes(self) -> Any:
        """Return transformers' configuration, without the blocks that nobody reads."""
        import transformers

        config, make = self.config, cast("Any", transformers.LlamaConfig)  # rope_theta moved between versions
        return make(
            vocab_size=config.vocabulary,
            hidden_size=config.width,
            intermediate_size=config.hidden,
            num_hidden_layers=config.layers - config.skip,
            num_attention_heads=config.heads,
            num_key_value_heads=config.key_value_heads,
            rms_norm_eps=config.norm_eps,
            rope_theta=config.rope_theta,
        )

    def inner(self, whole: Any) -> nn.Module:
        """Return the blocks, with the final norm only behind the last one."""
        if self.config.skip:
            whole.norm = nn.Identity()
        module: nn.Module = whole
        return module
