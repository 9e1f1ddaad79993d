"""`wan`: the transformer of Wan 2.1 and 2.2 (https://arxiv.org/abs/2503.20314).

Tokens attend to all others and read the text (and an image) by cross-attention; the time shifts, scales and gates every
block through one shared projection and a table of its own. Tensor names are those of diffusers'
``WanTransformer3DModel``; the original's are renamed. Letters: B batch, L tokens, S text tokens, D width.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from vidgen import PublishedLayout
from vidgen.errors import ContractError
from vidgen.interfaces import Condition, Denoiser, Prediction, TextEmbedding
from vidgen.nn.pixart import TwoLayers
from vidgen.process import Process
from vidgen.size import Size
from vidgen_wan.blocks import Block, ImageEmbedder, KeysValues, TextRead, modulated, positions, waves
from vidgen_wan.config import MASKS, WanConfig
from vidgen_wan.names import denoiser_names

__all__ = ["Prepared", "Wan"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What stays the same along the steps.

    Attributes:
        text: What each block reads.
        turns: Cosines and sines of the positions ``[L, head width / 2]``.
        given: Channels of what is given ``[B, C, t, h, w]``; None where the denoiser takes none.
        size: Latent size (t, h, w), before padding to patches.
    """

    text: tuple[TextRead, ...]
    turns: tuple[Tensor, Tensor]
    given: Tensor | None
    size: Size


