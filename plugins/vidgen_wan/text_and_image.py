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
from vidgen_wan.config import TextAndImageConfig

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
        values = self._processor()(images=list(pixels), return_tensors="pt").pixel_values
        states = self.images(values.to(weight), output_hidden_states=True).hidden_states[-2]
        return rearrange(states, "(b n) l d -> b (n l) d", b=count)

    def save_images(self, folder: Path) -> None:
        """Write ``image_encoder`` and ``image_processor`` into a folder as transformers does."""
        self.images.save_pretrained(folder / "image_encoder")  # type: ignore[operator]
        self._processor().save_pretrained(folder / "image_processor")

    def _processor(self) -> Any:
        """Return what sizes and colours pictures as CLIP was trained on."""
        import transformers

        folder = Path(self.config.source) / "image_processor"
        if folder.is_dir():
            return transformers.CLIPImageProcessor.from_pretrained(folder)
        side = self.config.side
        return transformers.CLIPImageProcessor(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}
        )


def _vision(config: TextAndImageConfig) -> nn.Module:
    import transformers

    if not config.pretrained:
        sizes = transformers.CLIPVisionConfig(
            hidden_size=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.hidden,
            image_size=config.side,
            patch_size=config.patch,
            hidden_act=config.activation,
        )
        module: nn.Module = transformers.CLIPVisionModel(sizes)
        return module
    folder = Path(config.source) / "image_encoder"
    try:
        loaded: nn.Module = transformers.CLIPVisionModel.from_pretrained(
            folder, dtype=torch.get_default_dtype()
        )
    except (OSError, ValueError, RuntimeError) as problem:
        raise CheckpointError(
            f"The encoder of images in {folder} cannot be read: {str(problem).splitlines()[0]}"
        ) from problem
    return loaded
