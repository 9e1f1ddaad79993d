"""`diffusers`: a video transformer or U-Net of diffusers behind our interface, its manners hidden inside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from vidgen import PublishedLayout
from vidgen.errors import ConfigError, ContractError
from vidgen.interfaces import Condition, Denoiser, Prediction, TextEmbedding
from vidgen.process import Process
from vidgen.size import Size
from vidgen_diffusers.denoiser_calls import CALLS, Asked
from vidgen_diffusers.denoiser_config import DiffusersDenoiserConfig
from vidgen_diffusers.library import published_class

__all__ = ["DiffusersDenoiser", "Prepared"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """What stays the same along the steps.

    Attributes:
        constant: Keyword arguments of the model.
        tables: Buffers of the model that depend on the size.
        given: Channels beside the latents ``[B, C', t, h, w]``, for variants that take given frames.
        size: Latent size (t, h, w), before padding to patches.
    """

    constant: dict[str, Any]
    tables: dict[str, Tensor]
    given: Tensor | None
    size: Size


class DiffusersDenoiser(Denoiser, PublishedLayout):
    """A denoiser of diffusers: any number of frames and any size; what the patch does not divide is padded inside.

    Its parameters, buffers and modules *are* those of the model of diffusers (`model`), so that they have the
    published names, and whatever is done to one of the two is done to both.

    Args:
        config: The configuration.

    Raises:
        ConfigError: When diffusers refuses the arguments.
        MissingDependencyError: Where there is no diffusers, or one without the class.
    """

    config: DiffusersDenoiserConfig
    model: nn.Module
    """The model of diffusers."""

    def __init__(self, config: DiffusersDenoiserConfig) -> None:
        super().__init__(config.follow())
        published, arguments = published_class(config.model), self.config.arguments()
        try:
            model: nn.Module = published(**arguments)
        except Exception as problem:  # whatever the class stumbles over
            raise ConfigError(
                f"diffusers cannot make a {config.model} of these options: {problem}"
            ) from problem
        self.__dict__["model"] = model
        for shared in ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set"):
            self.__dict__[shared] = model.__dict__[shared]

    def train(self, mode: bool = True) -> DiffusersDenoiser:
        """Set training or evaluation mode."""
        self.model.training = mode
        return cast("DiffusersDenoiser", super().train(mode))

    def prepare(self, text: TextEmbedding, condition: Condition, size: Size) -> Prepared:
        """Compute what a latent size (t, h, w), a text and the other conditions amount to for the model.

        Raises:
            ContractError: For a condition that the model does not know, a text that is too long, and a pooled text
                that is missing.
        """
        config = self.config
        condition.check(config.contract(), config.model)
        asked = Asked(config, *self._read(text), condition, self._whole(size))
        given = condition.given
        if config.given:
            channels, mask = config.latent_channels or 0, config.backbone.given or 0
            if given is None:
                given = torch.zeros(len(asked.tokens), channels + 1, *size).to(asked.tokens)
            given = self._padded(given[:, : channels + mask])
        call = CALLS[config.model]
        return Prepared(call.constant(self.model, asked), call.tables(self.model, asked), given, Size(*size))

    def forward(self, x: Tensor, time: Tensor, prepared: Prepared) -> Prediction:
        """Predict from ``x`` ``[B, C, t, h, w]`` at ``time`` ``[B]``, or ``[B, t]`` with `per_frame_time`.

        Raises:
            SizeError: When `prepared` is of another latent size.
        """
        self.check_prepared(x, prepared.size)
        config, process, call = self.config, self.config.contract().process, CALLS[self.config.model]
        told = Process(process).told(time)
        if config.backbone.reversed_time:
            told = process.steps - told
        latents = self._padded(x)
        if prepared.given is not None:
            latents = torch.cat([latents, prepared.given], dim=1)
        grid = self._grid(prepared.size)
        told = self._frame_times(told, grid) if config.per_frame_time else told
        axes = dict(zip("pqr", config.patch, strict=True)) if "p" in call.layout else {}
        plain = "b c (t p) (h q) (w r)" if axes else "b c t h w"
        for name, table in prepared.tables.items():
            setattr(self.model, name, table)
        made = self.model(
            **{call.latents: rearrange(latents, f"{plain} -> {call.layout}", **axes)},
            timestep=told.to(x.device, torch.float32),
            return_dict=False,
            **prepared.constant,
        )[0]
        sides = dict(zip("thw", grid, strict=True)) if axes else {}
        made = rearrange(made, f"{call.layout} -> {plain}", **axes, **sides)
        t, h, w = prepared.size
        made = made[:, :, :t, :h, :w]
        if config.backbone.reversed_time:
            made = -made
        return Prediction(*made.chunk(2, dim=1)) if config.learned_sigma else Prediction(made)

    def published_forward(self, **inputs: Any) -> dict[str, Tensor]:
        """Return ``sample`` of the model of diffusers, called as it stands."""
        return {"sample": self.model(**inputs, return_dict=False)[0]}

    def _read(self, text: TextEmbedding) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return tokens, mask and pooled text in the form that all models read: behind the tokens are zeros."""
        config, mask = self.config, text.text_mask.bool()
        order = mask.to(torch.uint8).argsort(dim=1, descending=True, stable=True)
        mask = mask.gather(1, order)
        tokens = text.tokens.gather(1, order[..., None].expand_as(text.tokens))
        tokens = tokens.masked_fill(~mask[..., None], 0)
        missing = (config.text_tokens or 0) - tokens.shape[1]
        most = config.contract().text.max_tokens
        if most is not None and missing < 0:
            raise ContractError(
                f"{config.model} reads {most} tokens of text, not {tokens.shape[1]}; shorten the prompt."
            )
        pad = nn.functional.pad
        tokens, mask = pad(tokens, (0, 0, 0, max(missing, 0))), pad(mask, (0, max(missing, 0)))
        if not config.backbone.reads_nothing:
            mask[:, 0] |= ~mask.any(dim=1)  # a prompt of no token reads one zero
        pooled = text.pooled if config.pooled_width else None
        if pooled is None and config.pooled_width:
            raise ContractError(f"{config.model} reads a pooled text; choose a text encoder that gives one.")
        return tokens, mask, pooled

    def _grid(self, size: Size) -> Size:
        return Size(*(-(-n // p) for n, p in zip(size, self.config.patch, strict=True)))

    def _whole(self, size: Size) -> Size:
        return Size(*(n * p for n, p in zip(self._grid(size), self.config.patch, strict=True)))

    def _padded(self, x: Tensor) -> Tensor:
        """Return latents whose last frame, row and column are repeated until the patch divides their size."""
        size = Size(*x.shape[2:])
        lack = [(0, whole - n) for whole, n in zip(self._whole(size), size, strict=True)]
        if not any(n for _, n in lack):
            return x
        return nn.functional.pad(x, [n for pair in reversed(lack) for n in pair], mode="replicate")

    def _frame_times(self, told: Tensor, grid: Size) -> Tensor:
        """Return a time for each frame ``[B, t]`` (SkyReels), or for each token (Wan, LTX)."""
        if told.ndim == 1:
            told = told[:, None].expand(-1, grid.frames)
        if self.config.model == "SkyReelsV2Transformer3DModel":
            return told
        return repeat(told, "b t -> b (t n)", n=grid.height * grid.width)
