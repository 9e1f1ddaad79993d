"""What the text encoders can be set to, and what they declare. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from vidgen.config import Config, config, require
from vidgen.contract import TextEncoderConfig, TextEncoderContract, TextSpec
from vidgen.recipe import Slot
from vidgen_text.open_clip_table import read_model
from vidgen_text.prompts import split_words

__all__ = ["BytesConfig", "InstructConfig", "JointConfig", "OpenClipConfig", "WordsConfig"]


@config
class SymbolConfig(TextEncoderConfig):
    """Base of the encoders that we train ourselves: a transformer over a fixed set of symbols.

    Attributes:
        width: Width D of the tokens.
        layers: Transformer blocks; 0 leaves embeddings and positions.
        heads: Attention heads.
        max_tokens: Longest prompt; what is longer is cut with a warning.
    """

    width: int = 256
    layers: int = 2
    heads: int = 4
    max_tokens: int = 32

    def validate(self) -> None:
        """Check the ranges."""
        name = type(self).__name__
        for field in ("width", "heads", "max_tokens"):
            value = getattr(self, field)
            require(value >= 1, f"{name}.{field} must be at least 1, not {value}.")
        require(self.layers >= 0, f"{name}.layers must be 0 or more, not {self.layers}.")
        require(self.width % 2 == 0, f"{name}.width must be even (sines and cosines), not {self.width}.")
        require(
            self.width % self.heads == 0,
            f"{name}.width must divide by heads; {self.width} does not divide by {self.heads}.",
        )

    def contract(self) -> TextEncoderContract:
        """Return what this text encoder declares."""
        text = TextSpec(space=self.space, width=self.width, pooled_width=0, max_tokens=self.max_tokens)
        return TextEncoderContract(text=text)


@config
class WordsConfig(SymbolConfig):
    """Settings of the word encoder.

    Attributes:
        vocabulary: Words with an embedding of their own, in lower case.
        buckets: Embeddings that all other words share, by a hash of their letters. 2,053 is prime and lets
            no two words of the kinetic world's captions meet (a test says so).
    """

    vocabulary: tuple[str, ...] = ()
    buckets: int = 2053

    def validate(self) -> None:
        """Check the ranges and that the vocabulary can be met in a prompt."""
        SymbolConfig.validate(self)
        require(self.buckets >= 1, f"WordsConfig.buckets must be at least 1, not {self.buckets}.")
        doubled = len(self.vocabulary) - len(set(self.vocabulary))
        require(not doubled, f"WordsConfig.vocabulary names {doubled} words twice; drop the doubles.")
        for word in self.vocabulary:
            require(
                split_words(word) == [word],
                f"WordsConfig.vocabulary: {word!r} must be one word in lower case, as prompts are read.",
            )


@config
class BytesConfig(SymbolConfig):
    """Settings of the byte encoder."""

    max_tokens: int = 128


@config
class OpenClipConfig(TextEncoderConfig):
    """Settings of a text tower of open_clip; the last fields replace the table's own sizes, for small towers.

    Attributes:
        model: A model of open_clip's table.
        pretrained: Empty for random weights, else a tag of open_clip or a file of weights of the whole model.
        layer: `last`, or `penultimate`: the block before the last, then the final norm (as Stable Diffusion 2
            and VideoCrafter2 read it). The pooled vector always comes from the last.
        tokenizer: A folder or hub id to read the tokenizer from, for models whose own is on the hub.
        width: Width of the tokens.
        layers: Transformer blocks.
        heads: Attention heads.
        context_length: Tokens of every prompt, padding among them.
        embed_dim: Width of the pooled vector.
    """

    model: str = "ViT-B-32"
    pretrained: str = ""
    layer: Literal["last", "penultimate"] = "last"
    tokenizer: str = ""
    width: int | None = None
    layers: int | None = None
    heads: int | None = None
    context_length: int | None = None
    embed_dim: int | None = None

    def validate(self) -> None:
        """Check the model's name, and the sizes that replace its own."""
        changed = [name for name in (*_TEXT_SIZES, "embed_dim") if getattr(self, name) is not None]
        require(
            not (changed and self.pretrained),
            f"OpenClipConfig: pretrained weights have their own sizes; leave {', '.join(changed)} out.",
        )
        for name in changed:
            value = getattr(self, name)
            require(value >= 1, f"OpenClipConfig.{name} must be at least 1, not {value}.")
        table = self.table()
        if table is None:
            return
        text = table["text_cfg"]
        if "hf_model_name" in text:
            require(
                not changed,
                f"OpenClipConfig: {self.model} has a tower with sizes of its own; leave them out.",
            )
            require(self.layer == "last", f"OpenClipConfig.layer: {self.model} offers only 'last'.")
            return
        width, heads, layers = (text.get(name, _CLIP_TEXT[name]) for name in ("width", "heads", "layers"))
        require(
            width % heads == 0, f"OpenClipConfig.width must divide by heads; {width} does not by {heads}."
        )
        require(
            layers >= 2 or self.layer == "last", "OpenClipConfig.layer: one block has no penultimate one."
        )

    def table(self) -> dict[str, Any] | None:
        """Return the model's table with the replaced sizes; None when open_clip is not installed."""
        table = read_model(self.model)
        if table is not None:
            if self.embed_dim is not None:
                table["embed_dim"] = self.embed_dim
            sizes = {name: getattr(self, name) for name in _TEXT_SIZES}
            table["text_cfg"].update({name: size for name, size in sizes.items() if size is not None})
        return table

    def contract(self) -> TextEncoderContract:
        """Return what this text encoder declares, as far as open_clip's table tells."""
        # Weights from a file have no name: their space is a digest, known once they are loaded.
        known = not Path(self.pretrained).is_file()
        named = f"open-clip/{self.model}/{self.pretrained}/{self.layer}" if known else None
        space = self.space or (named if self.pretrained else "")
        table = self.table()
        if table is None:
            return TextEncoderContract(text=TextSpec(space=space, padding="attended"))
        text, pooled = table["text_cfg"], table["embed_dim"]
        from_hub = "hf_model_name" in text
        width = None if from_hub else text.get("width", _CLIP_TEXT["width"])
        if text.get("proj_type") == "none" and not from_hub:
            pooled = width
        length = text.get("context_length", _CLIP_TEXT["context_length"])
        return TextEncoderContract(
            text=TextSpec(
                space=space, width=width, pooled_width=pooled, max_tokens=length, padding="attended"
            )
        )


