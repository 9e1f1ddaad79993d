"""The pipeline: four parts that fit, called with a prompt."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, cast, overload

import torch
from torch import Tensor, nn

from vidgen.checkpoint import atomic_folder
from vidgen.config import Config
from vidgen.contract import DenoiserConfig
from vidgen.errors import ConfigError, ContractError, SizeError
from vidgen.interfaces import Scheduler
from vidgen.recipe import Recipe, Sampling, Slot, default_sampling, nearest_size
from vidgen.sampling.assembly import Place, assemble, save_slot
from vidgen.sampling.device import place_of
from vidgen.sampling.given import Given, Held, as_video
from vidgen.sampling.guidance import Guider, as_guider
from vidgen.sampling.memory import decoded
from vidgen.sampling.refine import PromptRefiner, as_refiner, refined
from vidgen.sampling.run import OnStep, Run
from vidgen.sampling.system import System
from vidgen.sampling.visual import VISUAL, Direction, Visual, common_rate, connecting, each, read_visual
from vidgen.size import Size
from vidgen.spec import INTERFACES
from vidgen.video import Video

__all__ = ["Pipeline", "compose"]

Fit = Literal["refuse", "pad"]


class Pipeline(System):
    """Four parts that fit, ready to generate. Made by `compose` or `load`.

    Args:
        recipe: The system as data, every following field filled.
        parts: The live parts by kind.
    """

    def replace(self, *, foreign: bool = False, adapt: bool = False, **parts: Any) -> Pipeline:
        """Return a pipeline with other parts (names, configurations or live parts), the rest shared.

        A denoiser with random weights follows its new neighbours; a trained one is checked against them. A size to
        sample that the new parts cannot make becomes the next smaller one that they can, unless `sampling` says it.
        """
        unknown = set(parts) - {*INTERFACES, "sampling"}
        if unknown:
            raise ConfigError(
                f"A pipeline has no part {sorted(unknown)[0]!r}; parts: {', '.join(INTERFACES)}."
            )
        kept: dict[str, Any] = {kind: getattr(self, kind) for kind in INTERFACES}
        if "denoiser" not in parts and self.denoiser.origin == "random":
            kept["denoiser"] = cast("DenoiserConfig", self.recipe.denoiser.config).forget()
        made = compose(**{**kept, "sampling": self.sampling, **parts}, foreign=foreign, adapt=adapt)
        if "sampling" not in parts:
            size = nearest_size(made.sampling.size, made.recipe.autoencoder, made.recipe.denoiser)
            made.recipe = replace(made.recipe, sampling=made.sampling.replace(**size._asdict()))
        return made

    def save(self, folder: str | Path) -> Path:
        """Write ``recipe.toml`` and a folder for each part; an older pipeline there is replaced only at the very end.

        Raises:
            CheckpointError: When the folder cannot be written or holds something else.
        """
        import tomli_w

        with atomic_folder(folder) as new:
            data = self.recipe.to_dict()
            for kind in INTERFACES[:3]:
                save_slot(getattr(self, kind), new / kind, self.recipe.slot(kind))
                data[kind] = {"name": self.recipe.slot(kind).spec.name, "weights": "."}
            (new / "recipe.toml").write_text(tomli_w.dumps(data))
        return Path(folder)

    @overload
    def __call__(self, prompts: str, **options: Any) -> Video: ...
    @overload
    def __call__(self, prompts: Sequence[str], **options: Any) -> list[Video]: ...

    @torch.inference_mode()  # type: ignore[misc]  # the overloads only tell one prompt from several
    def __call__(
        self,
        prompts: str | Sequence[str],
        *,
        frames: int | None = None,
        height: int | None = None,
        width: int | None = None,
        fps: float | None = None,
        steps: int | None = None,
        guidance: float | str | Mapping[str, Any] | Config | Guider | None = None,
        guidance_embed: float | None = None,
        negative: str | Sequence[str] | None = None,
        refiner: str | Mapping[str, Any] | Config | PromptRefiner | None = None,
        seed: int | Sequence[int] | None = None,
        image: Any = None,
        video: Any = None,
        extend: Direction | None = None,
        loop: bool = False,
        strength: float | None = None,
        mask: Any = None,
        given: Given | Mapping[int, Any] | Sequence[Any] | None = None,
        fit: Fit = "refuse",
        output: str | Path | None = None,
        on_step: OnStep | None = None,
        show_progress: bool | None = None,
    ) -> Video | list[Video]:
        """Generate a video of a prompt, or one of each of a list. What is None comes from `sampling`.

        Args:
            prompts: One prompt or several (one batch).
            frames: Frames T.
            height: Pixels H.
            width: Pixels W.
            fps: Frames a second of the result; None keeps those of `video`.
            steps: Solver steps.
            guidance: Scale of classifier-free guidance; or a guider's name, ``{"name": "cfg-interval", "scale": 5}``,
                its configuration, or a `Guider`.
            guidance_embed: Scale that the denoiser itself is told, for those trained so (HunyuanVideo).
            negative: What to keep away from.
            refiner: What rewrites the prompts first, chosen likewise (``none``: nothing does); then the metadata hold
                both ``prompt`` and ``refined``.
            seed: Sample i starts from seed + i (or from the i-th of a list); None draws one. It stands in
                `Video.metadata`, and makes the same noise whatever else is in the batch.
            image: The first frame: a path, a PIL image, uint8 ``[H, W, 3]`` or a `Video`; a list gives one each.
            video: A path or `Video` that is continued, closed, changed or kept in part; a list gives one each.
            extend: Continue `video` ``"forward"`` or ``"backward"``: half of `frames` is its end (or beginning).
            loop: Close `video` to a loop.
            strength: Change `video`: from near 0 (hardly) to 1 (all is made anew).
            mask: Keep of `video` what is white in this picture or clip (what `image` and `video` may be), and make the
                black anew; a list gives one each.
            given: Frames by number (``{0: a, 8: b, -1: c}``), or a `Given`: pixels with a mask over time and space.
            fit: ``refuse`` sizes that the parts cannot make (the nearest ones are named), or ``pad`` and crop back.
            output: Also write it there (the first of a list gets the name itself, the others a number).
            on_step: Called after each step with the step's index and the latents.
            show_progress: None shows a bar on a terminal.

        Raises:
            SizeError: For a size that cannot be made, and given frames that do not fit it.
            ConfigError: For an argument out of range, or arguments that do not go together.
        """
        texts = (
            [prompts] if isinstance(prompts, str) else list(prompts) if isinstance(prompts, Sequence) else []
        )
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"A prompt is a string, or a non-empty list of strings, not {prompts!r}.")
        asked = {
            "frames": frames,
            "height": height,
            "width": width,
            "fps": fps,
            "steps": steps,
            "guidance_embed": guidance_embed,
        }
        wanted = self.sampling.replace(**{name: value for name, value in asked.items() if value is not None})
        size = self._fitting(wanted.size, fit)
        guider = as_guider(self.sampling.guidance if guidance is None else guidance)
        rewriter = as_refiner(self.sampling.refiner if refiner is None else refiner)
        read = refined(texts, rewriter)
        seeds = _seeds(seed, len(texts))
        generators = [torch.Generator().manual_seed(one) for one in seeds]
        sources = [
            each(value, len(texts), name)
            for name, value in (("image", image), ("video", video), ("mask", mask), ("given", given))
        ]
        visuals = [
            read_visual(
                size,
                self.autoencoder.latent,
                image=a,
                video=b,
                mask=c,
                given=d,
                extend=extend,
                loop=loop,
                strength=strength,
            )
            for a, b, c, d in zip(*sources, strict=True)
        ]
        there = [visual for visual in visuals if visual is not None]
        if there and len(there) < len(visuals):
            raise ConfigError("Give a picture or a video for every prompt of a batch, or for none.")
        wanted = wanted.replace(fps=wanted.fps if fps is not None else common_rate(there, wanted.fps))
        if there and size != wanted.size:
            raise SizeError(
                f"Pictures and videos as prompts need a size that fits, such as {size}, not {wanted.size}."
            )
        self.make_room(size, len(texts))
        held, begin = self._held(there)
        run = Run(self, read, negative, wanted, size, guider, generators, held)
        latents = run.latents(
            begin=begin, strength=1.0 if strength is None else strength, on_step=on_step, show=show_progress
        )
        way = "whole" if self.placement is None else self.placement.decode
        pixels = torch.cat(list(decoded(self.autoencoder, latents, way)), dim=2)
        pixels = pixels[:, :, : wanted.frames, : wanted.height, : wanted.width]
        notes: dict[str, Any] = {"recipe": repr(self), "evaluations": run.evaluations}
        if self.placement is not None:
            notes["memory"] = self.placement.note
        if self.random_parts:
            notes["random weights"] = ", ".join(self.random_parts)
            warnings.warn(
                f"Random weights: {notes['random weights']}. Train them to get a picture.", stacklevel=2
            )
        said = [
            {"prompt": a} if rewriter is None else {"prompt": a, "refined": b}
            for a, b in zip(texts, read, strict=True)
        ]
        videos = [
            Video.from_tensor(one, fps=wanted.fps, clamp=True, metadata={**words, "seed": one_seed, **notes})
            for one, words, one_seed in zip(pixels, said, seeds, strict=True)
        ]
        videos = [
            made if visual is None or visual.join is None else visual.join(made)
            for made, visual in zip(videos, visuals, strict=True)
        ]
        for number, video in enumerate(videos):
            if output is not None:
                path = Path(output)
                video.save(path if number == 0 else path.with_stem(f"{path.stem}-{number}"))
        return videos[0] if isinstance(prompts, str) else videos

    def stream(self, prompts: str | Sequence[str], frames: int, **options: Any) -> Iterator[Video]:
        """Yield a video of any length piece by piece; see `vidgen.sampling.long.stream` for the options.

        ``for piece in pipe.stream(prompt, frames=320, chunk=33): writer.write(piece.numpy())``
        """
        from vidgen.sampling.long import stream

        return stream(self, prompts, frames, **options)

    def connect(
        self,
        first: Any,
        second: Any,
        prompt: str,
        *,
        frames: int | None = None,
        fps: float | None = None,
        output: str | Path | None = None,
        **options: Any,
    ) -> Video:
        """Lead from one video into another; returns the first, what is new, and the second.

        Args:
            first: A path or `Video`.
            second: Likewise, played after it.
            prompt: What happens between.
            frames: Of what is sampled: a third is the first one's end, a third the second one's beginning.
            fps: Frames a second of the result; None keeps those of both.
            output: Also write it there.
            **options: As in a call without pictures and videos.

        Raises:
            SizeError: When nothing new fits between the two.
            ConfigError: For clips of two frame rates without `fps`, and for options that do not belong here.
        """
        if not isinstance(prompt, str) or VISUAL & options.keys():
            raise ConfigError("connect takes two clips and one prompt, and no further pictures or videos.")
        asked = {"frames": frames, **{name: options.get(name) for name in ("height", "width")}}
        wanted = self.sampling.replace(
            **{name: value for name, value in asked.items() if value is not None}
        ).size
        before, after = as_video(first, wanted), as_video(second, wanted)
        fps = common_rate([Visual(fps=before.fps), Visual(fps=after.fps)]) if fps is None else fps
        visual = connecting(before, after, self._fitting(wanted, "refuse"), self.autoencoder.latent)
        made = self(prompt, frames=frames, fps=fps, given=visual.given, **options)
        assert visual.join is not None
        joined = visual.join(made)
        if output is not None:
            joined.save(output)
        return joined

    def _held(self, visuals: Sequence[Visual]) -> tuple[Held | None, Tensor | None]:
        """Return what is given, and the latents to begin from, of a batch."""
        if not visuals:
            return None, None
        givens = [visual.given for visual in visuals if visual.given is not None]
        if givens:
            grey = "given_frames" in self.denoiser.config.contract().abilities
            return Held(givens, self.autoencoder, self.device, grey=grey), None
        clips = [visual.begin.tensor()[0] for visual in visuals if visual.begin is not None]
        device, dtype = place_of(self.autoencoder)
        return None, self.autoencoder.encode(torch.stack(clips).to(device, dtype)).float()

    def _fitting(self, size: Size, fit: Fit) -> Size:
        """Return the size to make: the wanted one, or a padded one; or refuse."""
        latent, limit = self.autoencoder.latent, self.denoiser.config.contract().max_latent
        padded = latent.padded(size)
        if fit == "refuse" and padded != size:
            nearest = " or ".join(map(str, latent.nearest(size)))
            raise SizeError(
                f"{self.recipe.autoencoder.spec.name!r} cannot make {size}; take {nearest}, or fit='pad'."
            )
        if limit is not None and any(a > b for a, b in zip(latent.latent_size(padded), limit, strict=True)):
            raise SizeError(
                f"{self.recipe.denoiser.spec.name!r} makes at most {latent.pixel_size(limit)}, not {size}."
            )
        return padded

    @torch.inference_mode()
    def reconstruct(self, video: Video, *, fit: Fit = "pad", tile: int | None = None) -> Video:
        """Encode and decode a video; sizes that do not fit are padded by replication and cropped back."""
        from vidgen.sampling.reconstruct import reconstruct

        return reconstruct(self.autoencoder, video, fit=fit, tile=tile)


def _seeds(seed: int | Sequence[int] | None, count: int) -> list[int]:
    if seed is None:
        seed = int(torch.randint(2**31, ()).item())
    if isinstance(seed, Integral):
        seed = [int(seed) + i for i in range(count)]
    seeds = list(seed) if isinstance(seed, Sequence) else [seed]
    if len(seeds) != count:
        raise ConfigError(f"{len(seeds)} seeds for {count} prompts; give one, or one each.")
    for one in seeds:
        if not isinstance(one, Integral) or not -(2**63) <= one < 2**63:
            raise ConfigError(f"A seed is a whole number of at most 63 bits, not {one!r}.")
    return [int(one) for one in seeds]


def compose(
    *,
    autoencoder: Any,
    denoiser: Any,
    text_encoder: Any,
    scheduler: Any,
    sampling: Sampling | Mapping[str, Any] | None = None,
    foreign: bool = False,
    adapt: bool = False,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
) -> Pipeline:
    """Join four parts, each a name (``"wf-vae/tiny@tag"``), a table, a configuration or a live part.

    Contracts are checked before any weight is loaded.

    Args:
        autoencoder: Pixels to latents.
        denoiser: The backbone; its latent channels and text width follow the neighbours unless it is trained.
        text_encoder: Prompts to tokens.
        scheduler: Solver and grid.
        sampling: Defaults of a call; a size that is left out becomes one that the parts can make.
        foreign: Let trained parts meet spaces that they do not know.
        adapt: Bridge different channels and widths by trainable projections.
        device: Where the parts are made that are not there yet; their weights go straight to it.
        dtype: Their floating-point type; None for float32.

    Raises:
        ContractError: When parts do not fit; one line a problem, each naming both sides, the field and a remedy.
    """
    given = {
        "autoencoder": autoencoder,
        "denoiser": denoiser,
        "text_encoder": text_encoder,
        "scheduler": scheduler,
    }
    slots: dict[str, Slot] = {}
    parts: dict[str, Any] = {}
    for kind, value in given.items():
        if isinstance(value, (nn.Module, Scheduler)):
            parts[kind] = value
            slot = Slot.read(kind, getattr(value, "config", value))
            origin = getattr(value, "origin", None)
            slots[kind] = replace(slot, weights=None if origin in (None, "random") else origin)
        else:
            slots[kind] = Slot.read(kind, value)
    if not isinstance(sampling, Sampling):
        sampling = default_sampling(sampling or {}, slots["autoencoder"], slots["denoiser"])
    recipe = Recipe(**slots, sampling=sampling, foreign=foreign, adapt=adapt).following()
    problems = recipe.problems()
    if problems:
        raise ContractError(" ".join(map(str, problems)))
    return Pipeline(recipe, assemble(recipe, parts, Place(torch.device(device), dtype)))
