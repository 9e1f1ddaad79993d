"""diffusers' denoisers as parts, against diffusers called as its own pipelines call it."""

from __future__ import annotations

import copy
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
from vidgen.errors import CheckpointError, ConfigError, ContractError
from vidgen.interfaces import Condition, TextEmbedding
from vidgen.process import Process
from vidgen.size import Size
from vidgen.testing import Subject, check_component
from vidgen.train.memory import checkpoint_blocks

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


def text(part: Any, length: int = 6, seed: int = 0) -> TextEmbedding:
    draw = torch.Generator().manual_seed(seed)
    mask = torch.ones(2, length, dtype=torch.bool)
    mask[0, 4:] = False
    tokens = torch.randn(2, length, part.config.text_width, generator=draw)
    return TextEmbedding(tokens, mask, torch.randn(2, part.config.pooled_width or POOLED, generator=draw))


def predict(part: Any, x: Tensor, words: TextEmbedding | None = None) -> Tensor:
    with torch.inference_mode():
        made = part(x, TIMES, part.prepare(words or text(part), Condition(), Size(*x.shape[2:])))
    value: Tensor = made.value
    return value


def stirred(preset: str, **fields: Any) -> Any:
    part = vidgen.create("denoiser", f"diffusers/{preset}", **fields)
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in part.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=draw))
    return part


def noise(*size: int) -> Tensor:
    return torch.randn(2, 16, *size, generator=torch.Generator().manual_seed(5))


def test_there_is_a_tiny_preset_for_every_class_and_the_table_is_that_of_diffusers() -> None:
    classes = {SPEC.preset(name).model: SPEC.preset(name).backbone for name in TINY}
    assert classes.keys() == {SPEC.preset(name).model for name in SPEC.presets}
    for model, known in classes.items():
        implied = {"in_channels": known.channels[0], "out_channels": known.channels[1]}
        ours = {**known.defaults, **implied, known.text: known.text_width, **dict([known.pooled or ("", 0)])}
        signature = inspect.signature(getattr(diffusers, model).__init__).parameters
        theirs = {name: one.default for name, one in signature.items() if name != "self"}
        assert ours.keys() - {""} == theirs.keys(), model
        for name, value in theirs.items():
            # what LatteTransformer3DModel leaves open must be in the file
            if value is not None or name not in ("in_channels", "caption_channels"):
                assert ours[name] == (list(value) if isinstance(value, tuple) else value), (model, name)


EXPECTED_FAILURES = {
    "tiny-mochi": {
        "device-follows": "diffusers asks for autocast on the device of the weights, and torch has none for meta",
        "learns-everywhere": "the last block norms queries of the text whose attention nobody reads",
    }
}


@pytest.mark.parametrize("name", TINY)
def test_conformance_of_every_class(name: str) -> None:
    rows = check_component("denoiser", f"diffusers/{name}")
    failed = {row.check: row.message for row in rows if row.status == "fail"}
    assert failed.keys() == EXPECTED_FAILURES.get(name, {}).keys(), failed
    assert sum(row.status == "pass" for row in rows) > 10


@pytest.mark.parametrize(
    ("name", "fields", "options"),
    [
        ("tiny-cogvideox", {"given": True}, {}),
        ("tiny-cogvideox", {}, {**ROTARY, "patch_size_t": 2}),
        ("tiny-hunyuan", {"given": True}, {"image_condition_type": "latent_concat"}),
        ("tiny-hunyuan", {"pooled_width": POOLED}, {"guidance_embeds": False}),
        ("tiny-ltx", FRAMES, {}),
        ("tiny-skyreels-v2", FRAMES, {}),
        ("tiny-wan", {**FRAMES, "text_padding": "zeros"}, {}),
    ],
    ids=str,
)
def test_abilities_of_variants(name: str, fields: dict[str, Any], options: dict[str, Any]) -> None:
    settings = SPEC.preset(name)
    settings = settings.replace(options={**settings.options, **options}, **fields)
    checks = [
        "abilities-as-declared",
        "per-frame-time-as-declared",
        "padding-as-declared",
        "predictions-as-declared",
    ]
    rows = check_component("denoiser", "diffusers", checks=checks, subject=Subject(SPEC, settings, name))
    assert not [row for row in rows if row.status == "fail"]


