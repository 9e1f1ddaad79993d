"""How each of diffusers' denoisers wants to be called: what stays the same along the steps, by its argument names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from einops import repeat
from torch import Tensor, nn

from vidgen.errors import ContractError
from vidgen.interfaces import Condition
from vidgen.size import Size
from vidgen_diffusers.denoiser_config import DiffusersDenoiserConfig

__all__ = ["CALLS", "Asked", "Call"]

GUIDANCE, FPS = 6.0, {"LTXVideoTransformer3DModel": 25.0, "SkyReelsV2Transformer3DModel": 24.0}
"""What the pipelines tell the models when nobody says anything else."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What `prepare` is asked for.

    Attributes:
        config: The denoiser's configuration.
        tokens: Text ``[B, L, D]``: the tokens to read come first, behind them are zeros.
        mask: Boolean ``[B, L]``, True for tokens to read.
        pooled: ``[B, P]`` or None.
        condition: What else it is told.
        size: Latent size (t, h, w), whole patches.
    """

    config: DiffusersDenoiserConfig
    tokens: Tensor
    mask: Tensor
    pooled: Tensor | None
    condition: Condition
    size: Size

    @property
    def grid(self) -> Size:
        """Tokens (t, h, w)."""
        return Size(*(n // p for n, p in zip(self.size, self.config.patch, strict=True)))

    @property
    def fps(self) -> Tensor:
        """Frames a second ``[B]``."""
        given = self.condition.fps
        if given is not None:
            return given.to(self.tokens.device, torch.float32)
        return torch.full((len(self.tokens),), FPS[self.config.model], device=self.tokens.device)


@dataclass(frozen=True, slots=True)
class Call:
    """The manner of one class.

    Attributes:
        constant: Makes the keyword arguments that stay the same, from the model and what is asked.
        tables: Likewise makes buffers of the model that depend on what is asked; it holds them while it is called.
        latents: The name of its latents.
        layout: Their layout, as einops writes it; p, q and r are the sides of the patch.
    """

    constant: Callable[[nn.Module, Asked], dict[str, Any]]
    tables: Callable[[nn.Module, Asked], dict[str, Tensor]] = lambda model, asked: {}
    latents: str = "hidden_states"
    layout: str = "b c t h w"


def _plain(model: nn.Module, asked: Asked) -> dict[str, Any]:
    return {"encoder_hidden_states": asked.tokens}


def _masked(model: nn.Module, asked: Asked) -> dict[str, Any]:
    return {"encoder_hidden_states": asked.tokens, "encoder_attention_mask": asked.mask}


def _wan(model: nn.Module, asked: Asked) -> dict[str, Any]:
    _extend_positions(model, asked)
    return _plain(model, asked)


def _sana(model: nn.Module, asked: Asked) -> dict[str, Any]:
    _extend_positions(model, asked)
    return _masked(model, asked)


def _skyreels(model: nn.Module, asked: Asked) -> dict[str, Any]:
    made = _wan(model, asked)
    forcing = asked.config.per_frame_time
    if asked.config.option("inject_sample_info"):
        rates = (asked.fps != 16).long()  # it was told two rates alone: 16 frames a second, and all others
        if forcing and not (rates == rates[0]).all():
            raise ContractError(
                "SkyReelsV2 takes one frame rate for all samples when frames have their own times."
            )
        made["fps"] = rates[:1] if forcing else rates
    if forcing:
        made["enable_diffusion_forcing"] = True
    return made


def _extend_positions(model: Any, asked: Asked) -> None:
    """Lengthen a table of rotary positions that is too short; its entries do not depend on its length."""
    most = max(asked.grid)
    if most > asked.config.option("rope_max_seq_len") and most > getattr(model, "positions", 0):
        width = asked.config.option("attention_head_dim")
        with torch.device(asked.tokens.device):
            model.rope = type(model.rope)(width, asked.config.patch, most)
        model.positions = most


def _hunyuan(model: nn.Module, asked: Asked) -> dict[str, Any]:
    count = asked.mask.sum(1, keepdim=True)
    mean = asked.tokens.sum(1) / count  # what is masked is zero
    made = {**_masked(model, asked), "pooled_projections": mean if asked.pooled is None else asked.pooled}
    if asked.config.option("guidance_embeds"):
        scale = asked.condition.guidance_embed
        scale = torch.full((len(mean),), GUIDANCE) if scale is None else scale
        made["guidance"] = 1000.0 * scale.to(mean)
    return made


def _latte(model: nn.Module, asked: Asked) -> dict[str, Any]:
    made = _plain(model, asked)
    if not asked.mask.all():  # it wants the mask once a frame
        made["encoder_attention_mask"] = repeat(asked.mask, "b l -> (b t) l", t=asked.size.frames)
    return made


def _latte_tables(model: Any, asked: Asked) -> dict[str, Tensor]:
    """Return the positions of all frames: the model's table is for the number of frames that it was trained on."""
    width, known = model.scale_shift_table.shape[1], model.temp_pos_embed
    rates = 10_000 ** -(torch.arange(width // 2, dtype=torch.float64) / (width // 2))
    angles = torch.arange(asked.size.frames)[:, None] * rates
    return {"temp_pos_embed": torch.cat([angles.sin(), angles.cos()], dim=1)[None].to(known)}


def _cogvideox(model: nn.Module, asked: Asked) -> dict[str, Any]:
    made: dict[str, Any] = {"encoder_hidden_states": asked.tokens}
    config, (_, h, w) = asked.config, asked.grid
    if config.option("ofs_embed_dim"):
        made["ofs"] = torch.full((1,), 2.0, device=asked.tokens.device)
    if not config.option("use_rotary_positional_embeddings"):
        return made
    high, wide = (
        config.option(side) // config.option("patch_size") for side in ("sample_height", "sample_width")
    )
    if config.option("patch_size_t") is None:
        # positions of another size are stretched over the middle of those trained on, the aspect kept
        scale = high / h if h / w > high / wide else wide / w
        rows, columns = (
            (low, low + length)
            for low, length in (
                (round((side - n) / 2), n) for side, n in ((high, round(scale * h)), (wide, round(scale * w)))
            )
        )
        places = [_linspace(*rows, h), _linspace(*columns, w)]
    else:
        places = [torch.arange(n, dtype=torch.float32) for n in (h, w)]
    frames = torch.arange(asked.grid.frames, dtype=torch.float32)
    width = config.option("attention_head_dim")
    angles = [_angles(frames, width // 4), *(_angles(one, width // 8 * 3) for one in places)]
    joined = _spread(angles).repeat_interleave(2, dim=-1).to(asked.tokens.device)
    made["image_rotary_emb"] = (joined.cos(), joined.sin())
    return made


def _linspace(first: float, last: float, count: int) -> Tensor:
    """Return `count` places from `first`, the end left out."""
    return torch.linspace(first, last * (count - 1) / count, count, dtype=torch.float32)


def _angles(places: Tensor, width: int) -> Tensor:
    """Return rotary angles ``[N, width / 2]`` of places ``[N]``."""
    rates = 1.0 / 10_000 ** (torch.arange(0, width, 2, dtype=torch.float32) / width)
    return torch.outer(places, rates)


def _spread(axes: list[Tensor]) -> Tensor:
    """Return ``[t h w, D]`` from what belongs to each frame, row and column."""
    t, h, w = (len(axis) for axis in axes)
    shaped = [axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None]]
    return torch.cat([axis.expand(t, h, w, -1) for axis in shaped], dim=-1).flatten(0, 2)


def _allegro(model: nn.Module, asked: Asked) -> dict[str, Any]:
    config, device = asked.config, asked.tokens.device
    width = config.option("attention_head_dim") // 3
    turns, places = [], []
    for count, axis in zip(asked.grid, "thw", strict=True):
        angles = _angles(_linspace(0, count, count) / config.option(f"interpolation_scale_{axis}"), width)
        both = torch.cat([angles, angles], dim=-1).to(device)
        turns.append((both.cos(), both.sin()))
        places.append(torch.arange(count, device=device))
    grid = torch.cartesian_prod(*places).T[:, None]
    return {**_masked(model, asked), "image_rotary_emb": (tuple(turns), tuple(grid))}


def _ltx(model: nn.Module, asked: Asked) -> dict[str, Any]:
    time, high, wide = asked.config.pixel_stride or (8, 32, 32)
    t, h, w = asked.grid
    sides = [
        torch.arange(n, dtype=torch.float32, device=asked.tokens.device) * stride * patch
        for n, stride, patch in zip((t, h, w), (time, high, wide), asked.config.patch, strict=True)
    ]
    places = torch.stack(torch.meshgrid(*sides, indexing="ij")).flatten(1)
    coords = places.repeat(len(asked.tokens), 1, 1)
    coords[:, 0] /= asked.fps[:, None]  # seconds
    return {**_masked(model, asked), "video_coords": coords}


CALLS: Mapping[str, Call] = {
    "AllegroTransformer3DModel": Call(_allegro),
    "CogVideoXTransformer3DModel": Call(_cogvideox, layout="b t c h w"),
    "HunyuanVideoTransformer3DModel": Call(_hunyuan),
    "LTXVideoTransformer3DModel": Call(_ltx, layout="b (t h w) (c p q r)"),
    "LatteTransformer3DModel": Call(_latte, tables=_latte_tables),
    "MochiTransformer3DModel": Call(_masked),
    "SanaVideoTransformer3DModel": Call(_sana),
    "SkyReelsV2Transformer3DModel": Call(_skyreels),
    "UNet3DConditionModel": Call(_plain, latents="sample"),
    "WanTransformer3DModel": Call(_wan),
}
