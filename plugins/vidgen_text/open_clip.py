"""The text towers of open_clip (https://github.com/mlfoundations/open_clip): CLIP, SigLIP, CoCa ..."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vidgen.checkpoint import digest
from vidgen.doctor import explain_import
from vidgen.errors import CheckpointError, ConfigError, MissingDependencyError, closest
from vidgen.hub import only_cached_when_unreachable
from vidgen.interfaces import TextEmbedding, TextEncoder
from vidgen_text.config import OpenClipConfig
from vidgen_text.prompts import check_prompts, first_line, warn_if_cut

__all__ = ["OpenClipEncoder"]


class OpenClipEncoder(TextEncoder):
    """One text tower, without its vision tower.

    Tokens have passed the final norm; the pooled vector is open_clip's own `encode_text`.

    Args:
        config: The configuration.

    Raises:
        ConfigError: For a tag that open_clip does not know.
        CheckpointError: For weights or tokenizers that cannot be had.
        MissingDependencyError: When open_clip is missing or broken.
    """

    config: OpenClipConfig
    tower: Any

    def __init__(self, config: OpenClipConfig) -> None:
        super().__init__(config)
        with only_cached_when_unreachable():
            self.tokenizer = _tokenizer(config)
            self.tower = _pretrained_tower(config) if config.pretrained else _random_tower(config)
        if config.pretrained:
            self.origin = config.pretrained
            space = config.contract().text.space or digest(self.tower.state_dict())
            # What is saved from here on is a folder of its own, to be loaded without open_clip's files.
            self.config = config.replace(pretrained="", space=space)

    def encode(self, prompts: Sequence[str]) -> TextEmbedding:
        """Encode B prompts, each to the tower's full length; padding is attended to."""
        prompts = check_prompts(prompts)
        for prompt in prompts:
            warn_if_cut(prompt, self._count(prompt), self.tokenizer.context_length)
        symbols = self.tokenizer(prompts).to(next(self.tower.parameters()).device)
        if hasattr(self.tower, "forward_intermediates"):
            last = 2 if self.config.layer == "penultimate" else 1
            out = self.tower.forward_intermediates(
                symbols, indices=last, normalize_intermediates=True, output_fmt="NLC"
            )
            tokens, pooled = out["text_intermediates"][0], out["text_features"]
        else:
            pooled, tokens = self.tower(symbols)
        return TextEmbedding(
            tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device), pooled
        )

    def _count(self, prompt: str) -> int:
        if hasattr(self.tokenizer, "encode"):
            return len(self.tokenizer.encode(prompt)) + 2  # the marks of start and end
        return len(self.tokenizer.tokenizer(self.tokenizer.clean_fn(prompt))["input_ids"])


def _tokenizer(config: OpenClipConfig) -> Any:
    text = _table(config)["text_cfg"]
    tokenizers = _import("open_clip.tokenizer")
    length = text.get("context_length", 77)
    options = text.get("tokenizer_kwargs", {})
    source = config.tokenizer or text.get("hf_tokenizer_name")
    if not source:
        return tokenizers.SimpleTokenizer(context_length=length, **options)
    try:
        return tokenizers.HFTokenizer(
            source, context_length=length, tokenizer_mode=text.get("tokenizer_mode"), **options
        )
    except Exception as problem:  # transformers raises anything from OSError to ImportError here
        raise CheckpointError(
            f"open-clip {config.model} needs the tokenizer {source!r}, which cannot be read "
            f"({first_line(problem)}); give tokenizer=FOLDER, or the hub must be reachable once."
        ) from problem


def _random_tower(config: OpenClipConfig) -> nn.Module:
    table = _table(config)
    build_tower = _import("open_clip.model")._build_text_tower
    text = dict(table["text_cfg"], hf_model_pretrained=False)
    try:
        tower = build_tower(table["embed_dim"], text, table.get("quick_gelu", False))
    except OSError as problem:
        raise _unreachable(config, text, problem) from problem
    return _text_only(tower)


def _pretrained_tower(config: OpenClipConfig) -> nn.Module:
    text = _table(config)["text_cfg"]
    open_clip = _import("open_clip")
    tags = open_clip.list_pretrained_tags_by_model(config.model)
    tag = config.pretrained
    is_tag = open_clip.get_pretrained_cfg(config.model, tag)
    if not (is_tag or Path(tag).is_file()):
        raise ConfigError(
            f"open_clip has no weights {tag!r} for {config.model}, nor is it a file.{closest(tag, tags)} "
            f"open_clip.list_pretrained_tags_by_model({config.model!r}) shows all {len(tags)}."
        )
    try:
        # custom_text: the text tower as a module of its own, whatever the model.
        model = open_clip.create_model(config.model, pretrained=tag, force_custom_text=True)
    except OSError as problem:
        raise _unreachable(config, text, problem) from problem
    except Exception as problem:  # open_clip wraps failed downloads and misfit files in RuntimeErrors
        kind = (
            "be fetched; the hub must be reachable once"
            if is_tag
            else "be used; is it a file for this model?"
        )
        raise CheckpointError(
            f"open-clip {config.model}: the weights {tag!r} cannot {kind} ({first_line(problem)})."
        ) from problem
    return _text_only(model.text)


def _text_only(tower: nn.Module) -> nn.Module:
    # Towers that lack intermediate outputs return their tokens only when told so.
    tower.output_tokens = not hasattr(tower, "forward_intermediates")  # type: ignore[assignment]
    return tower


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except Exception as problem:  # a torchvision that does not fit torch raises RuntimeError
        raise MissingDependencyError(f"open-clip: {explain_import(problem)}") from problem


def _table(config: OpenClipConfig) -> dict[str, Any]:
    table = config.table()
    if table is None:
        raise MissingDependencyError(
            "open-clip needs the package open_clip_torch: pip install open_clip_torch."
        )
    return table


def _unreachable(config: OpenClipConfig, text: dict[str, Any], problem: Exception) -> CheckpointError:
    source = text.get("hf_model_name", config.pretrained)
    return CheckpointError(
        f"open-clip {config.model} needs the files of {source!r} from the hub ({first_line(problem)}); "
        "it must be reachable once, or choose a model with a tower of open_clip's own."
    )