def test_skyreels_knows_two_rates_and_one_at_a_time_beside_frame_times() -> None:
    options = {**SPEC.preset("tiny-skyreels-v2").options, "inject_sample_info": True}
    for fields in ({}, FRAMES):
        part = stirred("tiny-skyreels-v2", options=options, **fields)
        assert "fps" in part.config.contract().abilities
        x, words, made = noise(2, 4, 4), text(part), {}
        for rate in (8.0, 16.0, 24.0):
            prepared = part.prepare(words, Condition(fps=torch.full((2,), rate)), Size(2, 4, 4))
            made[rate] = part(x, TIMES, prepared).value
        assert torch.equal(made[8.0], made[24.0])
        assert differ(made[8.0], made[16.0]) > 1e-3
    with pytest.raises(ContractError, match="one frame rate for all"):
        part.prepare(words, Condition(fps=torch.tensor([16.0, 24.0])), Size(2, 4, 4))


def test_blocks_that_are_recomputed_give_the_same_gradients() -> None:
    part = stirred("tiny-wan").train()
    other = copy.deepcopy(part)
    checkpoint_blocks(other)
    for one in (part, other):
        x, words = noise(1, 4, 4), text(part)
        one(x, TIMES, one.prepare(words, Condition(), Size(1, 4, 4))).value.square().mean().backward()
    assert all(
        torch.allclose(a.grad, b.grad, atol=1e-6)
        for a, b in zip(part.parameters(), other.parameters(), strict=True)
    )


FULL = {  # billions of parameters, as counted for diffusers on the meta device
    "allegro": 2.772,
    "cogvideox-2b": 1.694,
    "hunyuan-video": 12.82,
    "latte-1": 1.057,
    "ltx-video-0.9": 1.923,
    "mochi-1": 10.03,
    "wan-2.1-1.3b": 1.419,
}


@pytest.mark.parametrize("name", FULL)
def test_parameters_at_full_size(name: str) -> None:
    with torch.device("meta"):
        part = vidgen.create("denoiser", f"diffusers/{name}")
    assert sum(one.numel() for one in part.parameters()) / 1e9 == pytest.approx(FULL[name], rel=5e-4)
    if name == "wan-2.1-1.3b":
        assert len(part.state_dict()) == 825


PREDICTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "tiny-wan": ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
    "tiny-mochi": ("FlowMatchEulerDiscreteScheduler", {"invert_sigmas": True}),
    "tiny-cogvideox": (
        "CogVideoXDDIMScheduler",
        {
            "prediction_type": "v_prediction",
            "rescale_betas_zero_snr": True,
            "snr_shift_scale": 3.0,
            "timestep_spacing": "trailing",
        },
    ),
    "tiny-latte": ("DDIMScheduler", {"beta_schedule": "linear", "clip_sample": False}),
    "tiny-unet-3d": (
        "DDIMScheduler",
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False},
    ),
}


@pytest.mark.parametrize("preset", PREDICTIONS)
def test_a_prediction_means_what_the_published_scheduler_takes_it_for(preset: str) -> None:
    """A step of diffusers' scheduler from the raw output of the model, against the clean sample that we read in it."""
    name, settings = PREDICTIONS[preset]
    scheduler = getattr(diffusers, name)(**settings)
    scheduler.set_timesteps(10)
    config, number = SPEC.preset(preset), 4
    process, told, x, output = (
        Process(config.process),
        scheduler.timesteps[number],
        noise(2, 4, 4),
        noise(2, 4, 5),
    )
    output = output[..., :4]
    expected = scheduler.step(output, told, x, return_dict=False)[0]
    if config.process.family == "rectified-flow":
        time, after = (
            1 - float(s) if config.backbone.reversed_time else float(s)
            for s in scheduler.sigmas[number : number + 2]
        )
    else:
        stride = 100
        time, after = ((int(told) + 1 - n) / 1000 for n in (0, stride))
    ours = -output if config.backbone.reversed_time else output
    clean = process.to_clean(config.prediction, ours, x, time)
    (alpha, sigma), (alpha_after, sigma_after) = (process.coefficients(t, x) for t in (time, after))
    made = alpha_after * clean + sigma_after * (x - alpha * clean) / sigma
    assert differ(made, expected) < 1e-5
    assert torch.allclose(
        process.told(time).float(), (1000 - told if config.backbone.reversed_time else told).float()
    )


