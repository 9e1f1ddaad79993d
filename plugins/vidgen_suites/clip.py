"""The CLIP score: how near a video is to its prompt in the space of an open_clip model."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from vidgen.errors import CheckpointError, ConfigError, MissingDependencyError, closest
from vidgen.hub import only_cached_when_unreachable
from vidgen_suites.weights import weights_file

__all__ = ["ClipScore"]


class ClipScore:
    """Cosine of a frame's and the prompt's vectors times 100, averaged over the frames.

    That is the score of Hessel et al., "CLIPScore", 2021, without its factor of 2.5 and without cutting negative
    values off, as `CLIPScore` of torchmetrics has it but for the cut. Frames are prepared as the model asks for.

    Args:
        name: A model of open_clip.
        weights: One of its tags, a file or a folder with one; empty for random weights, always the same.
        device: Where it computes.

    Raises:
        ConfigError: For a model or a tag that open_clip does not know.
        CheckpointError: For weights or a tokenizer that cannot be had.
    """

    def __init__(self, name: str, weights: str = "", device: torch.device | str = "cpu") -> None:
        self.device = device
        self.label = f"{name}, {Path(weights).name or 'random weights'}"
        with only_cached_when_unreachable():
            self.model, self.prepare, self.tokenizer = _make(name, weights)
        self.model = self.model.to(device).eval()

    @torch.inference_mode()
    def __call__(self, video: np.ndarray, prompt: str) -> float:
        """Score a video, uint8 ``[T, H, W, 3]``."""
        frames = torch.stack([self.prepare(Image.fromarray(frame)) for frame in np.asarray(video)])
        seen = self.model.encode_image(frames.to(self.device), normalize=True)
        asked = self.model.encode_text(self.tokenizer([prompt]).to(self.device), normalize=True)
        return float(100 * (seen @ asked.T).mean())


def _make(name: str, weights: str) -> tuple[Any, Any, Any]:
    """Return a model, its transform and its tokenizer."""
    try:
        import open_clip
    except Exception as problem:  # a torchvision that does not fit torch raises RuntimeError
        raise MissingDependencyError(f"The CLIP score needs open_clip_torch: {problem}.") from problem
    if name not in open_clip.list_models():
        raise ConfigError(f"open_clip has no model {name!r}.{closest(name, open_clip.list_models())}")
    there = Path(weights).exists() if weights else False
    tags = open_clip.list_pretrained_tags_by_model(name)
    if weights and not there and weights not in tags:
        raise ConfigError(
            f"open_clip has no weights {weights!r} for {name}, nor is it a file.{closest(weights, tags)}"
        )
    kept = torch.get_rng_state()
    torch.manual_seed(0)
    try:
        # Base weights of a text tower are no CLIP: what is called random is so throughout.
        known = inspect.signature(open_clip.create_model).parameters
        text = "pretrained_text" if "pretrained_text" in known else "pretrained_hf"
        options: dict[str, Any] = {text: False}
        model, _, prepare = open_clip.create_model_and_transforms(
            name, pretrained=str(weights_file(weights)) if there else weights or None, **options
        )
        return model, prepare, open_clip.get_tokenizer(name)
    except CheckpointError:
        raise
    except Exception as problem:  # open_clip wraps failed downloads and misfit files in RuntimeErrors
        line = next(iter(str(problem).splitlines()), type(problem).__name__)
        what = f"the weights {weights!r}" if weights else "its files"
        raise CheckpointError(
            f"open_clip {name}: {what} cannot be had ({line}); name a file of this model, or fetch them once online."
        ) from problem
    finally:
        torch.set_rng_state(kept)
