"""diffusers' denoisers as parts, against diffusers called as its own pipelines call it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

import vidgen
from vidgen.errors import CheckpointError, ConfigError, ContractError, SizeError
from vidgen.interfaces import Condition, TextEmbedding
from vidgen.process import Process
from vidgen.size import Size
from vidgen.testing import check_component

diffusers = pytest.importorskip("diffusers", reason="diffusers is not installed (pip install diffusers)")

SPEC = vidgen.find("denoiser", "diffusers")
CONFIG: Any = SPEC.config
TINY = [name for name in SPEC.presets if name.startswith("tiny-")]
TIMES = torch.tensor([0.871, 0.3], dtype=torch.float64)
RATE = torch.tensor([12.0, 30.0])
GUIDANCE = torch.tensor([3.0, 6.5])
WIDTH, POOLED = 32, 8


@dataclass
class Asked:
    """What both sides are asked; `told` is the number that the pipeline's scheduler would give the model."""

    x: Tensor
    told: Tensor
    tokens: Tensor
    mask: Tensor
    pooled: Tensor
    given: Tensor | None = None


def wan(model: Any, asked: Asked) -> Tensor:
    tokens = torch.zeros(2, 512, WIDTH)
    tokens[:, : asked.tokens.shape[1]] = asked.tokens * asked.mask[..., None]
    return model(asked.x, asked.told, tokens).sample


def wan_frames(model: Any, asked: Asked) -> Tensor:
    """Wan 2.2 TI2V tells each token its time."""
    rows, columns = asked.x.shape[3] // 2, asked.x.shape[4] // 2
    told = asked.told[:, :, None, None].expand(-1, -1, rows, columns).flatten(1)
    return wan(model, Asked(asked.x, told, asked.tokens, asked.mask, asked.pooled))


def skyreels(model: Any, asked: Asked) -> Tensor:
    tokens = torch.zeros(2, 512, WIDTH)
    tokens[:, : asked.tokens.shape[1]] = asked.tokens * asked.mask[..., None]
    more: dict[str, Any] = {}
    if model.config.inject_sample_info:
        more["fps"] = [0 if rate == 16 else 1 for rate in RATE.tolist()]
    return model(asked.x, asked.told, tokens, enable_diffusion_forcing=asked.told.ndim == 2, **more).sample


def hunyuan(model: Any, asked: Asked) -> Tensor:
    x = asked.x if asked.given is None else torch.cat([asked.x, asked.given], dim=1)
    guidance = 1000 * GUIDANCE if model.config.guidance_embeds else None
    # behind its tokens a prompt has what the encoder gave for the padding
    tokens = asked.tokens + ~asked.mask[..., None]
    return model(x, asked.told, tokens, asked.mask, asked.pooled, guidance).sample


def cogvideox(model: Any, asked: Asked) -> Tensor:
    pipeline = SimpleNamespace(vae_scale_factor_spatial=8, transformer=model)
    rotary = None
    if model.config.use_rotary_positional_embeddings:
        t, h, w = asked.x.shape[2:]
        make = diffusers.CogVideoXPipeline._prepare_rotary_positional_embeddings
        rotary = make(pipeline, 8 * h, 8 * w, t, torch.device("cpu"))
    x = asked.x if asked.given is None else torch.cat([asked.x, asked.given[:, :16]], dim=1)
    ofs = torch.full((1,), 2.0) if model.config.ofs_embed_dim else None
    x = x.permute(0, 2, 1, 3, 4)
    return model(x, asked.tokens, asked.told, ofs=ofs, image_rotary_emb=rotary).sample.permute(0, 2, 1, 3, 4)


def ltx(model: Any, asked: Asked) -> Tensor:
    """One sample at a time, since the pipeline has one rate for all."""
    patch, size, rows = (model.config.patch_size, model.config.patch_size_t), asked.x.shape[2:], []
    t, h, w = size[0] // patch[1], size[1] // patch[0], size[2] // patch[0]
    packed = diffusers.LTXPipeline._pack_latents(asked.x, *patch)
    tokens = asked.tokens + ~asked.mask[..., None]
    for row in range(2):
        told = asked.told[row : row + 1]
        if told.ndim == 2:
            told = told[:, :, None].expand(-1, -1, h * w).flatten(1)
        scale = (8 / float(RATE[row]), 32, 32)
        one = slice(row, row + 1)
        rows.append(model(packed[one], tokens[one], told, asked.mask[one], t, h, w, scale).sample)
    return diffusers.LTXPipeline._unpack_latents(torch.cat(rows), t, h, w, *patch)


