"""The encoder half of T5 (https://arxiv.org/abs/1910.10683), mT5 (2010.11934) and UMT5 (2304.09151)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vidgen.checkpoint import digest
from vidgen.errors import CheckpointError
from vidgen.interfaces import TextEmbedding, TextEncoder
from vidgen_text.config import T5Config
from vidgen_text.hub import only_cached_when_unreachable
from vidgen_text.prompts import check_prompts, first_line, warn_if_cut

__all__ = ["T5Encoder"]


class T5Encoder(TextEncoder):
    """Transformers' own encoder, with the padding rule that the configuration names.

    Args:
        config: The configuration.

    Raises:
        CheckpointError: When the tokenizer or the weights cannot be had, or were made for other sizes.
    """

    config: T5Config

    def __init__(self, config: T5Config) -> None:
        super().__init__(config)
        with only_cached_when_unreachable():
            self.tokenizer = _tokenizer(config)
            # Only the stack: the model around it holds the embedding a second time, under another name.
            self.stack = _pretrained(config) if config.pretrained else _random(config)
        if config.pretrained:
            self.origin = config.source
            space = config.contract().text.space or digest(self.stack.state_dict())
            # What is saved from here on has weights of its own; the source still gives the tokenizer.
            self.config = config.replace(pretrained=False, space=space)

    def encode(self, prompts: Sequence[str]) -> TextEmbedding:
        """Encode B prompts, to the longest (`masked`) or all to `max_tokens`."""
        prompts, config = check_prompts(prompts), self.config
        for prompt, row in zip(prompts, self.tokenizer(prompts)["input_ids"], strict=True):
            warn_if_cut(prompt, len(row), config.max_tokens)
        batch = self.tokenizer(
            prompts,
            padding="longest" if config.padding == "masked" else "max_length",
            max_length=config.max_tokens,
            truncation=True,
            return_tensors="pt",
        ).to(next(self.stack.parameters()).device)
        attended = config.padding == "attended"
        mask = None if attended else batch["attention_mask"]
        tokens = self.stack(input_ids=batch["input_ids"], attention_mask=mask).last_hidden_state
        real = batch["attention_mask"].bool()
        if not attended:
            tokens = tokens.masked_fill(~real[..., None], 0)
        return TextEmbedding(tokens, real if config.padding == "masked" else torch.ones_like(real))


def _classes(config: T5Config) -> tuple[Any, Any]:
    import transformers

    prefix = {"t5": "T5", "mt5": "MT5", "umt5": "UMT5"}[config.family]
    return getattr(transformers, f"{prefix}Config"), getattr(transformers, f"{prefix}EncoderModel")


def _random(config: T5Config) -> nn.Module:
    encoder: nn.Module = _classes(config)[1](_sizes(config)).encoder
    return encoder


def _sizes(config: T5Config) -> Any:
    return _classes(config)[0](
        vocab_size=config.vocabulary,
        d_model=config.width,
        d_kv=config.head_width,
        d_ff=config.hidden,
        num_layers=config.layers,
        num_heads=config.heads,
        feed_forward_proj="gated-gelu" if config.gated else "relu",
    )


def _inside(source: str, folder: str) -> str:
    """Return the named folder inside a source that keeps its parts apart, else the source."""
    inner = Path(source) / folder
    return str(inner) if inner.is_dir() else source


def _tokenizer(config: T5Config) -> Any:
    import transformers

    if not config.source:
        return transformers.ByT5Tokenizer()
    try:
        return transformers.AutoTokenizer.from_pretrained(_inside(config.source, "tokenizer"))
    except Exception as problem:  # from OSError to ImportError and KeyError, by what is missing
        raise CheckpointError(
            f"t5: no tokenizer can be read from {config.source!r} ({first_line(problem)}); "
            "give source=FOLDER with its files, a hub id that can be reached, or source='' for bytes."
        ) from problem


def _pretrained(config: T5Config) -> nn.Module:
    config_class, model_class = _classes(config)
    source = _inside(config.source, "text_encoder")
    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        # transformers would take the tokenizer's files for a configuration with default sizes
        raise CheckpointError(
            f"t5: {source!r} holds no config.json, so no weights; give the folder that does."
        )
    try:
        published = config_class.from_pretrained(source)
        _compare(config, published)
        # Safetensors where there are any; else torch.load(weights_only=True), which transformers insists on.
        model, loading = model_class.from_pretrained(source, dtype=torch.float32, output_loading_info=True)
    except CheckpointError:
        raise
    except Exception as problem:  # from OSError to RuntimeError, by what is missing or misfit
        raise CheckpointError(
            f"t5: no weights can be read from {config.source!r} ({first_line(problem)}); "
            "give source=FOLDER with config.json and weights, or a hub id that can be reached."
        ) from problem
    if loading["missing_keys"]:
        name = sorted(loading["missing_keys"])[0]
        raise CheckpointError(f"t5: the weights in {config.source!r} lack {name}; fetch them again.")
    encoder: nn.Module = model.encoder
    return encoder


def _compare(config: T5Config, published: Any) -> None:
    """Refuse weights of other sizes; names the field."""
    ours = _sizes(config)
    fields = {
        "vocabulary": "vocab_size",
        "width": "d_model",
        "head_width": "d_kv",
        "hidden": "d_ff",
        "layers": "num_layers",
        "heads": "num_heads",
        "gated": "is_gated_act",
    }
    if published.model_type != config.family:
        raise CheckpointError(f"t5: {config.source!r} holds {published.model_type}; set family to that.")
    for field, name in fields.items():
        have, want = getattr(published, name), getattr(ours, name)
        if have != want:
            raise CheckpointError(
                f"t5: {config.source!r} has {field}={have}, the configuration {want}; set that."
            )