_TEXT_SIZES = ("width", "layers", "heads", "context_length")
_CLIP_TEXT = {"width": 512, "layers": 12, "heads": 8, "context_length": 77}
"""What open_clip takes for a size that its table leaves out."""


@config
class JointConfig(TextEncoderConfig):
    """Settings of two encoders as one: each a name (``"llama/tiny"``), or a table with name, preset, weights, config.

    Attributes:
        tokens: The one that gives the tokens.
        pooled: The one that gives the pooled vector.
    """

    tokens: Any = "llama"
    pooled: Any = "clip"

    def validate(self) -> None:
        """Check the forms; the names are looked up when the contract is asked for."""
        for field in ("tokens", "pooled"):
            value = getattr(self, field)
            if isinstance(value, (Config, Slot)):
                object.__setattr__(self, field, Slot.read("text_encoder", value).to_dict())
            else:
                require(
                    isinstance(value, (str, Mapping)),
                    f"JointConfig.{field} is a name, a table or a configuration, not {value!r}.",
                )

    def located(self, folder: Path) -> Self:
        """Return the configuration of a part in this folder, with the files that both have there."""
        changes = {}
        for field, slot in (("tokens", self.tokens_slot), ("pooled", self.pooled_slot)):
            if (folder / field).is_dir():
                changes[field] = slot.config.located(folder / field)
        return self.replace(**changes) if changes else self

    @property
    def tokens_slot(self) -> Slot:
        """The encoder that gives the tokens."""
        return Slot.read("text_encoder", self.tokens)

    @property
    def pooled_slot(self) -> Slot:
        """The encoder that gives the pooled vector."""
        return Slot.read("text_encoder", self.pooled)

    @property
    def pretrained(self) -> bool:
        """Whether both bring weights of their own."""
        return self.tokens_slot.trained and self.pooled_slot.trained

    def contract(self) -> TextEncoderContract:
        """Return what both declare together; the space joins the names of theirs.

        Raises:
            ConfigError: When the second has no pooled vector.
        """
        tokens, pooled = self.tokens_slot.contract().text, self.pooled_slot.contract().text
        require(
            pooled.pooled_width != 0,
            f"JointConfig.pooled: {self.pooled_slot.spec.name!r} gives no pooled vector; choose one that does (clip).",
        )
        spaces = (tokens.space, pooled.space)
        space = None if None in spaces else "" if "" in spaces else " + ".join(map(str, spaces))
        return TextEncoderContract(
            text=replace(tokens, space=self.space or space, pooled_width=pooled.pooled_width)
        )


SYSTEM = (
    "You write prompts for a video generator. Rewrite the user's prompt as one clear sentence of at most sixty words "
    "that says what is seen, how it moves, and what is behind it. Keep every fact, add no story, answer with the "
    "rewritten prompt alone."
)


@config
class InstructConfig(Config):
    """Settings of the instruction model that rewrites prompts.

    Attributes:
        source: A folder or hub id of a causal language model with its tokenizer; must be given.
        system: What the model is told to do.
        max_new_tokens: Longest answer.
        device: `auto` (an accelerator if there is one), `cpu`, `cuda`, ...
        dtype: `auto` (as the weights are) or a floating-point type.
    """

    source: str = ""
    system: str = SYSTEM
    max_new_tokens: int = 128
    device: str = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"

    def validate(self) -> None:
        """Check the ranges."""
        require(
            self.max_new_tokens >= 1,
            f"InstructConfig.max_new_tokens must be at least 1, not {self.max_new_tokens}.",
        )
        require(bool(self.system.strip()), "InstructConfig.system must say what to do.")
