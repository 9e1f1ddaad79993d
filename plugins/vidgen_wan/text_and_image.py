"""`text-and-image`: any text encoder, with CLIP's encoder of images beside it (Wan 2.1 from an image)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from vidgen.errors import CheckpointError
from vidgen.interfaces import TextEmbedding, TextEncoder
from vidgen.recipe import Slot
from vidgen.sampling.assembly import Place, make
from vidgen.tensors import variant_of
from vidgen_wan.text_and_image_config import ENCODER, PROCESSOR, TEXT, TextAndImageConfig

__all__ = ["TextAndImage"]


class TextAndImage(TextEncoder):
    """Text by one encoder, pictures by CLIP's (https://arxiv.org/abs/2103.00020), whose last layer but one is read.

    Args:
        config: The configuration.

    Raises:
        CheckpointError: When the weights cannot be read.
    """

    config: TextAndImageConfig

    def __init__(self, config: TextAndImageConfig) -> None:
        slot = config.text_slot
        self_config = config.replace(text=Slot(slot.spec, slot.config).to_dict()) if slot.weights else config
        super().__init__(self_config)
        self.words: TextEncoder = make(slot, Place(dtype=torch.get_default_dtype()))
        self.images = _vision(config)
        self.processor = _processor(config)
        if config.pretrained:
            self.origin = config.source
            # What is saved from here on has weights of its own.
            text = Slot(slot.spec, self.words.config).to_dict()
            self.config = config.replace(text=text, pretrained=False)

    def encode(self, prompts: Sequence[str]) -> TextEmbedding:
        """Encode B prompts."""
        return self.words.encode(prompts)

    def encode_images(self, images: Tensor) -> Tensor:
        """Return tokens ``[B, N, D]`` of pictures ``[B, pictures, 3, H, W]`` in [-1, 1]."""
        count = len(images)
        pictures = rearrange(images, "b n c h w -> (b n) h w c")
        pixels = ((pictures.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
        weight = next(self.images.parameters())
        values = self.processor(images=list(pixels), return_tensors="pt").pixel_values
        states = self.images(values.to(weight), output_hidden_states=True).hidden_states[-2]
        return rearrange(states, "(b n) l d -> b (n l) d", b=count)

    def save_files(self, folder: Path) -> None:
        """Write what prepares pictures, and what the encoder of text has beside its tensors."""
        if self.config.source:
            self.processor.save_pretrained(folder / PROCESSOR)
        if hasattr(self.words, "save_files"):
            (folder / TEXT).mkdir()
            self.words.save_files(folder / TEXT)  # type: ignore[operator]

    def save_images(self, folder: Path) -> None:
        """Write ``image_encoder`` and ``image_processor`` into a folder as transformers does."""
        self.images.save_pretrained(folder / ENCODER)  # type: ignore[operator]
        self.processor.save_pretrained(folder / PROCESSOR)


def _processor(config: TextAndImageConfig) -> Any:
    """Return what sizes and colours pictures as CLIP was trained on."""
    import transformers

    folder = Path(config.source) / PROCESSOR
    if not config.source or not folder.is_dir():
        side = config.side
        return transformers.CLIPImageProcessor(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}
        )
    try:
        return transformers.CLIPImageProcessor.from_pretrained(folder)
    except Exception as problem:  # from OSError to TypeError, by what is missing or misfit
        raise _unread(folder, problem) from problem


def _vision(config: TextAndImageConfig) -> nn.Module:
    """Return the encoder of pictures, with random weights or with those of the source."""
    import transformers

    sizes = transformers.CLIPVisionConfig(
        hidden_size=config.width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.hidden,
        image_size=config.side,
        patch_size=config.patch,
        hidden_act=config.activation,
        layer_norm_eps=config.norm_eps,
    )
    if not config.pretrained:
        module: nn.Module = transformers.CLIPVisionModel(sizes)
        return module
    folder = Path(config.source) / ENCODER
    try:
        kind: Any = transformers.CLIPVisionModel
        loaded, loading = kind.from_pretrained(
            folder,
            config=sizes,
            dtype=torch.get_default_dtype(),
            variant=variant_of(folder),
            output_loading_info=True,
        )
    except Exception as problem:  # from OSError to SafetensorError, by what is missing or misfit
        raise _unread(folder, problem) from problem
    if loading["missing_keys"]:
        missing = sorted(loading["missing_keys"])[0]
        raise CheckpointError(f"The weights in {folder} lack {missing}; fetch them again.")
    whole: nn.Module = loaded
    return whole


def _unread(folder: Path, problem: Exception) -> CheckpointError:
    first = (str(problem).strip() or type(problem).__name__).splitlines()[0].rstrip(".")
    return CheckpointError(f"{folder} cannot be read ({first}); fetch it again.")