def test_shards_load_with_difference_0(tmp_path: Path) -> None:
    model = reference("tiny-cogvideox")
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    part = vidgen.load_published("denoiser", "diffusers", tmp_path)
    assert all(torch.equal(value, part.state_dict()[name]) for name, value in model.state_dict().items())
    sorted(tmp_path.glob("*.safetensors"))[1].unlink()
    with pytest.raises(CheckpointError):
        vidgen.load_published("denoiser", "diffusers", tmp_path)


def test_the_configuration_holds_all_arguments(tmp_path: Path) -> None:
    model = reference("tiny-latte", out_channels=32)
    model.save_pretrained(tmp_path)
    settings = vidgen.load_published("denoiser", "diffusers", tmp_path).config
    assert CONFIG.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    again = getattr(diffusers, settings.model)(**settings.arguments())
    told, plain = (
        {name: value for name, value in json.loads(one.to_json_string()).items() if name[0] != "_"}
        for one in (again, model)
    )
    assert told == plain


@pytest.mark.parametrize("name", TINY)
def test_what_the_patch_does_not_divide_is_padded_and_cropped(name: str) -> None:
    part, (t, h, w) = stirred(name), (3, 5, 7)
    x = noise(t, h, w)
    made = predict(part, x)
    assert made.shape == x.shape
    patch = part.config.patch
    lack = [-n % p for n, p in zip((t, h, w), patch, strict=True)]
    whole = torch.nn.functional.pad(x, (0, lack[2], 0, lack[1], 0, lack[0]), mode="replicate")
    assert torch.equal(made, predict(part, whole)[:, :, :t, :h, :w])


@pytest.mark.parametrize("name", TINY)
def test_tokens_that_are_masked_do_not_matter_wherever_they_stand(name: str) -> None:
    part, x = stirred(name), noise(2, 4, 4)
    words = text(part)
    order = torch.tensor([4, 0, 1, 5, 2, 3])
    mask = words.text_mask[:, order]
    junk = words.tokens[:, order].masked_fill(~mask[..., None], 50.0)
    first = torch.tensor([0])
    made = predict(part, x, TextEmbedding(junk, mask, words.pooled))[first]
    assert differ(made, predict(part, x, words)[first]) < 1e-4


def test_a_prompt_without_tokens_is_finite() -> None:
    for name in TINY:
        part = stirred(name)
        words = text(part)
        empty = TextEmbedding(words.tokens, torch.zeros_like(words.text_mask), words.pooled)
        assert predict(part, noise(1, 4, 4), empty).isfinite().all(), name


def test_prepared_for_several_lengths_in_turn() -> None:
    """Latte's table of frames is part of what is prepared."""
    part = stirred("tiny-latte")
    sizes, words = (Size(2, 4, 4), Size(7, 4, 4)), text(part)
    with torch.inference_mode():
        ready = [part.prepare(words, Condition(), size) for size in sizes]
        for size, prepared in zip(sizes, ready, strict=True):
            again = predict(part, noise(*size), words)
            assert torch.equal(part(noise(*size), TIMES, prepared).value, again)


@pytest.mark.parametrize("name", ["tiny-wan", "tiny-skyreels-v2", "tiny-sana-video"])
def test_rotary_tables_that_are_too_short_are_made_longer(name: str) -> None:
    part = stirred(name)
    longer = vidgen.create(
        "denoiser", f"diffusers/{name}", options={**part.config.options, "rope_max_seq_len": 64}
    )
    longer.load_state_dict(part.state_dict())
    x, small = noise(1, 2, 80), noise(1, 2, 4)
    assert torch.equal(predict(part, x), predict(longer, x))
    assert torch.equal(predict(part, small), predict(longer, small))


def test_the_part_and_its_model_are_one() -> None:
    part = stirred("tiny-wan")
    other = copy.deepcopy(part)
    x = noise(1, 4, 4)
    before = predict(part, x)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(2)
    assert torch.equal(predict(part, x), before)
    assert not torch.equal(predict(other, x), before)
    assert other.model is not part.model
    assert other.model.scale_shift_table is other.scale_shift_table
    part.train()
    assert part.model.training
    assert not part.eval().model.training


