"""Tokenizers and weights by transformers (https://github.com/huggingface/transformers), with errors of one line."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from vidgen.checkpoint import digest
from vidgen.errors import CheckpointError, ConfigError
from vidgen.hub import only_cached_when_unreachable
from vidgen.interfaces import TextEncoder
from vidgen.tensors import variant_of
from vidgen_text.prompts import first_line
from vidgen_text.transformers_config import TOKENIZER, TransformersConfig

__all__ = ["TransformersEncoder"]


class TransformersEncoder(TextEncoder):
    """Base of the encoders that transformers runs: a tokenizer, and a `stack` that is random or published.

    Args:
        config: The configuration.

    Raises:
        CheckpointError: When the tokenizer or the weights cannot be had, or were made for other sizes.
    """

    config: TransformersConfig
    name: ClassVar[str]
    """The name of the part, for messages."""
    stack: nn.Module

    def __init__(self, config: TransformersConfig) -> None:
        super().__init__(config)
        with only_cached_when_unreachable():
            self.tokenizer = _read_tokenizer(self.name, config)
            # Only the stack: the model around it may hold the embedding a second time, under another name.
            whole = self.read_model() if config.pretrained else self.model_class()(self.sizes())
            self.stack = self.inner(whole)
        if config.pretrained:
            self.origin = config.source
            space = config.contract().text.space or digest(self.stack.state_dict())
            # What is saved from here on has weights of its own; the source still gives the tokenizer.
            self.config = config.replace(pretrained=False, space=space)

    @abstractmethod
    def model_class(self) -> Any:
        """Return transformers' class of the whole model."""

    @abstractmethod
    def sizes(self) -> Any:
        """Return transformers' configuration of `config`."""

    def inner(self, whole: Any) -> nn.Module:
        """Return what is kept of the whole model; by default all of it."""
        module: nn.Module = whole
        return module

    def tokenize(self, texts: Sequence[str], length: int, *, whole: bool) -> Any:
        """Return ``input_ids`` and ``attention_mask``, padded behind to the longest or (`whole`) all to `length`."""
        return self.tokenizer(
            list(texts),
            padding="max_length" if whole else "longest",
            max_length=length,
            truncation=True,
            return_tensors="pt",
        ).to(next(self.stack.parameters()).device)

    def save_files(self, folder: Path) -> None:
        """Write the tokenizer, so that the folder needs no other; bytes need none."""
        if self.config.source or self.config.tokenizer:
            self.tokenizer.save_pretrained(folder / TOKENIZER)

    def save_transformers(self, folder: Path) -> None:
        """Write ``text_encoder`` and ``tokenizer`` into a folder as transformers does, for other libraries."""
        whole = self.model_class()(self.sizes())
        weights = {name: tensor.cpu() for name, tensor in self.stack.state_dict().items()}
        self.inner(whole).load_state_dict(weights)
        whole.to(next(self.stack.parameters()).dtype).save_pretrained(folder / "text_encoder")
        self.tokenizer.save_pretrained(folder / "tokenizer")

    def read_model(self) -> Any:
        """Read the whole published model, in torch's default type, without a second copy of its weights."""
        import transformers

        config, name = self.config, self.name
        source = _inside(config.source, "text_encoder")
        if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
            # transformers would take the tokenizer's files for a configuration with default sizes
            raise CheckpointError(
                f"{name}: {source!r} holds no config.json, so no weights; give the folder that does."
            )
        try:
            published, _ = transformers.PretrainedConfig.get_config_dict(source)
            self._compare(published)
            # Safetensors where there are any; else torch.load(weights_only=True), which transformers insists on.
            model, loading = self.model_class().from_pretrained(
                source,
                config=self.sizes(),
                dtype=torch.get_default_dtype(),
                variant=variant_of(Path(source)),
                output_loading_info=True,
            )
        except CheckpointError:
            raise
        except Exception as problem:  # from OSError to RuntimeError, by what is missing or misfit
            raise CheckpointError(
                f"{name}: no weights can be read from {config.source!r} ({first_line(problem)}); "
                "give source=FOLDER with config.json and weights, or a hub id that can be reached."
            ) from problem
        if loading["missing_keys"]:
            missing = sorted(loading["missing_keys"])[0]
            raise CheckpointError(
                f"{name}: the weights in {config.source!r} lack {missing}; fetch them again."
            )
        return model

    def _compare(self, published: dict[str, Any]) -> None:
        """Refuse weights of other sizes; names the field."""
        config, name = self.config, self.name
        try:
            there = type(config).from_transformers(published, source=config.source)
        except ConfigError as problem:
            raise CheckpointError(f"{name}: {config.source!r} cannot be run here: {problem}") from problem
        for field in self.config.SIZES:
            have, want = getattr(there, field), getattr(config, field)
            if have != want:
                raise CheckpointError(
                    f"{name}: {config.source!r} has {field}={have!r}, the configuration {want!r}; set that."
                )


def _inside(source: str, folder: str) -> str:
    """Return the named folder inside a source that keeps its parts apart, else the source."""
    inner = Path(source) / folder
    return str(inner) if inner.is_dir() else source


def _read_tokenizer(name: str, config: TransformersConfig) -> Any:
    import transformers

    source = config.tokenizer or _inside(config.source, "tokenizer")
    if not source:
        return transformers.ByT5Tokenizer()
    try:
        # Tokens to read stand first, whatever the tokenizer was saved with.
        read = transformers.AutoTokenizer.from_pretrained(
            source, padding_side="right", trust_remote_code=False
        )
    except Exception as problem:  # from OSError to ImportError and KeyError, by what is missing
        raise CheckpointError(
            f"{name}: no tokenizer can be read from {source!r} ({first_line(problem)}); "
            "give source=FOLDER with its files, a hub id that can be reached, or source='' for bytes."
        ) from problem
    if read.pad_token is None:
        raise CheckpointError(
            f"{name}: the tokenizer in {source!r} has no padding token, so no batch can be made; "
            "fetch it again with its tokenizer_config.json."
        )
    return read
