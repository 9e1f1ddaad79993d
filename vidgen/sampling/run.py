"""One run of the scheduler over a guided denoiser: the loop that joins four parts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from vidgen.errors import ConfigError
from vidgen.interfaces import Condition, TextEmbedding
from vidgen.progress import progress
from vidgen.recipe import Sampling
from vidgen.sampling.given import Held
from vidgen.sampling.guidance import Branch, Guider, branch
from vidgen.sampling.system import System
from vidgen.size import Size

__all__ = ["OnStep", "Run"]

OnStep = Callable[[int, Tensor], None]
HEARING = frozenset(("given", "given_frames", "image_tokens", "per_frame_time"))
"""Abilities by which a denoiser is told what is given."""
REFRESHES = 4
"""How often given latents that depend on what is generated are encoded anew."""


class Run:
    """Samples latents for a batch of prompts.

    Args:
        pipe: The four parts.
        texts: A prompt a sample.
        negative: What to keep away from, one for all or one each.
        wanted: Steps, frame rate and so on.
        size: Pixels to make, as the autoencoder takes them.
        guider: How branches combine.
        generators: One CPU generator a sample.
        held: What is given.
    """

    def __init__(
        self,
        pipe: System,
        texts: list[str],
        negative: str | Sequence[str] | None,
        wanted: Sampling,
        size: Size,
        guider: Guider,
        generators: list[torch.Generator],
        held: Held | None = None,
    ) -> None:
        if negative is None:
            negative = ""
        if isinstance(negative, str):
            negative = [negative] * len(texts)
        if not isinstance(negative, Sequence) or not all(isinstance(text, str) for text in negative):
            raise ConfigError(f"A negative prompt is a string, or a list of strings, not {negative!r}.")
        against = list(negative)
        if len(against) != len(texts):
            raise ConfigError(
                f"{len(against)} negative prompts for {len(texts)} prompts; give one, or one each."
            )
        self.pipe, self.wanted, self.guider, self.generators, self.held = (
            pipe,
            wanted,
            guider,
            generators,
            held,
        )
        self.process, self.contract = pipe.process, pipe.denoiser.config.contract()
        self.shape = pipe.autoencoder.latent.latent_size(size)
        guider.check(self.contract)
        if wanted.guidance_embed is not None and "guidance_embed" not in self.contract.abilities:
            raise ConfigError("This denoiser is told no guidance scale; leave guidance_embed, take guidance.")
        self.prompts = {True: texts, False: against}
        self.embeddings: dict[bool, TextEmbedding] = {}
        self.prepared: dict[tuple[Branch, ...], Any] = {}
        self.step = self.evaluations = 0
        self.clean: Tensor | None = None
        self.pictures: Tensor | None = None

    def latents(
        self,
        *,
        begin: Tensor | None = None,
        strength: float = 1.0,
        on_step: OnStep | None = None,
        show: bool | None = None,
    ) -> Tensor:
        """Run the scheduler and return latents ``[B, C, t, h, w]``.

        Args:
            begin: Clean latents to begin from, noised to `strength`; None begins from noise.
            strength: The time at which to begin.
            on_step: Called after each step.
            show: None shows a bar on a terminal.
        """
        pipe, latent = self.pipe, self.pipe.autoencoder.latent
        grid_of = (-(-n // p) for n, p in zip(self.shape, self.contract.patch, strict=True))
        start = strength if begin is not None and strength < 1 else None
        steps = self.wanted.steps if start is None else max(1, round(self.wanted.steps * strength))
        grid = pipe.scheduler.grid(self.process, steps, tokens=Size(*grid_of).volume, start=start)
        drawn = [torch.randn(latent.channels, *self.shape, generator=one) for one in self.generators]
        noise = torch.stack(drawn).to(pipe.device)
        if begin is None or start is None:
            x = grid.begin(noise)
        else:
            x = grid.alpha[0].to(noise) * begin.to(noise) + grid.sigma[0].to(noise) * noise
        renewed = {grid.steps * k // REFRESHES - 1 for k in range(1, REFRESHES + 1)}
        with progress("generating", grid.steps, show=show) as advance:

            def after(i: int, value: Tensor) -> None:
                self.step = i + 1
                if self.held is not None and self.held.waits and i in renewed and self.clean is not None:
                    self.held.refresh(self.clean)
                    self.prepared.clear()
                advance()
                if on_step is not None:
                    on_step(i, value)

            x = pipe.scheduler.solve(self.denoise, x, grid, generators=self.generators, on_step=after)
        if any(self.prompts[False]) and False not in self.embeddings:
            warnings.warn(
                "The negative prompt was never read: this guidance evaluates the prompt alone; raise its scale.",
                stacklevel=2,
            )
        return x if self.held is None else self.held.put(x, 0.0)

    def denoise(self, x: Tensor, t: float) -> Tensor:
        """Return the clean estimate at time t, what is given in place."""
        told = {name: self._told(name) for name in self.guider.branches(self.step, t)}
        made = self._predict(tuple(dict.fromkeys(told.values())), x, t)
        raw = torch.zeros_like(x)
        if told:
            raw = self.guider.combine({name: made[one] for name, one in told.items()}, self.step, t)
        clean = self.process.to_clean(self.contract.prediction, raw, x, t)
        clean = self.guider.adjust_clean(clean, self.step, t)
        self.clean = clean if self.held is None else self.held.put(clean, t)
        return self.clean

    def _told(self, name: str) -> Branch:
        """Return a branch as the denoiser hears it: what is given makes no difference to one that is not told."""
        hears = self.held is not None and self.contract.abilities & HEARING
        one = branch(self.guider, name)
        return one if hears else replace(one, given=True)

    def _predict(self, branches: tuple[Branch, ...], x: Tensor, t: float) -> dict[Branch, Tensor]:
        """Return the raw prediction of each branch, all in one batch."""
        if not branches:
            return {}
        self.evaluations += len(branches)
        time = torch.full((len(x),), t, device=x.device, dtype=torch.float32)
        inputs = dict.fromkeys((True, False), (x, time))
        if self.held is not None and "per_frame_time" in self.contract.abilities:
            whole = self.held.whole(t)
            known = torch.where(whole[:, None, :, None, None], self.held.latents.to(x), x)
            spread = time[:, None].expand(whole.shape)
            inputs = {True: (known, torch.where(whole, 0.0, spread)), False: (x, spread)}
        output = self.pipe.denoiser(
            torch.cat([inputs[one.given][0] for one in branches]).to(self.pipe.dtype),
            torch.cat([inputs[one.given][1] for one in branches]),
            self._prepare(branches),
        )
        return dict(zip(branches, output.value.to(x.dtype).chunk(len(branches)), strict=True))

    def _prepare(self, branches: tuple[Branch, ...]) -> Any:
        if branches not in self.prepared:
            pipe = self.pipe
            joined = TextEmbedding.cat([self._embedded(one.text) for one in branches])
            self.prepared[branches] = pipe.denoiser.prepare(joined, self._condition(branches), self.shape)
        return self.prepared[branches]

    def _embedded(self, text: bool) -> TextEmbedding:
        """Return the embedding of the prompts, or of the negative ones beside them; each is made once."""
        if text not in self.embeddings:
            pipe = self.pipe
            made = pipe.text_encoder.encode(self.prompts[text])
            if not text and pipe.text_encoder.negative_follows:
                made = pipe.text_encoder.beside(made, self._embedded(True))
            self.embeddings[text] = made.to(pipe.device, pipe.dtype)
        return self.embeddings[text]

    def _condition(self, branches: tuple[Branch, ...]) -> Condition:
        """Return what the denoiser is told beside the text, as far as it is able to hear it."""
        abilities, count = self.contract.abilities, len(branches) * len(self.generators)
        fps = torch.full((count,), self.wanted.fps, device=self.pipe.device) if "fps" in abilities else None
        told: dict[str, Tensor] = {}
        if self.wanted.guidance_embed is not None:
            told["guidance_embed"] = torch.full((count,), self.wanted.guidance_embed, device=self.pipe.device)
        for ability in ("given", "given_frames"):
            if self.held is not None and ability in abilities:
                known = self.held.condition().to(self.pipe.dtype)
                parts = [known if one.given else torch.zeros_like(known) for one in branches]
                told[ability] = torch.cat(parts)
        if self.held is not None and "image_tokens" in abilities:
            tokens = self._image_tokens(self.held)
            told["image_tokens"] = torch.cat([tokens] * len(branches))
        return Condition(fps=fps, **told)

    def _image_tokens(self, held: Held) -> Tensor:
        """Return the tokens of the given pictures ``[B, N, D]``."""
        if self.pictures is None:
            frames = torch.stack([given.pictures() for given in held.givens])
            self.pictures = self.pipe.text_encoder.encode_images(frames).to(self.pipe.device, self.pipe.dtype)
        return self.pictures