@pytest.mark.parametrize("name", TINY)
def test_bfloat16(name: str) -> None:
    options = SPEC.preset(name).options
    if name == "tiny-hunyuan":  # the pipeline rounds 1000 times the guidance to bfloat16 as well
        options = {**options, "guidance_embeds": False}
    part, x = stirred(name, options=options), noise(2, 4, 4)
    words = text(part)
    exact = predict(part, x, words)
    part = part.to(torch.bfloat16)
    made = predict(part, x.bfloat16(), words.to(torch.bfloat16))
    assert made.dtype == torch.bfloat16
    assert float((made - exact).abs().max()) < 0.1 * float(exact.abs().max())


def test_hunyuan_without_a_pooled_text_reads_the_mean_of_the_tokens() -> None:
    part = vidgen.create("denoiser", "diffusers/tiny-hunyuan", text_width=WIDTH)
    assert part.config.pooled_width == 0
    assert part.config.contract().text.pooled_width == 0
    words = text(part)
    prepared = part.prepare(words, Condition(), Size(1, 4, 4))
    assert torch.allclose(prepared.constant["pooled_projections"][0], words.tokens[0, :4].mean(0))
    part = vidgen.create("denoiser", "diffusers/tiny-hunyuan", text_width=WIDTH, pooled_width=POOLED)
    with pytest.raises(ContractError, match="pooled"):
        part.prepare(TextEmbedding(words.tokens, words.text_mask), Condition(), Size(1, 4, 4))


def test_a_text_beyond_the_table_of_positions_is_refused() -> None:
    part = stirred("tiny-cogvideox")
    with pytest.raises(ContractError, match="reads 226 tokens of text, not 227"):
        part.prepare(text(part, 227), Condition(), Size(1, 4, 4))


def test_contracts_say_what_the_published_models_read() -> None:
    contracts = {name: SPEC.preset(name).contract() for name in SPEC.presets}
    assert {name: (one.latent_channels, one.patch, one.text.padding, one.prediction, one.process.family)
            for name, one in contracts.items() if name in FULL} == {
        "allegro": (4, (1, 2, 2), "masked", "epsilon", "vp-linear"),
        "cogvideox-2b": (16, (1, 2, 2), "attended", "v", "vp-scaled-linear"),
        "hunyuan-video": (16, (1, 2, 2), "masked", "flow", "rectified-flow"),
        "latte-1": (4, (1, 2, 2), "masked", "epsilon", "vp-linear"),
        "ltx-video-0.9": (128, (1, 1, 1), "masked", "flow", "rectified-flow"),
        "mochi-1": (12, (1, 2, 2), "masked", "flow", "rectified-flow"),
        "wan-2.1-1.3b": (16, (1, 2, 2), "zeros", "flow", "rectified-flow"),
    }  # fmt: skip
    assert contracts["hunyuan-video"].text.pooled_width == 768
    assert contracts["hunyuan-video"].abilities == {"guidance_embed"}
    assert contracts["ltx-video-0.9"].abilities == {"fps"}
    assert contracts["cogvideox-1.5-5b"].patch == (2, 2, 2)
    assert {name for name in TINY if contracts[name].latent_channels != 16} == set()


def test_an_untrained_one_follows_its_neighbours() -> None:
    settings = SPEC.preset("tiny-ltx").replace(latent_channels=None)
    latent = vidgen.find("autoencoder", "sora-vae").preset("tiny").contract().latent
    words = vidgen.find("text_encoder", "bytes").preset("tiny").contract().text
    filled = settings.follow(latent, words)
    assert (filled.latent_channels, filled.text_width) == (latent.channels, words.width)
    assert filled.pixel_stride == (latent.time_stride, latent.space_stride, latent.space_stride)
    assert filled.arguments()["in_channels"] == latent.channels
    assert filled.forget() == settings.replace(text_width=None)


def test_another_class_forgets_what_belonged_to_the_old_one() -> None:
    changed = SPEC.preset("cogvideox-2b").replace(model="WanTransformer3DModel")
    assert changed == CONFIG(model="WanTransformer3DModel")
    assert changed.prediction == "flow"


