"""What the text encoders can be set to, and what they declare. No torch here."""

from __future__ import annotations

from vidgen.config import config, require
from vidgen.contract import TextEncoderConfig, TextEncoderContract, TextSpec
from vidgen_text.prompts import split_words

__all__ = ["BytesConfig", "WordsConfig"]


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
