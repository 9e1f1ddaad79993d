"""What `text-and-image` can be set to, and what it declares. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

from vidgen.config import Config, config, require
from vidgen.contract import TextEncoderConfig, TextEncoderContract
from vidgen.published import translate
from vidgen.recipe import Slot

__all__ = ["ENCODER", "PROCESSOR", "TEXT", "TextAndImageConfig"]

ENCODER, PROCESSOR, TEXT = "image_encoder", "image_processor", "text"
"""The folders of what sees, of what prepares pictures for it, and of the files of the encoder of text."""
NAMES = {
    "hidden_size": "width",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "hidden",
    "image_size": "side",
    "patch_size": "patch",
    "hidden_act": "activation",
    "layer_norm_eps": "norm_eps",
}
DEFAULTS = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}
"""What transformers takes for fields that are left out."""
ONLY: dict[str, Any] = {"num_channels": 3, "model_type": "clip_vision_model"}
IGNORED = (
    "architectures", "attention_dropout", "dropout", "dtype", "initializer_factor", "initializer_range",
    "projection_dim", "torch_dtype", "transformers_version",
)  # fmt: skip


@config
class TextAndImageConfig(TextEncoderConfig):
    """Settings of `text-and-image`.

    Attributes:
        text: The text encoder: a name, or a table with name, preset, weights or config.
        source: A folder with ``image_processor``, and with ``image_encoder`` when `pretrained`; empty for CLIP's
            usual sizes and colours.
        pretrained: Load the weights of the encoder of images from there.
        width: Width of its tokens; this and the next are those of random weights.
        layers: Its blocks.
        heads: Its attention heads.
        hidden: Width inside its perceptrons.
        side: Pixels of the square that pictures are brought to.
        patch: Pixels of a token's side.
        activation: Inside its perceptrons.
        norm_eps: Added to the variance in its norms.
    """

    text: Any = "t5"
    source: str = ""
    pretrained: bool = False
    width: int = 1280
    layers: int = 32
    heads: int = 16
    hidden: int = 5120
    side: int = 224
    patch: int = 14
    activation: Literal["gelu", "quick_gelu"] = "gelu"
    norm_eps: float = 1e-5

    def validate(self) -> None:
        """Check the ranges and forms."""
        for name in ("width", "layers", "heads", "hidden", "side", "patch"):
            require(getattr(self, name) >= 1, f"TextAndImageConfig.{name} must be at least 1.")
        require(self.layers >= 2, "TextAndImageConfig.layers must be at least 2: the last but one is read.")
        require(
            self.width % self.heads == 0,
            f"TextAndImageConfig.width must divide by heads; {self.width} does not by {self.heads}.",
        )
        require(
            bool(self.source) or not self.pretrained,
            "TextAndImageConfig.pretrained needs a source: a folder with image_encoder.",
        )
        if isinstance(self.text, (Config, Slot)):
            object.__setattr__(self, "text", Slot.read("text_encoder", self.text).to_dict())
        require(
            isinstance(self.text, (str, Mapping)),
            f"TextAndImageConfig.text is a name, a table or a configuration, not {self.text!r}.",
        )

    def located(self, folder: Path) -> Self:
        """Return the configuration of a part in this folder, with the files that were saved there."""
        changes: dict[str, Any] = {}
        if (folder / TEXT).is_dir():
            slot = self.text_slot
            changes["text"] = replace(slot, config=slot.config.located(folder / TEXT))
        if (folder / PROCESSOR).is_dir():
            changes["source"] = str(folder)
        return self.replace(**changes) if changes else self

    @classmethod
    def from_transformers(cls, data: Mapping[str, Any], **fields: Any) -> Self:
        """Return the configuration of a ``config.json`` of transformers' vision tower, with fields of ours.

        Raises:
            ConfigError: For fields that nobody knows and values that are not implemented.
        """
        return cls.from_dict({**translate({**DEFAULTS, **data}, NAMES, only=ONLY, ignored=IGNORED), **fields})

    @property
    def text_slot(self) -> Slot:
        """The encoder of text."""
        return Slot.read("text_encoder", self.text)

    def contract(self) -> TextEncoderContract:
        """Return what the encoder of text declares."""
        declared = self.text_slot.contract()
        text = declared.text
        space = self.space or text.space
        return TextEncoderContract(text=replace(text, space=space, image_width=self.width))