def test_equal_models_have_equal_configurations() -> None:
    said = CONFIG(
        options={"in_channels": 16, "out_channels": 16, "text_dim": 64, "num_layers": 40, "eps": 1e-6}
    )
    assert said == CONFIG(latent_channels=16, text_width=64)
    assert hash(said) == hash(CONFIG(latent_channels=16, text_width=64))
    with pytest.raises(TypeError, match="frozen"):
        said.options["num_layers"] = 3


WAN = {"_class_name": "WanTransformer3DModel"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "denoiser None is not supported"),
        ({"_class_name": "WanTransformer3D"}, "Did you mean 'WanTransformer3DModel'"),
        ({"_class_name": "os.system"}, "Supported are: Allegro"),
        ({**WAN, "num_layer": 3}, "no argument 'num_layer'. Did you mean 'num_layers'"),
        ({**WAN, "image_dim": 1280}, "image_dim is implemented for None, not 1280"),
        ({**WAN, "in_channels": 36}, "in_channels 36 and out_channels 16"),
        ({"_class_name": "LatteTransformer3DModel"}, "patch_size must be given"),
        (
            {"_class_name": "HunyuanVideoTransformer3DModel", "image_condition_type": "token_replace"},
            "'latent_concat'",
        ),
    ],
)
def test_what_is_not_known_is_refused_by_name(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CONFIG.from_published(data, [])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"options": {"text_dim": 32}, "text_width": 64}, "text_width is 64, but options say text_dim = 32"),
        ({"options": {"in_channels": 4}, "latent_channels": 16}, "latent_channels is 16, but options say 4"),
        ({"options": {"in_channels": "four"}}, "in_channels 'four'"),
        ({"options": {"eps": object()}}, "what JSON can hold"),
        ({"options": 3}, "must be a table"),
        ({"given": True}, "no variant that takes given frames"),
        ({"pooled_width": 8}, "reads no pooled text"),
        ({"model": "MochiTransformer3DModel", "per_frame_time": True}, "cannot be told a time"),
        ({"model": "MochiTransformer3DModel", "text_tokens": 5}, "masks its text"),
        ({"model": "CogVideoXTransformer3DModel", "text_tokens": 5}, "must be max_text_seq_length, 226"),
    ],
)
def test_what_does_not_go_together_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CONFIG(**fields)


def test_arguments_that_are_none_stand_in_toml() -> None:
    settings = CONFIG(options={"qk_norm": None})
    data = settings.to_dict()
    assert data["options"] == {"qk_norm": []}
    assert CONFIG.from_dict(data) == settings
    assert settings.arguments()["qk_norm"] is None


def test_what_diffusers_refuses_is_said() -> None:
    options = {**SPEC.preset("tiny-hunyuan").options, "qk_norm": "nonsense"}
    with pytest.raises(ConfigError, match="diffusers cannot make a HunyuanVideoTransformer3DModel"):
        vidgen.create("denoiser", "diffusers/tiny-hunyuan", options=options)


def test_switches_that_are_off_may_be_unknown() -> None:
    assert CONFIG.from_published(
        {**WAN, "some_new_feature": None, "another": False}, []
    ) == CONFIG.from_published(WAN, [])


@pytest.mark.filterwarnings("ignore:Random weights")
@pytest.mark.parametrize("name", TINY)
def test_every_class_makes_a_video_with_parts_of_others(name: str, tmp_path: Path) -> None:
    """Its latent channels, text, strides and pooled text follow; saved and loaded it makes the same video."""
    settings = SPEC.preset(name).replace(latent_channels=None)
    pipe = vidgen.compose(
        autoencoder="sora-vae/tiny", denoiser=settings, text_encoder="bytes/tiny", scheduler="dpmpp-2m"
    )
    assert pipe.status == "must be trained"
    sizes = {"frames": 5, "height": 32, "width": 48, "steps": 2, "seed": 0, "guidance": 3.0}
    made = pipe("a red circle", **sizes)
    pipe.save(tmp_path / "pipe")
    assert vidgen.load(tmp_path / "pipe")("a red circle", **sizes) == made
