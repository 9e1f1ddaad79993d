"""Folders of whole pipelines as diffusers writes them, as recipes. Neither torch nor diffusers here.

What a pipeline of diffusers (0.42.1) does beside its parts stands in its code and in no file: how prompts are padded
and cleaned, which times it hands its sampler, what a call makes by default. Here it is a table, `FAMILIES`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from vidgen.contract import LatentSpec
from vidgen.errors import CheckpointError, ConfigError, UnknownNameError
from vidgen.layout import PipelineLayout, PublishedScheduler, check_classes, read_scheduler
from vidgen.published import read_fields
from vidgen.recipe import Recipe, Sampling, Slot
from vidgen.registry import find
from vidgen.size import Size
from vidgen.tensors import fingerprint, read_json
from vidgen_diffusers.autoencoder_models import AUTOENCODERS
from vidgen_diffusers.denoiser_models import BACKBONES
from vidgen_diffusers.scheduler_config import DiffusersSchedulerConfig

__all__ = ["FAMILIES", "DiffusersLayout", "Family"]

Fields = Mapping[str, Any]

PREDICTIONS: Mapping[str, Any] = {
    "epsilon": "epsilon",
    "flow_prediction": "flow",
    "sample": "sample",
    "v_prediction": "v",
}

TEXT_ENCODERS = {
    "CLIPTextModel": "clip",
    "LlamaModel": "llama",
    "MT5EncoderModel": "t5",
    "T5EncoderModel": "t5",
    "UMT5EncoderModel": "t5",
}
"""Our text encoders by the classes of transformers that they run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """What a pipeline does that stands in no file of its folder.

    Attributes:
        text: Fields of our text encoder, of the fields of ``model_index.json`` and of the denoiser.
        call: What a call makes by default, of the denoiser's fields and the latents.
        denoiser: The folder of the denoiser.
        pooled: Fields of a second text encoder, which gives the pooled text; None for a family with one.
        times: Which times the sampler is told to take: its `own`, `even` ones (which it then shifts), or
            `linear-quadratic` ones.
        distances: Whether the denoiser measures distances in pixels, and so is told the autoencoder's strides.
    """

    text: Callable[[Fields, Fields], Fields]
    call: Callable[[Fields, LatentSpec], Fields]
    denoiser: str = "transformer"
    pooled: Fields | None = None
    times: Literal["own", "even", "linear-quadratic"] = "own"
    distances: bool = False


def _plain(**fields: Any) -> Callable[[Any, Any], Fields]:
    return lambda *_: fields


def _sampled(frames: int, **fields: Any) -> Callable[[Fields, LatentSpec], Fields]:
    """Return a call of the height and width that the denoiser's fields say in latents."""

    def call(data: Fields, latent: LatentSpec) -> Fields:
        sides = (data.get(name) or data.get("sample_size") for name in ("sample_height", "sample_width"))
        height, width = (latent.space_stride * (side or 1) for side in sides)
        return {"frames": frames, "height": height, "width": width, **fields}

    return call


def _allegro(data: Fields, latent: LatentSpec) -> Fields:
    fields = {"fps": 15.0, "steps": 100, "guidance": 7.5}
    return _sampled(data["sample_frames"] * latent.time_stride, **fields)(data, latent)


def _hunyuan(data: Fields, latent: LatentSpec) -> Fields:
    """Return a call that tells the guidance to a denoiser that hears it."""
    told = {"guidance_embed": 6.0} if data["guidance_embeds"] else {}
    return {"frames": 129, "height": 720, "width": 1280, "fps": 24.0, "steps": 50, "guidance": 1.0, **told}


def _instructed(*_: Any) -> Fields:
    """Return what HunyuanVideo puts its prompts in; our encoder has it as a preset."""
    preset = find("text_encoder", "llama").preset("hunyuan-video")
    return {name: getattr(preset, name) for name in ("max_tokens", "skip", "template", "template_tokens")}


