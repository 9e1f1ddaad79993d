"""The training loop, on accelerate: resumable exactly, safe to stop at any moment."""

from __future__ import annotations

import fnmatch
import json
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from vidgen.checkpoint import atomic_folder, digest, save_part
from vidgen.errors import CheckpointError
from vidgen.parts import build
from vidgen.progress import progress
from vidgen.recipe import Slot
from vidgen.sampling.assembly import assemble, make
from vidgen.sampling.device import auto_dtype
from vidgen.sampling.pipeline import Pipeline
from vidgen.spec import INTERFACES
from vidgen.train.batches import Batch, Batches, load_batches
from vidgen.train.config import TrainRecipe
from vidgen.train.latents import cached_latents
from vidgen.train.objectives import AutoencoderObjective, DenoiserObjective
from vidgen.train.optimizers import Averaged, make_optimizers, rate_factor
from vidgen.video import Video

__all__ = ["Trainer", "train"]


class Trainer:
    """Trains the parts that a recipe names.

    Args:
        recipe: What, how and on what.
        folder: Where the checkpoint, samples, logs and the result go. A checkpoint there is resumed.
        init: A pipeline's folder or tag whose weights the trained parts start from (fine-tuning).

    Raises:
        CheckpointError: When the folder holds a checkpoint of other parts.
    """

    def __init__(self, recipe: TrainRecipe, folder: str | Path, *, init: str | None = None) -> None:
        from accelerate import Accelerator, PartialState
        from accelerate.state import AcceleratorState
        from accelerate.utils import set_seed

        self.recipe, self.folder, self.settings = recipe, Path(folder), recipe.train
        set_seed(self.settings.seed)
        AcceleratorState._reset_state()  # an earlier training of this process may have had another precision
        place = PartialState().device
        bf16 = self.settings.precision == "bf16" or (
            self.settings.precision == "auto" and auto_dtype(place) == torch.bfloat16
        )
        self.dtype = torch.bfloat16 if bf16 else torch.float32
        self.accelerator = Accelerator(
            mixed_precision="bf16" if bf16 else "no",
            log_with="tensorboard",
            project_dir=str(self.folder / "logs"),
        )
        self.parts = self._make_parts(init)
        self.step = 0
        self.sets = [build(table.spec, table.settings) for table in recipe.data]
        checkpoint = self.folder / "checkpoint"
        self.objective = self._objective(start=init is None and not checkpoint.exists())
        self.optimizers = make_optimizers(self.objective, self.settings)
        self.rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        self.average = Averaged(self._trainable(), self.settings.ema) if self.settings.ema else None
        if checkpoint.exists():
            self._resume(checkpoint)

    # What is trained

    def _make_parts(self, init: str | None) -> dict[str, Any]:
        for kind, slot in self.recipe.slots.items():
            if init and kind in self.settings.train:
                start = Slot.read(kind, {"name": slot.spec.name, "weights": init})
                self.recipe = replace(self.recipe, slots={**self.recipe.slots, kind: start})
        whole = self.recipe.whole
        parts = assemble(whole) if whole else {kind: make(slot) for kind, slot in self.recipe.slots.items()}
        for kind, part in parts.items():
            if isinstance(part, nn.Module):
                part.requires_grad_(kind in self.settings.train).to(self.accelerator.device)
                part.train(kind in self.settings.train)
                for name, parameter in part.named_parameters():
                    if any(fnmatch.fnmatchcase(name, pattern) for pattern in self.settings.freeze):
                        parameter.requires_grad_(False)
        return parts

    def _objective(self, *, start: bool) -> AutoencoderObjective | DenoiserObjective:
        if self.settings.train == ("autoencoder",):
            autoencoder = self.parts["autoencoder"]
            if start and self.settings.start_from_data:
                autoencoder.start_from_data(self._some_videos(64))
            return AutoencoderObjective(autoencoder, self.settings)
        return DenoiserObjective(self.parts["denoiser"], self.parts["text_encoder"], self.settings)

    def _some_videos(self, count: int) -> Iterator[Tensor]:
        """Yield the videos of the first batches, never seen at those steps in training."""
        batches = Batches(self.recipe.data, self.sets, seed=self.settings.seed + 1)
        for step in range(count):
            video = batches[step].video
            assert video is not None
            yield video.to(self.accelerator.device)

    def _trainable(self) -> list[tuple[str, Tensor]]:
        return [(name, p) for name, p in self.objective.named_parameters() if p.requires_grad]

    # The loop

    def run(self) -> Path:
        """Train to the last step and return the folder of the result.

        A stop by Ctrl-C (or by SIGTERM, as clusters send it) writes a checkpoint and raises KeyboardInterrupt; the
        same call goes on from there.
        """
        with _stoppable():
            return self._run()

    def _run(self) -> Path:
        settings, accelerator = self.settings, self.accelerator
        prepared = accelerator.prepare(self.objective, *self.optimizers)
        model, optimizers = prepared[0], prepared[1:]
        model.train()
        accelerator.init_trackers("train")
        loader = self._loader()
        saved, seen, begun, sums = time.monotonic(), 0, time.monotonic(), dict[str, float]()
        try:
            with progress("training", settings.steps) as advance:
                advance(self.step)
                batches = iter(loader)
                while self.step < settings.steps:
                    losses = {}
                    for part in range(settings.accumulate):
                        batch: Batch = next(batches)
                        seen += len(batch.captions)
                        losses = self._losses(model, batch, part)
                        accelerator.backward(sum(losses.values()) / settings.accumulate)
                    factor = rate_factor(self.step, settings)
                    norm = accelerator.clip_grad_norm_(self.objective.parameters(), settings.clip)
                    for optimizer, rates in zip(optimizers, self.rates, strict=True):
                        for group, rate in zip(optimizer.param_groups, rates, strict=True):
                            group["lr"] = rate * factor
                        optimizer.step()
                        optimizer.zero_grad()
                    if self.average is not None:
                        self.average.update(self._trainable(), self.step)
                    self.step += 1
                    for name, value in losses.items():
                        sums[name] = sums.get(name, 0.0) + value.item()
                    if self.step % settings.log_every == 0 or self.step == settings.steps:
                        means = {name: value / settings.log_every for name, value in sums.items()}
                        pace = accelerator.num_processes * seen / (time.monotonic() - begun)
                        accelerator.log({**means, "norm": float(norm), "samples/s": pace}, step=self.step)
                        self._note(means, pace)
                        advance(0, loss=f"{sum(means.values()):.4f}", pace=f"{pace:.1f}/s")
                        seen, begun, sums = 0, time.monotonic(), {}
                    advance(1)
                    if settings.sample_every and self.step % settings.sample_every == 0:
                        self.sample()
                    if time.monotonic() - saved > 60 * settings.checkpoint_minutes:
                        self.checkpoint()
                        saved = time.monotonic()
        except KeyboardInterrupt:
            accelerator.end_training()
            self.checkpoint()
            raise
        accelerator.end_training()
        self.checkpoint()
        return self.export()

    def _losses(self, model: nn.Module, batch: Batch, part: int) -> dict[str, Tensor]:
        place = self.accelerator.device
        draw = (
            self.settings.seed,
            self.step * self.settings.accumulate + part,
            self.accelerator.process_index,
        )
        seed = int(np.random.SeedSequence(draw).generate_state(1)[0])
        if "denoiser" not in self.settings.train:
            assert batch.video is not None
            torch.manual_seed(
                seed
            )  # what an autoencoder draws depends on the step alone, so resuming is exact
            return model(batch.video.to(place))
        if batch.latents is None:
            assert batch.video is not None
            with torch.no_grad(), self.accelerator.autocast():
                latents = self.parts["autoencoder"].encode(batch.video.to(place)).float()
        else:
            latents = batch.latents.to(place)
        return model(latents, batch.captions, torch.Generator().manual_seed(seed))

    def _loader(self) -> Any:
        caches: dict[int, Tensor] = {}
        for number, (table, data) in enumerate(zip(self.recipe.data, self.sets, strict=True)):
            if table.table.cache and "denoiser" in self.settings.train:
                with self.accelerator.main_process_first():
                    where, autoencoder = self.folder / "latents", self.parts["autoencoder"]
                    caches[number] = cached_latents(where, autoencoder, table, data, dtype=self.dtype)
        rank = self.accelerator.process_index
        batches = Batches(self.recipe.data, self.sets, seed=self.settings.seed, rank=rank, caches=caches)
        steps = range(self.step * self.settings.accumulate, self.settings.steps * self.settings.accumulate)
        return load_batches(batches, steps, workers=self.settings.workers)

    def _note(self, means: dict[str, float], pace: float) -> None:
        """Append a line to ``log.jsonl``."""
        if self.accelerator.is_main_process:
            line = {
                "step": self.step,
                **{name: round(value, 6) for name, value in means.items()},
                "pace": round(pace, 2),
            }
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")

    # What is kept

    def _identity(self) -> dict[str, Any]:
        return {kind: slot.to_dict() for kind, slot in self.recipe.slots.items()}

    def checkpoint(self) -> None:
        """Write weights, averages and optimiser states, atomically."""
        if not self.accelerator.is_main_process:
            return
        from safetensors.torch import save_file

        with atomic_folder(self.folder / "checkpoint") as new:
            head = {"step": self.step, "parts": self._identity()}
            (new / "config.json").write_text(json.dumps(head, indent=2) + "\n")
            weights = {name: p.detach().contiguous() for name, p in self._trainable()}
            states = [optimizer.state_dict() for optimizer in self.optimizers]
            try:
                save_file(weights, new / "weights.safetensors")
                if self.average is not None:
                    save_file(self.average.values, new / "average.safetensors")
                torch.save(states, new / "optimizers.pt")
            except (RuntimeError, SafetensorError) as problem:  # how both libraries put a full disk
                raise OSError(None, str(problem).splitlines()[0]) from problem

    def _resume(self, checkpoint: Path) -> None:
        from safetensors.torch import load_file

        try:
            head = json.loads((checkpoint / "config.json").read_text())
            weights = load_file(checkpoint / "weights.safetensors")
            states = torch.load(checkpoint / "optimizers.pt", weights_only=True)
        except Exception as problem:
            raise CheckpointError(
                f"{checkpoint} cannot be resumed ({problem}); remove it to start anew."
            ) from problem
        if json.loads(json.dumps(self._identity())) != head["parts"]:
            raise CheckpointError(
                f"{checkpoint} was made by a recipe with other parts; choose another folder or remove it."
            )
        with torch.no_grad():
            for name, parameter in self._trainable():
                parameter.copy_(weights[name])
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)
        if self.average is not None:
            self.average.values = load_file(checkpoint / "average.safetensors")
        self.step = head["step"]

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averaged weights in place for a while."""
        named = self._trainable()
        kept = [p.detach().clone() for _, p in named]
        with torch.no_grad():
            for name, parameter in named:
                if self.average is not None:
                    parameter.copy_(self.average.values[name])
        self.objective.eval()
        try:
            yield
        finally:
            self.objective.train()
            with torch.no_grad():
                for (_, parameter), value in zip(named, kept, strict=True):
                    parameter.copy_(value)

    def sample(self) -> Path | None:
        """Write an image of what the averaged weights make now: reconstructions, or videos of the prompts."""
        if not self.accelerator.is_main_process:
            return None
        path = self.folder / "samples" / f"{self.step:07d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.averaged(), self.accelerator.autocast():
            if self.settings.train == ("autoencoder",):
                videos = next(self._some_videos(1))[:2]
                with torch.inference_mode():
                    made = self.parts["autoencoder"].decode(self.parts["autoencoder"].encode(videos)).float()
                pairs = [x for pair in zip(videos, made, strict=True) for x in pair]
                shown = [Video.from_tensor(x.cpu(), fps=16, clamp=True) for x in pairs]
            else:
                prompts = list(self.settings.prompts) or ["", "a red circle"]
                shown = self.pipeline()(prompts, seed=0, show_progress=False)
        picture = _filmstrips(shown)
        Video.from_numpy(picture[None], fps=1).save(path)
        tracker = self.accelerator.get_tracker("tensorboard", unwrap=True)
        if hasattr(tracker, "add_image"):
            tracker.add_image("samples", picture, self.step, dataformats="HWC")
        return path

    def pipeline(self) -> Pipeline:
        """Return the parts as a pipeline, as they are now."""
        whole = self.recipe.whole
        assert whole is not None
        return Pipeline(whole, self.parts)

    def export(self) -> Path:
        """Write the averaged weights as a part (an autoencoder) or as a pipeline, and return the folder."""
        if self.settings.train == ("autoencoder",):
            with self.averaged():
                return self._export_autoencoder()
        with self.averaged():
            slots = dict(self.recipe.slots)
            denoiser = self.parts["denoiser"]
            for kind in ("autoencoder", "text_encoder"):
                if kind in self.settings.train or not self.parts[kind].config.space:
                    self._name_space(kind)
            latent, text = self.parts["autoencoder"].latent, self.parts["text_encoder"].text
            denoiser.config = denoiser.config.replace(
                latent_space=latent.space, text_space=text.space, text_padding=text.padding
            )
            for kind in INTERFACES[:3]:
                if self.parts[kind].origin == "random":
                    self.parts[kind].origin = "trained"
                slots[kind] = replace(slots[kind], config=self.parts[kind].config)
            self.recipe = replace(self.recipe, slots=slots)
            return self.pipeline().save(self.folder / "pipeline")

    def _name_space(self, kind: str) -> None:
        """Let a part's space be named by its weights."""
        part = self.parts[kind]
        mark = f"{self.recipe.slots[kind].spec.name}-{digest(part.state_dict())}"
        part.config = part.config.replace(space=mark)

    def _export_autoencoder(self) -> Path:
        autoencoder, slot = self.parts["autoencoder"], self.recipe.slots["autoencoder"]
        if hasattr(autoencoder, "set_normalisation") and not self.settings.keep_space:
            with torch.inference_mode():
                rows = [
                    autoencoder.encode(video).transpose(0, 1).flatten(1) for video in self._some_videos(32)
                ]
            latents = torch.cat(rows, dim=1).float()
            old = autoencoder.latent_std
            mean = autoencoder.latent_mean + old * latents.mean(dim=1)
            autoencoder.set_normalisation(mean, old * latents.std(dim=1))
        if not self.settings.keep_space:
            self._name_space("autoencoder")
        with atomic_folder(self.folder / "autoencoder") as new:
            save_part(autoencoder, new, slot.spec)
        return self.folder / "autoencoder"


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGINT raise KeyboardInterrupt, even where a shell in the background has the latter ignored."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _filmstrips(videos: Sequence[Video], frames: int = 8) -> np.ndarray:
    """Return one picture uint8 ``[H, W, 3]``: a row a video, at most so many of its frames side by side."""
    rows = []
    for video in videos:
        chosen = np.linspace(0, len(video) - 1, min(frames, len(video))).round().astype(int)
        rows.append(np.concatenate(list(video.numpy()[chosen]), axis=1))
    return np.concatenate(rows, axis=0)


def train(
    recipe: str | Path | TrainRecipe, folder: str | Path, *, init: str | None = None, **overrides: Any
) -> Path:
    """Train what a recipe says and return the folder of the result.

    Args:
        recipe: A training recipe or its file.
        folder: Where everything goes; a checkpoint there is resumed.
        init: A pipeline's folder or tag to start from.
        **overrides: Fields of ``[train]`` to change.
    """
    if not isinstance(recipe, TrainRecipe):
        recipe = TrainRecipe.load(recipe, overrides)
    return Trainer(recipe, folder, init=init).run()
