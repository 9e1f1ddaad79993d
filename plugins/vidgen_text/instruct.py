"""Prompts rewritten by an instruction model, through transformers' text generation."""

from __future__ import annotations

import functools
import re
import warnings
from pathlib import Path
from typing import Any

from vidgen.errors import CheckpointError, ConfigError
from vidgen.hub import only_cached_when_unreachable
from vidgen.sampling.refine import PromptRefiner
from vidgen_text.config import InstructConfig
from vidgen_text.prompts import first_line

__all__ = ["InstructRefiner"]


class InstructRefiner(PromptRefiner):
    """Asks a model to rewrite each prompt; greedy, so the same prompt always becomes the same.

    Args:
        config: The configuration.

    Raises:
        ConfigError: Without a source, and for a device that there is not.
        CheckpointError: When the model or its tokenizer cannot be had.
    """

    def __init__(self, config: InstructConfig) -> None:
        if not config.source:
            raise ConfigError("InstructConfig needs a source: a folder or hub id of an instruction model.")
        self.config = config
        self.model, self.tokenizer = _load(config.source, config.device, config.dtype)

    def refine(self, prompts: list[str]) -> list[str]:
        """Return what the model makes of each prompt; where it says nothing, the prompt, with a warning."""
        return [self._one(prompt) for prompt in prompts]

    def _one(self, prompt: str) -> str:
        import torch

        batch = self.tokenizer(self._asked(prompt), return_tensors="pt", add_special_tokens=not self._chats)
        ids = batch["input_ids"].to(self.model.device)
        mask = batch["attention_mask"].to(self.model.device)
        pad = self.tokenizer.pad_token_id
        with torch.inference_mode():
            made = self.model.generate(
                ids,
                attention_mask=mask,
                max_new_tokens=self.config.max_new_tokens,
                do_sample=False,
                pad_token_id=self.tokenizer.eos_token_id if pad is None else pad,
            )
        text = _answer(self.tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True))
        if not text:
            warnings.warn(
                f"The instruction model makes nothing of {prompt!r}; it stays.", UserWarning, stacklevel=4
            )
        return text or prompt

    @property
    def _chats(self) -> bool:
        return getattr(self.tokenizer, "chat_template", None) is not None

    def _asked(self, prompt: str) -> str:
        """Return what the model continues: by its chat template, or in plain words where it has none."""
        if not self._chats:
            return f"{self.config.system}\n\nPrompt: {prompt}\nRewritten:"
        messages = [{"role": "system", "content": self.config.system}, {"role": "user", "content": prompt}]
        try:
            return str(
                self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            )
        except Exception:  # jinja2's own: some templates (Gemma's) know no system role
            both = [{"role": "user", "content": f"{self.config.system}\n\n{prompt}"}]
            return str(self.tokenizer.apply_chat_template(both, tokenize=False, add_generation_prompt=True))


def _answer(text: str) -> str:
    """Return the rewritten prompt of an answer: without what was thought aloud, in one line, without quotes."""
    text = re.sub(r"<think>.*?(</think>|$)", "", text, flags=re.DOTALL)
    text = " ".join(text.split())
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


@functools.lru_cache(maxsize=1)
def _load(source: str, device: str, dtype: str) -> tuple[Any, Any]:
    """Return model and tokenizer; the last one used is kept, for a refiner is made at each call."""
    import torch
    import transformers

    if Path(source).is_dir() and not (Path(source) / "config.json").is_file():
        raise CheckpointError(f"instruct: {source!r} holds no config.json, so no model.")
    try:
        with only_cached_when_unreachable():
            tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)
            kind = "auto" if dtype == "auto" else getattr(torch, dtype)
            model: Any = transformers.AutoModelForCausalLM.from_pretrained(
                source, dtype=kind, trust_remote_code=False
            )
    except Exception as problem:  # from OSError to ImportError and KeyError, by what is missing
        raise CheckpointError(
            f"instruct: no model can be read from {source!r} ({first_line(problem)}); "
            "give source=FOLDER with its files, or a hub id that can be reached."
        ) from problem
    place = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else "cpu"
    try:
        return model.to(place if device == "auto" else device).eval(), tokenizer
    except (RuntimeError, AssertionError) as problem:  # torch names no error of its own for an absent device
        raise ConfigError(
            f"InstructConfig.device {device!r} cannot be used: {first_line(problem)}."
        ) from problem