class Wan(Denoiser, PublishedLayout):
    """Wan's transformer: any number of frames and any size; sides that the patch does not divide are padded inside.

    Args:
        config: The configuration.
    """

    PREFIXES = ("model.", "transformer.", "model.diffusion_model.")
    config: WanConfig

    def __init__(self, config: WanConfig) -> None:
        super().__init__(config)
        known = config.follow()
        width, channels = config.heads * config.head_width, known.latent_channels or 0
        inputs = channels if config.given == "none" else 2 * channels + MASKS
        self.patch_embedding = nn.Conv3d(inputs, width, config.patch, config.patch)
        self.condition_embedder = nn.ModuleDict(
            {
                "time_embedder": TwoLayers(config.frequencies, width, nn.SiLU()),
                "time_proj": nn.Linear(width, 6 * width),
                "text_embedder": TwoLayers(known.text_width or 0, width, nn.GELU(approximate="tanh")),
            }
        )
        if config.image_width is not None:
            self.condition_embedder["image_embedder"] = ImageEmbedder(config)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        t, h, w = config.patch
        self.proj_out = nn.Linear(width, channels * t * h * w)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, width) / width**0.5)

    def prepare(self, text: TextEmbedding, condition: Condition, size: Size) -> Prepared:
        """Compute the keys and values of the text and of an image, the positions, and the channels of what is given.

        Raises:
            ContractError: For tokens of an image without which this denoiser was not trained to run.
            SizeError: For a size beyond the largest.
        """
        self.check_limit(size)
        condition.check(self.config.contract(), type(self).__name__)
        if self.config.image_width is not None and condition.image_tokens is None:
            raise ContractError(
                "This Wan reads an image beside the text: give image=, with a text encoder that has image tokens."
            )
        mask = None if bool(text.text_mask.all()) else text.text_mask[:, None, None]
        given = condition.given_frames
        if given is None and self.config.given == "frames":
            channels = (self.config.latent_channels or 0) + MASKS
            given = text.tokens.new_zeros(len(text.tokens), channels, *size)
        return self._prepared(text.tokens, mask, condition.image_tokens, given, size)

    def forward(self, x: Tensor, time: Tensor, prepared: Prepared) -> Prediction:
        """Predict from ``x`` ``[B, C, t, h, w]`` at ``time`` ``[B]``, or ``[B, t]`` with `frame_times`.

        Raises:
            SizeError: When `prepared` is of another latent size.
        """
        self.check_prepared(x, prepared.size)
        return Prediction(self._predicted(x, Process(self.config.process).told(time), prepared))

    @classmethod
    def rename(cls, names: Collection[str], settings: object) -> Mapping[str, str]:
        """Return our names of the original checkpoint's."""
        return denoiser_names(names)

    def published_forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Return ``sample``.

        Args:
            **inputs: ``hidden_states`` ``[B, C, T, H, W]`` (what is given among its channels), ``timestep`` ``[B]`` or
                ``[B, tokens]``, ``encoder_hidden_states`` ``[B, S, text width]``, and ``encoder_hidden_states_image``
                if the model reads one.
        """
        x, channels = inputs["hidden_states"], self.config.latent_channels or 0
        given = x[:, channels:] if x.shape[1] > channels else None
        image = inputs.get("encoder_hidden_states_image")
        if (
            image is not None and self.config.image_places is not None
        ):  # published are two images one after another
            image = rearrange(image, "(b images) n d -> b (images n) d", b=len(x))
        prepared = self._prepared(
            inputs["encoder_hidden_states"],
            None,
            image,
            given,
            Size(*x.shape[2:]),
        )
        return {"sample": self._predicted(x[:, :channels], inputs["timestep"], prepared)}

    def _prepared(
        self, text: Tensor, mask: Tensor | None, image: Tensor | None, given: Tensor | None, size: Size
    ) -> Prepared:
        place = self.patch_embedding.weight
        text = self.condition_embedder["text_embedder"](text.to(place.dtype))
        blocks = [cast("Block", block).attn2 for block in self.blocks]
        pictures: list[KeysValues | None] = [None] * len(blocks)
        if image is not None:
            tokens = self.condition_embedder["image_embedder"](image.to(place.dtype))
            pictures = [block.image_keys_values(tokens) for block in blocks]
        read = (
            TextRead(block.keys_values(text), picture, mask)
            for block, picture in zip(blocks, pictures, strict=True)
        )
        turns = positions(self._grid(size), self.config.head_width, place.device)
        return Prepared(tuple(read), turns, given, Size(*size))

    def _predicted(self, x: Tensor, told: Tensor, prepared: Prepared) -> Tensor:
        t, h, w = grid = self._grid(prepared.size)
        if prepared.given is not None:
            x = torch.cat([x, prepared.given.to(x)], dim=1)
        x = rearrange(self.patch_embedding(self._padded(x)), "b d t h w -> b (t h w) d")
        shared, embedded = self._time(told, grid)
        for number, block in enumerate(self.blocks):
            x = block(x, shared, prepared.turns, prepared.text[number])
        shift, scale = (self.scale_shift_table.float() + embedded[:, :, None].float()).unbind(2)
        made = self.proj_out(modulated(x, shift, scale, self.config.epsilon))
        p, q, r = self.config.patch
        made = rearrange(made, "b (t h w) (p q r c) -> b c (t p) (h q) (w r)", t=t, h=h, w=w, p=p, q=q, r=r)
        return made[:, :, : prepared.size.frames, : prepared.size.height, : prepared.size.width]

    def _time(self, told: Tensor, grid: Size) -> tuple[Tensor, Tensor]:
        """Return the modulation ``[B, 1 or L, 6, D]`` and the embedding ``[B, 1 or L, D]`` of the told time."""
        embedder = self.condition_embedder["time_embedder"]
        single = told.ndim == 1
        told = told[:, None] if single else told
        embedded = embedder(waves(told, self.config.frequencies).to(self.proj_out.weight.dtype))
        shared = self.condition_embedder["time_proj"](functional.silu(embedded)).unflatten(-1, (6, -1))
        tokens = grid.frames * grid.height * grid.width
        if single or told.shape[1] == tokens:
            return shared, embedded
        repeats = tokens // told.shape[1]
        return shared.repeat_interleave(repeats, 1), embedded.repeat_interleave(repeats, 1)

    def _grid(self, size: Size) -> Size:
        return Size(*(-(-side // p) for side, p in zip(size, self.config.patch, strict=True)))

    def _padded(self, x: Tensor) -> Tensor:
        """Repeat the last frame, row and column until patches divide the sides."""
        t, h, w = (-side % p for side, p in zip(x.shape[2:], self.config.patch, strict=True))
        return functional.pad(x, (0, w, 0, h, 0, t), mode="replicate") if t or h or w else x