def latte(model: Any, asked: Asked) -> Tensor:
    """One sample at a time: the pipeline cuts a prompt behind its last token."""
    rows = []
    for row, count in enumerate(asked.mask.sum(1).tolist()):
        one = slice(row, row + 1)
        rows.append(model(asked.x[one], asked.told[one], asked.tokens[one, :count]).sample)
    return torch.cat(rows)


def mochi(model: Any, asked: Asked) -> Tensor:
    tokens = asked.tokens + ~asked.mask[..., None]
    return -model(asked.x, tokens, 1000 - asked.told, asked.mask).sample


def allegro(model: Any, asked: Asked) -> Tensor:
    pipeline = SimpleNamespace(vae_scale_factor_spatial=8, transformer=model)
    t, h, w = asked.x.shape[2:]
    make = diffusers.AllegroPipeline._prepare_rotary_positional_embeddings
    rotary = make(pipeline, 2, 8 * h, 8 * w, t, torch.device("cpu"))
    tokens = asked.tokens + ~asked.mask[..., None]
    return model(
        asked.x, tokens, asked.told, encoder_attention_mask=asked.mask, image_rotary_emb=rotary
    ).sample


def sana(model: Any, asked: Asked) -> Tensor:
    tokens = asked.tokens + ~asked.mask[..., None]
    return model(asked.x, tokens, asked.told, encoder_attention_mask=asked.mask).sample


def unet(model: Any, asked: Asked) -> Tensor:
    return model(asked.x, asked.told, asked.tokens).sample


@dataclass
class Case:
    """A model, how its pipeline calls it, and what our configuration says beside the published one."""

    preset: str
    call: Callable[[Any, Asked], Tensor]
    options: dict[str, Any] = field(default_factory=dict)
    ours: dict[str, Any] = field(default_factory=dict)
    condition: Condition = field(default_factory=Condition)
    length: int = 7
    given: int | None = None
    size: Size = field(default_factory=lambda: Size(3, 4, 6))


FPS, GUIDED = Condition(fps=RATE), Condition(guidance_embed=GUIDANCE)
ROTARY = {"use_rotary_positional_embeddings": True, "attention_head_dim": 16, "sample_width": 6}
FRAMES = {"per_frame_time": True}
CASES = {
    "allegro": Case("tiny-allegro", allegro),
    "allegro, four channels": Case("tiny-allegro", allegro, {"in_channels": 4, "out_channels": 4}),
    "cogvideox": Case("tiny-cogvideox", cogvideox, length=226),
    "cogvideox, size trained on": Case("tiny-cogvideox", cogvideox, length=226, size=Size(3, 2, 2)),
    "cogvideox 5b": Case("tiny-cogvideox", cogvideox, ROTARY, length=226),
    "cogvideox 5b, high": Case("tiny-cogvideox", cogvideox, ROTARY, length=226, size=Size(2, 10, 4)),
    "cogvideox 1.5": Case(
        "tiny-cogvideox", cogvideox, {**ROTARY, "patch_size_t": 2, "patch_bias": False, "sample_height": 20,
        "sample_width": 20}, length=226, size=Size(4, 4, 6),
    ),
    "cogvideox 1.5, image": Case(
        "tiny-cogvideox", cogvideox, {**ROTARY, "in_channels": 32, "ofs_embed_dim": 2}, length=226, given=16
    ),
    "hunyuan": Case("tiny-hunyuan", hunyuan, condition=GUIDED),
    "hunyuan, patches, no guidance": Case(
        "tiny-hunyuan", hunyuan, {"patch_size": 2, "patch_size_t": 1, "guidance_embeds": False}
    ),
    "hunyuan, image": Case(
        "tiny-hunyuan", hunyuan, {"in_channels": 33, "image_condition_type": "latent_concat"},
        condition=GUIDED, given=17,
    ),
    "latte": Case("tiny-latte", latte, {"out_channels": 32}, size=Size(4, 4, 6)),
    "latte, image": Case("tiny-latte", latte, size=Size(1, 8, 8)),
    "ltx": Case("tiny-ltx", ltx, condition=FPS),
    "ltx, patches": Case(
        "tiny-ltx", ltx, {"patch_size": 2, "patch_size_t": 1, "in_channels": 64, "out_channels": 64}, condition=FPS
    ),
    "ltx, a time a frame": Case("tiny-ltx", ltx, ours=FRAMES, condition=FPS),
    "mochi": Case("tiny-mochi", mochi, {"in_channels": 12}),
    "mochi, 16 channels": Case("tiny-mochi", mochi),
    "sana-video": Case("tiny-sana-video", sana),
    "skyreels": Case("tiny-skyreels-v2", skyreels),
    "skyreels, rate": Case("tiny-skyreels-v2", skyreels, {"inject_sample_info": True}, condition=FPS),
    "skyreels, a time a frame": Case("tiny-skyreels-v2", skyreels, ours=FRAMES),
    "unet": Case("tiny-unet-3d", unet, {"in_channels": 4, "out_channels": 4}, length=77),
    "unet, odd sides": Case("tiny-unet-3d", unet, length=77, size=Size(5, 5, 7)),
    "wan": Case("tiny-wan", wan),
    "wan, no queries normed": Case("tiny-wan", wan, {"qk_norm": None, "cross_attn_norm": False}),
    "wan, a time a frame": Case("tiny-wan", wan_frames, ours=FRAMES),
}  # fmt: skip