def _cogvideox(data: Fields, latent: LatentSpec) -> Fields:
    """Return a call of as many frames as fill the patches: diffusers samples those of 1.5 that lack, and drops them."""
    patch, wanted = data["patch_size_t"] or 1, Size(data["sample_frames"], 1, 1)
    frames = latent.latent_size(wanted).frames
    whole = latent.pixel_size(Size(-(-frames // patch) * patch, 1, 1)).frames
    return _sampled(whole, fps=8.0 if patch == 1 else 16.0, steps=50, guidance=6.0)(data, latent)


FAMILIES: Mapping[str, Family] = {
    "AllegroPipeline": Family(
        text=_plain(max_tokens=512, cleaning="lower"),
        call=_allegro,
    ),
    "CogVideoXPipeline": Family(
        text=lambda index, data: {"max_tokens": data["max_text_seq_length"], "padding": "attended"},
        call=_cogvideox,
    ),
    "HunyuanVideoPipeline": Family(
        text=_instructed,
        pooled={},
        call=_hunyuan,
        times="even",
    ),
    "LTXPipeline": Family(
        text=_plain(max_tokens=128, attends_padding=True),
        call=_plain(frames=161, height=512, width=704, fps=25.0, steps=50, guidance=3.0),
        times="even",
        distances=True,
    ),
    "LattePipeline": Family(
        text=_plain(max_tokens=120, cleaning="lower", negative_length="prompt"),
        call=_plain(frames=16, height=512, width=512, fps=8.0, steps=50, guidance=7.5),
    ),
    "MochiPipeline": Family(
        text=lambda index, data: {
            "max_tokens": 256,
            "masks_empty": bool(index.get("force_zeros_for_empty_prompt")),
        },
        call=_plain(frames=19, height=480, width=848, fps=30.0, steps=64, guidance=4.5),
        times="linear-quadratic",
    ),
    "SkyReelsV2Pipeline": Family(
        text=_plain(max_tokens=512, padding="zeros", cleaning="spaces"),
        call=_plain(frames=97, height=544, width=960, fps=24.0, steps=50, guidance=6.0),
    ),
    "TextToVideoSDPipeline": Family(
        text=_plain(),
        call=_sampled(16, fps=8.0, steps=50, guidance=9.0),
        denoiser="unet",
    ),
}
"""The pipelines that are read, by the name of their class."""


class DiffusersLayout(PipelineLayout):
    """Reads the pipelines of `FAMILIES`."""

    def read(self, folder: Path, index: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a folder; see `vidgen.layout.PipelineLayout.read`."""
        family = FAMILIES[index["_class_name"]]
        texts = dict.fromkeys(("text_encoder", "text_encoder_2"), TEXT_ENCODERS)
        check_classes(folder, index, {**texts, "vae": AUTOENCODERS, family.denoiser: BACKBONES})
        path = folder / family.denoiser / "config.json"
        data = read_fields(path, read_json(path), _whole)
        autoencoder = _slot("autoencoder", folder / "vae")
        latent: LatentSpec = autoencoder.contract().latent
        text_encoder = _text_slot(folder, index, family, data)
        text = text_encoder.contract().text
        scheduler = _scheduler(folder / "scheduler")
        told = {
            "latent_space": latent.space,
            "text_space": text.space,
            "text_padding": text.padding,
            "process": scheduler.process.to_dict(),
            "prediction": scheduler.prediction,
        }
        backbone = BACKBONES[data["_class_name"]]
        if isinstance(backbone.fill, int):
            told["text_tokens"] = text.max_tokens
        if family.distances:
            told["pixel_stride"] = (latent.time_stride, latent.space_stride, latent.space_stride)
        denoiser = _slot("denoiser", folder / family.denoiser, **told)
        if scheduler.inverted != denoiser.config.backbone.reversed_time:  # type: ignore[attr-defined]
            raise ConfigError(
                f"{folder}: its sampler and its denoiser count time in opposite directions (invert_sigmas); "
                "take the scheduler that the model was published with."
            )
        sampling = read_fields(path, data, lambda fields: Sampling.from_dict(family.call(fields, latent)))
        return Recipe(
            autoencoder=autoencoder,
            denoiser=denoiser,
            text_encoder=text_encoder,
            scheduler=_timed(scheduler, family, folder),
            sampling=sampling,
        )


def _slot(kind: str, folder: Path, **told: Any) -> Slot:
    return Slot.read(kind, {"name": "diffusers", "weights": str(folder), "config": told})


def _whole(data: Fields) -> dict[str, Any]:
    """Return all fields of a denoiser, those that its file leaves out by their default."""
    made = find("denoiser", "diffusers").config.from_published(data, ())  # type: ignore[attr-defined]
    return {**made.backbone.defaults, **data}


def _text_slot(folder: Path, index: Fields, family: Family, data: Fields) -> Slot:
    tokens = _text_table(folder, index, "", family.text(index, data))
    if family.pooled is None:
        return Slot.read("text_encoder", tokens)
    pooled = _text_table(folder, index, "_2", family.pooled)
    return Slot.read("text_encoder", {"name": "joint", "config": {"tokens": tokens, "pooled": pooled}})


def _text_table(folder: Path, index: Fields, number: str, fields: Fields) -> dict[str, Any]:
    """Return one of the text encoders of a folder as a table that a slot reads."""
    part, tokenizer = folder / f"text_encoder{number}", folder / f"tokenizer{number}"
    named = index.get(part.name) or (None, None)
    if named[1] is None or not part.is_dir() or not tokenizer.is_dir():
        raise CheckpointError(f"{folder} lacks {part.name} or {tokenizer.name}; fetch it again, whole.")
    spec = find("text_encoder", TEXT_ENCODERS[named[1]])
    read = functools.partial(
        spec.config.from_transformers,  # type: ignore[attr-defined]
        source=str(part),
        tokenizer=str(tokenizer),
        pretrained=True,
        space=f"{spec.name}-{fingerprint(part)}",
        **fields,
    )
    settings = read_fields(part / "config.json", read_json(part / "config.json"), read)
    return Slot(spec, settings).to_dict()


def _scheduler(folder: Path) -> PublishedScheduler:
    """Return our solver for a sampler, or diffusers' own sampler where ours does not do what its settings say.

    Raises:
        ConfigError: For settings that neither has, and for a class that only others read.
        UnknownNameError: For a class that nobody reads.
    """
    try:
        return read_scheduler(folder)
    except (ConfigError, UnknownNameError) as problem:
        try:
            path = folder / "scheduler_config.json"
            config = read_fields(path, read_json(path), DiffusersSchedulerConfig.from_published)
        except ConfigError:
            raise problem from None
    return PublishedScheduler(
        slot=Slot.read("scheduler", config),
        process=config.process(),
        prediction=PREDICTIONS[config.prediction],
        inverted=bool(config.fields.get("invert_sigmas")),
    )


def _timed(scheduler: PublishedScheduler, family: Family, folder: Path) -> Slot:
    """Return the solver on the times that the pipeline hands to its sampler."""
    slot = scheduler.slot
    grid = getattr(slot.config, "grid", None)
    if family.times == "even" and slot.spec.name == "diffusers":
        flow = getattr(slot.config, "model", "") == "FlowMatchEulerDiscreteScheduler"
        return replace(slot, config=slot.config.replace(even_sigmas=flow))
    if family.times == "own" or not isinstance(grid, Mapping) or grid.get("name") != "shifted":
        return slot
    # Between the largest and the smallest entry of its table the sampler would place them by itself.
    places = {name: value for name, value in grid.items() if name not in ("last", "reach")}
    if family.times == "linear-quadratic":
        if places != {"name": "shifted", "shift": 1.0}:
            raise ConfigError(f"{folder}: a sampler that shifts linear-quadratic times is not implemented.")
        places = {"name": "linear-quadratic"}
    return replace(slot, config=slot.config.replace(grid=places))
