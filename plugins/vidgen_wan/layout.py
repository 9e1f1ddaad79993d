"""diffusers' folders of Wan: ``WanPipeline`` and ``WanImageToVideoPipeline``, of Wan 2.1 and 2.2."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidgen.errors import CheckpointError, ConfigError
from vidgen.layout import (
    INDEX,
    PipelineLayout,
    PublishedScheduler,
    check_classes,
    read_scheduler,
    write_part,
    write_scheduler,
)
from vidgen.published import read_fields
from vidgen.recipe import Recipe, Sampling, Slot
from vidgen.registry import find
from vidgen.tensors import fingerprint, read_json
from vidgen_wan.config import WanConfig

if TYPE_CHECKING:
    from vidgen.sampling.pipeline import Pipeline

__all__ = ["WanLayout"]

CLASSES = {
    "vae": ("AutoencoderKLWan",),
    "transformer": ("WanTransformer3DModel",),
    "transformer_2": ("WanTransformer3DModel",),
    "text_encoder": ("UMT5EncoderModel",),
    "image_encoder": ("CLIPVisionModel", "CLIPVisionModelWithProjection"),
}
WEIGHTS = "diffusion_pytorch_model.safetensors"
MAX_TOKENS = 512
SAMPLING = Sampling(frames=81, height=480, width=832, fps=16.0, steps=50, guidance=5.0)
"""What the pipelines take by default."""


class WanLayout(PipelineLayout):
    """Reads and writes Wan's folders."""

    def read(self, folder: Path, index: Mapping[str, Any]) -> Recipe:
        """Return the recipe; see `PipelineLayout.read`."""
        check_classes(folder, index, CLASSES)
        autoencoder = Slot.read("autoencoder", {"name": "wan-vae", "weights": str(folder / "vae")})
        text = self._text(folder, index)
        sampler = _straight(read_scheduler(folder / "scheduler"), str(folder))
        told = {
            "latent_space": autoencoder.contract().latent.space,
            "text_space": text.contract().text.space,
            "process": sampler.process.to_dict(),
            "prediction": sampler.prediction,
        }
        if index.get("expand_timesteps"):
            told["frame_times"] = True
        parts = [
            {"name": "wan", "weights": str(folder / name), "config": told}
            for name in ("transformer", "transformer_2")
            if _there(index, name)
        ]
        if not parts:
            raise CheckpointError(f"{folder / INDEX} names no transformer; fetch it again.")
        denoiser, boundary = parts[0], index.get("boundary_ratio")
        if len(parts) == 2 and boundary is None:
            warnings.warn(
                f"{folder / INDEX} says no boundary_ratio, so transformer_2 is never asked and not read.",
                stacklevel=2,
            )
        elif len(parts) == 2:
            config = {"high": parts[0], "low": parts[1], "boundary": boundary}
            denoiser = {"name": "experts", "config": config}
        return Recipe(autoencoder, Slot.read("denoiser", denoiser), text, sampler.slot, SAMPLING)

    def _text(self, folder: Path, index: Mapping[str, Any]) -> Slot:
        """Return the text encoder, together with the one of images where the folder has one."""
        spec = find("text_encoder", "t5")
        path = folder / "text_encoder" / "config.json"
        read = functools.partial(
            spec.config.from_transformers,  # type: ignore[attr-defined]
            source=str(folder),
            pretrained=True,
            padding="zeros",
            max_tokens=MAX_TOKENS,
            cleaning="spaces",
            space=f"t5-{fingerprint(folder / 'text_encoder')}",
        )
        settings = read_fields(path, read_json(path), read)
        text = Slot(spec, settings)
        if not _there(index, "image_encoder"):
            return text
        spec = find("text_encoder", "text-and-image")
        path = folder / "image_encoder" / "config.json"
        read = functools.partial(
            spec.config.from_transformers,  # type: ignore[attr-defined]
            text=text,
            source=str(folder),
            pretrained=True,
        )
        return Slot(spec, read_fields(path, read_json(path), read))

    def write(self, pipe: Pipeline, folder: Path) -> bool:
        """Write a pipeline of Wan's parts, from text or from an image, of one or two experts; False for others."""
        text, denoiser = pipe.text_encoder, pipe.denoiser
        words: Any = getattr(text, "words", text)
        experts = [getattr(denoiser, name) for name in ("high", "low") if hasattr(denoiser, name)] or [
            denoiser
        ]
        names = {"autoencoder": (pipe.autoencoder.config, "wan-vae"), "text_encoder": (words.config, "t5")}
        ours = all(isinstance(settings, find(kind, name).config) for kind, (settings, name) in names.items())
        if not ours or not all(isinstance(one.config, WanConfig) for one in experts):
            return False
        contract = denoiser.config.contract()
        published = PublishedScheduler(pipe.recipe.scheduler, contract.process, contract.prediction)
        _straight(published, "A published pipeline of Wan")
        index: dict[str, Any] = {
            "_class_name": "WanPipeline",
            "scheduler": ["diffusers", write_scheduler(published, folder / "scheduler")],
            "text_encoder": ["transformers", "UMT5EncoderModel"],
            "tokenizer": ["transformers", type(words.tokenizer).__name__],
            "transformer_2": [None, None],
            "vae": ["diffusers", "AutoencoderKLWan"],
            "boundary_ratio": getattr(denoiser.config, "boundary", None),
            "expand_timesteps": "per_frame_time" in contract.abilities,
        }
        write_part(pipe.autoencoder, folder / "vae", WEIGHTS)
        for name, one in zip(("transformer", "transformer_2"), experts, strict=False):
            write_part(one, folder / name, WEIGHTS)
            index[name] = ["diffusers", "WanTransformer3DModel"]
        words.save_transformers(folder)
        if "given_frames" in contract.abilities:
            index["_class_name"] = "WanImageToVideoPipeline"
            index |= {"image_encoder": [None, None], "image_processor": [None, None]}
            if words is not text:
                text.save_images(folder)  # type: ignore[operator]
                index["image_encoder"] = ["transformers", "CLIPVisionModel"]
                index["image_processor"] = ["transformers", "CLIPImageProcessor"]
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")
        return True


def _straight(sampler: PublishedScheduler, where: str) -> PublishedScheduler:
    """Return a sampler as it is, if it is one that the pipelines call rightly.

    Raises:
        ConfigError: For another process than the straight one, and for one that counts time the other way.
    """
    if sampler.inverted or sampler.process.family != "rectified-flow":
        what = "invert_sigmas" if sampler.inverted else f"the process {sampler.process.family}"
        raise ConfigError(
            f"{where}: Wan cannot be sampled with {what}; take a sampler of straight paths, "
            "such as FlowMatchEulerDiscreteScheduler or UniPCMultistepScheduler with use_flow_sigmas."
        )
    return sampler


def _there(index: Mapping[str, Any], name: str) -> bool:
    entry = index.get(name)
    return isinstance(entry, (list, tuple)) and len(entry) == 2 and entry[1] is not None