@torch.no_grad()
def reference(preset: str, **options: Any) -> Any:
    """Return a tiny model of diffusers with no weight left as it is initialised."""
    settings: Any = SPEC.preset(preset)
    known = settings.backbone
    pooled = {known.pooled[0]: POOLED} if known.pooled else {}
    made = {"in_channels": 16, "out_channels": 16, known.text: WIDTH, **pooled, **settings.options, **options}
    if "out_channels" not in options and known.channels[1] is None:
        made["out_channels"] = None
    model = getattr(diffusers, settings.model)(**made).eval()
    draw = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        fan = parameter[0].numel() if parameter.ndim > 1 else 4
        parameter.copy_(1.5 * fan**-0.5 * torch.randn(parameter.shape, generator=draw))
    return model


def ask(part: Any, case: Case) -> tuple[Asked, Tensor]:
    """Return what diffusers is asked, and our times for it."""
    draw = torch.Generator().manual_seed(1)
    channels = part.config.latent_channels
    tokens, pooled = (torch.randn(2, *n, generator=draw) for n in ((case.length, WIDTH), (POOLED,)))
    mask = torch.ones(2, case.length, dtype=torch.bool)
    if part.config.text_padding != "attended":
        mask[0, 4:] = False
    times = TIMES
    if part.config.per_frame_time:
        times = TIMES[:, None] * torch.linspace(0, 1, case.size.frames, dtype=torch.float64)
    given = None if case.given is None else torch.randn(2, channels + 1, *case.size, generator=draw)
    told = times * 1000
    if part.config.process.family != "rectified-flow":
        told = told - 1
    told = told.float()
    return Asked(
        torch.randn(2, channels, *case.size, generator=draw), told, tokens, mask, pooled, given
    ), times


def differ(made: Tensor, expected: Tensor) -> float:
    assert made.shape == expected.shape
    assert float(expected.std()) > 0.1, "the comparison would mean little"
    return float((made - expected).abs().max())


@pytest.mark.parametrize("name", CASES)
def test_as_diffusers_calls_it(name: str, tmp_path: Path, record_property: Any) -> None:
    case = CASES[name]
    model = reference(case.preset, **case.options)
    model.save_pretrained(tmp_path)
    part = vidgen.load_published("denoiser", "diffusers", tmp_path, **case.ours)
    assert part.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, part.state_dict()[key]) for key, value in model.state_dict().items())
    asked, times = ask(part, case)
    condition = replace(case.condition, given=asked.given)
    text = TextEmbedding(asked.tokens, asked.mask, asked.pooled)
    with torch.inference_mode():
        expected = case.call(model, asked)
        made = part(asked.x, times, part.prepare(text, condition, case.size))
    both = [made.value] if made.log_variance is None else [made.value, made.log_variance]
    worst = differ(torch.cat(both, dim=1), expected)
    record_property("largest_difference", worst)
    assert worst < 1e-5
    assert (made.log_variance is not None) == (expected.shape[1] == 2 * asked.x.shape[1])
