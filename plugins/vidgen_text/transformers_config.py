"""What the encoders that transformers runs can be set to, and what they declare. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from vidgen.config import config, require
from vidgen.contract import TextEncoderConfig, TextEncoderContract, TextSpec
from vidgen.published import translate

__all__ = ["TOKENIZER", "CLIPConfig", "LlamaConfig", "T5Config", "TransformersConfig"]

TOKENIZER = "tokenizer"
"""The folder of the tokenizer beside the weights."""


@config
class TransformersConfig(TextEncoderConfig):
    """Base of the encoders that transformers runs, with random weights of any size or with published ones.

    Attributes:
        source: A folder or hub id with the tokenizer, and with the weights when `pretrained`; empty for bytes
            as tokens (ByT5's), which need no file. A folder may hold `tokenizer` and `text_encoder` apart.
        tokenizer: A folder or hub id to read the tokenizer from where `source` has none.
        pretrained: Load the weights from `source` too; else they are random.
        vocabulary: Number of symbols.
        width: Width D of the tokens.
        layers: Transformer blocks.
        heads: Attention heads.
        hidden: Width inside the feed-forward layers.
        max_tokens: Longest prompt with its end mark; what is longer is cut with a warning.
    """

    source: str = ""
    tokenizer: str = ""
    pretrained: bool = False
    vocabulary: int = 384
    width: int = 64
    layers: int = 2
    heads: int = 4
    hidden: int = 128
    max_tokens: int = 128

    SIZES: ClassVar[tuple[str, ...]] = ("vocabulary", "width", "layers", "heads", "hidden")
    """Fields that published weights must have been made for."""

    def validate(self) -> None:
        """Check the ranges."""
        name = type(self).__name__
        for field in ("vocabulary", "width", "layers", "heads", "hidden", "max_tokens"):
            value = getattr(self, field)
            require(value >= 1, f"{name}.{field} must be at least 1, not {value}.")
        require(self.max_tokens >= 2, f"{name}.max_tokens must be at least 2: one token and the end mark.")
        require(
            bool(self.source) or not self.pretrained,
            f"{name}.pretrained needs a source: a folder or hub id with weights and tokenizer.",
        )
        require(
            bool(self.source or self.tokenizer) or self.vocabulary >= 384,
            f"{name}.vocabulary must be at least 384 for bytes, not {self.vocabulary}; or give a source.",
        )

    def located(self, folder: Path) -> Self:
        """Return the configuration of a part in this folder, with the tokenizer that was saved there."""
        beside = folder / TOKENIZER
        return self.replace(source="", tokenizer=str(beside)) if beside.is_dir() else self

    @classmethod
    def from_transformers(cls, data: Mapping[str, Any], **fields: Any) -> Self:
        """Return the configuration of a ``config.json`` of transformers, with fields of ours.

        Raises:
            ConfigError: For fields that nobody knows and values that are not implemented.
        """
        raise NotImplementedError(f"{cls.__name__} must define from_transformers().")

    def declare(self, layer: str, **fields: Any) -> TextEncoderContract:
        """Return the contract; a hub id names the space, with the layer (``umt5-xxl/last``)."""
        # A folder's name says nothing about its weights: their space is a digest, known once they are loaded.
        named = None if Path(self.source).is_dir() else f"{self.source.rpartition('/')[2]}/{layer}"
        space = self.space or (named if self.pretrained else "")
        return TextEncoderContract(
            text=TextSpec(space=space, width=self.width, max_tokens=self.max_tokens, **fields)
        )


_IGNORED = (
    "architectures", "attention_dropout", "bos_token_id", "classifier_dropout", "decoder_start_token_id", "dropout",
    "dropout_rate", "dtype", "eos_token_id", "initializer_factor", "initializer_range", "is_decoder",
    "is_encoder_decoder", "max_position_embeddings", "n_positions", "num_decoder_layers", "output_past",
    "pad_token_id", "pretraining_tp", "projection_dim", "scalable_attention", "scale_decoder_outputs",
    "task_specific_params", "tie_word_embeddings", "tokenizer_class", "torch_dtype", "transformers_version",
    "use_cache",
)  # fmt: skip
"""Fields of transformers' configurations that change nothing in an encoder of text."""


@config
class T5Config(TransformersConfig):
    """Settings of the encoder half of T5, mT5 or UMT5.

    Attributes:
        family: Which of the three; UMT5 has position biases in every layer.
        head_width: Width of a head.
        gated: Gated GELU (all but the first T5 of 2019), else ReLU.
        padding: `masked`: to the longest prompt, to be ignored. `zeros`: zero vectors up to `max_tokens`
            (Wan). `attended`: padding up to `max_tokens` that is attended to in here as well (CogVideoX).
        attends_padding: Padding up to `max_tokens` is attended to in here, whatever `padding` says to those who
            read the tokens (LTX: in here, but not in its denoiser).
        cleaning: What is done to a prompt first. `spaces`: broken Unicode (where ftfy is installed) and HTML's signs
            are put right, white space is one space (Wan). `lower`: lower case, no space around it (Latte, Allegro).
        negative_length: How far a negative prompt is read: to its `own` end, or as far as the `prompt` beside it,
            padding included (Latte).
        masks_empty: The empty prompt gives nothing to read: masked tokens alone (Mochi).
    """

    family: Literal["t5", "mt5", "umt5"] = "t5"
    head_width: int = 16
    gated: bool = True
    padding: Literal["masked", "zeros", "attended"] = "masked"
    attends_padding: bool = False
    cleaning: Literal["none", "spaces", "lower"] = "none"
    masks_empty: bool = False
    negative_length: Literal["own", "prompt"] = "own"

    SIZES = (*TransformersConfig.SIZES, "family", "gated", "head_width")

    def validate(self) -> None:
        """Check the ranges."""
        TransformersConfig.validate(self)
        require(self.head_width >= 1, f"T5Config.head_width must be at least 1, not {self.head_width}.")
        for field, plain in (("masks_empty", False), ("negative_length", "own")):
            require(
                self.padding == "masked" or getattr(self, field) == plain,
                f"T5Config.{field} wants padding='masked', not {self.padding!r}: only there is a mask.",
            )

    @classmethod
    def from_transformers(cls, data: Mapping[str, Any], **fields: Any) -> Self:
        """Return the configuration of a ``config.json`` of transformers, with fields of ours; see `translate`."""
        names = {
            "vocab_size": "vocabulary",
            "d_model": "width",
            "d_kv": "head_width",
            "d_ff": "hidden",
            "num_layers": "layers",
            "num_heads": "heads",
            "model_type": "family",
            "feed_forward_proj": "gated",
        }
        only = {
            "layer_norm_epsilon": 1e-6,
            "relative_attention_max_distance": 128,
            "relative_attention_num_buckets": 32,
        }
        gated = {"relu": False, "gated-gelu": True}
        sizes = translate(data, names, only=only, ignored=(*_IGNORED, "dense_act_fn", "is_gated_act"))
        kind = sizes.pop("gated", "relu")
        require(kind in gated, f"T5's feed_forward_proj is one of {', '.join(gated)}, not {kind!r}.")
        return cls.from_dict({**sizes, "gated": gated[kind], **fields})

    def contract(self) -> TextEncoderContract:
        """Return what this text encoder declares."""
        return self.declare("last", pooled_width=0, padding=self.padding)


@config
class LlamaConfig(TransformersConfig):
    """Settings of a causal language model of Llama's form whose hidden states are the tokens (HunyuanVideo).

    Attributes:
        key_value_heads: Heads of keys and values, each shared by `heads / key_value_heads` heads of queries.
        rope_theta: Base of the rotary positions.
        norm_eps: Added to the variance in the norms.
        skip: How many of the last blocks are left out; with 0 the tokens pass the final norm too.
        template: What the prompt is put into, in place of ``{}``.
        template_tokens: Tokens of the template before the prompt; they are read but not handed out.
    """

    layers: int = 3
    max_tokens: int = 256
    key_value_heads: int = 4
    rope_theta: float = 10000.0
    norm_eps: float = 1e-6
    skip: int = 2
    template: str = "{}"
    template_tokens: int = 0

    SIZES = (*TransformersConfig.SIZES, "key_value_heads", "norm_eps", "rope_theta")

    def validate(self) -> None:
        """Check the ranges."""
        TransformersConfig.validate(self)
        require(self.width % (2 * self.heads) == 0, "LlamaConfig.width must divide by twice the heads.")
        require(
            self.key_value_heads >= 1 and self.heads % self.key_value_heads == 0,
            f"LlamaConfig.heads must divide by key_value_heads, {self.heads} does not by {self.key_value_heads}.",
        )
        require(
            0 <= self.skip < self.layers, f"LlamaConfig.skip must leave one of {self.layers} layers at least."
        )
        require(self.template.count("{}") == 1, "LlamaConfig.template must hold {} once, for the prompt.")
        require(self.template_tokens >= 0, "LlamaConfig.template_tokens must be 0 or more.")

    @classmethod
    def from_transformers(cls, data: Mapping[str, Any], **fields: Any) -> Self:
        """Return the configuration of a ``config.json`` of transformers, with fields of ours; see `translate`."""
        names = {
            "vocab_size": "vocabulary",
            "hidden_size": "width",
            "intermediate_size": "hidden",
            "num_hidden_layers": "layers",
            "num_attention_heads": "heads",
            "num_key_value_heads": "key_value_heads",
            "rms_norm_eps": "norm_eps",
            "rope_theta": "rope_theta",
        }
        # Newer files hold what belongs to the rotary positions in a table of its own.
        flat = {**data, **(data.get("rope_parameters") or {})}
        flat.pop("rope_parameters", None)
        flat.setdefault("num_key_value_heads", flat.get("num_attention_heads"))
        only = {"attention_bias": False, "hidden_act": "silu", "mlp_bias": False, "model_type": "llama",
                "rope_scaling": None, "rope_type": "default"}  # fmt: skip
        head = flat.pop("head_dim", None)
        made = cls.from_dict({**translate(flat, names, only=only, ignored=_IGNORED), **fields})
        require(
            head in (None, made.width // made.heads),
            f"llama: heads of {head} are not implemented where width / heads is {made.width // made.heads}.",
        )
        return made

    def contract(self) -> TextEncoderContract:
        """Return what this text encoder declares."""
        return self.declare(f"skip-{self.skip}", pooled_width=0, padding="masked")


@config
class CLIPConfig(TransformersConfig):
    """Settings of CLIP's text tower as transformers has it: its pooled vector is not projected (HunyuanVideo).

    Attributes:
        activation: Of the feed-forward layers.
        norm_eps: Added to the variance in the norms.
        end_mark: The symbol whose token is the pooled vector; 2 takes the largest symbol, as CLIP's first files want.
    """

    max_tokens: int = 77
    activation: Literal["quick_gelu", "gelu"] = "quick_gelu"
    norm_eps: float = 1e-5
    end_mark: int = 1

    SIZES = (*TransformersConfig.SIZES, "activation", "end_mark", "max_tokens", "norm_eps")

    def validate(self) -> None:
        """Check the ranges."""
        TransformersConfig.validate(self)
        require(
            self.width % self.heads == 0,
            f"CLIPConfig.width must divide by heads; {self.width} does not by {self.heads}.",
        )

    @classmethod
    def from_transformers(cls, data: Mapping[str, Any], **fields: Any) -> Self:
        """Return the configuration of a ``config.json`` of transformers, with fields of ours; see `translate`."""
        names = {
            "vocab_size": "vocabulary",
            "hidden_size": "width",
            "intermediate_size": "hidden",
            "num_hidden_layers": "layers",
            "num_attention_heads": "heads",
            "max_position_embeddings": "max_tokens",
            "hidden_act": "activation",
            "layer_norm_eps": "norm_eps",
            "eos_token_id": "end_mark",
        }
        ignored = [name for name in _IGNORED if name not in names]
        sizes = translate(data, names, only={"model_type": "clip_text_model"}, ignored=ignored)
        return cls.from_dict({**sizes, **fields})

    def contract(self) -> TextEncoderContract:
        """Return what this text encoder declares."""
        return self.declare("last", pooled_width=self.width, padding="attended")
