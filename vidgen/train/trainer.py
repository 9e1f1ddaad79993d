"""The training loop, on accelerate: resumable exactly, safe to stop at any moment."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vidgen.checkpoint import atomic_folder, digest, recover_folder, save_part
from vidgen.errors import ConfigError
from vidgen.nn import attention_backend
from vidgen.nn.ulysses import process_group, sequence_parallel
from vidgen.parts import build
from vidgen.progress import progress
from vidgen.recipe import Slot
from vidgen.sampling.assembly import assemble, make
from vidgen.sampling.pipeline import Pipeline
from vidgen.spec import INTERFACES
from vidgen.train.batches import Batch, Batches, load_batches
from vidgen.train.cache import Cache, arithmetic
from vidgen.train.config import TrainRecipe
from vidgen.train.filmstrips import filmstrips
from vidgen.train.memory import checkpoint_blocks, make_whole, shard, whole
from vidgen.train.meter import Log, Meter
from vidgen.train.objectives import AutoencoderObjective, DenoiserObjective
from vidgen.train.optimizers import rate_factor
from vidgen.train.state import TrainState
from vidgen.train.statistics import latent_statistics
from vidgen.train.stop import stop_asked
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
        # Said, so that several processes find each other on CPUs too.
        cpu = not torch.accelerator.is_available()
        place = PartialState(cpu=cpu)
        self.dtype = arithmetic(self.settings, place.device)
        self.accelerator = Accelerator(
            cpu=cpu,
            mixed_precision="bf16" if self.dtype == torch.bfloat16 else "no",
            log_with="tensorboard",
            project_dir=str(self.folder / "logs"),
        )
        # Processes that share the tokens of a sample learn from the same batches: together they are one learner.
        each = self.settings.sequence_parallel
        self.group = process_group(each)
        self.learners, self.learner = (n // each for n in (place.num_processes, place.process_index))
        if self.settings.global_batches % self.learners:
            raise ConfigError(
                f"train.global_batches {self.settings.global_batches} cannot be shared out among "
                f"{self.learners} processes; take a multiple of their number."
            )
        self.parts = self._make_parts(init)
        self.sets = [build(table.spec, table.settings) for table in recipe.data]
        checkpoint = self.folder / "checkpoint"
        if self.is_main:
            recover_folder(checkpoint)
        self.accelerator.wait_for_everyone()
        self.objective = self._objective(start=init is None and not checkpoint.exists())
        identity = {kind: slot.to_dict() for kind, slot in self.recipe.slots.items()}
        if not any(p.requires_grad for p in self.objective.parameters()):
            raise ConfigError(f"train.freeze {list(self.settings.freeze)} leaves nothing to train.")
        if self.settings.checkpointing:
            checkpoint_blocks(self.parts["denoiser"])
        if self.settings.shard:
            shard(self.objective)
        self.state = TrainState(self.objective, self.settings, identity)
        self.log: Log | None = None
        self.rates = [[group["lr"] for group in opt.param_groups] for opt in self.state.optimizers]
        if checkpoint.exists():
            self.state.load(checkpoint)

    @property
    def accumulate(self) -> int:
        """Batches of this process to an optimiser step."""
        settings = self.settings
        return settings.global_batches // self.learners if settings.global_batches else settings.accumulate

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.accelerator.is_main_process

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
        """Yield videos drawn by another seed than training's."""
        batches = Batches(self.recipe.data, self.sets, seed=self.settings.seed + 1)
        for step in range(count):
            video = batches[step][0].video
            assert video is not None
            yield video.to(self.accelerator.device)

    # The loop

    def run(self) -> Path:
        """Train to the last step and return the folder of the result.

        A stop by Ctrl-C (or by SIGTERM, as clusters send it) ends the step under way, writes a checkpoint and raises
        KeyboardInterrupt; the same call goes on from there.
        """
        settings, accelerator, state = self.settings, self.accelerator, self.state
        optimizers = [accelerator.prepare(optimizer) for optimizer in state.optimizers]
        # What is shared out averages its gradients by itself.
        model = self.objective if settings.shard else accelerator.prepare(self.objective)
        model.train()
        accelerator.init_trackers("train")
        if self.is_main:
            self.log = Log(self.folder / "log.jsonl", state.step)
        batches, meter, saved = iter(self._loader()), Meter(), time.monotonic()
        shown = None if self.is_main else False
        with (
            attention_backend(settings.attention),
            stop_asked() as stop,
            progress("training", settings.steps, show=shown) as advance,
        ):
            advance(state.step)
            while state.step < settings.steps and not self._any(stop()):
                norm = self._learn(model, optimizers, batches, meter)
                advance(1)
                if state.step % settings.log_every == 0 or state.step == settings.steps:
                    means, pace = meter.read(self.learners)
                    means = {name: self._mean(value) for name, value in means.items()}
                    self._log(means, pace, norm)
                    advance(0, loss=f"{sum(means.values()):.4f}", pace=f"{pace:.1f}/s")
                if settings.sample_every and state.step % settings.sample_every == 0:
                    self.sample()
                if time.monotonic() - saved > 60 * settings.checkpoint_minutes:
                    self.checkpoint()
                    saved = time.monotonic()
        self.checkpoint()
        done = state.step == settings.steps
        if done:
            self.export()
        accelerator.wait_for_everyone()
        accelerator.end_training()
        if not done:
            raise KeyboardInterrupt
        return self.result

    def _any(self, asked: bool) -> bool:
        """Say whether any process was asked to stop, so that all end after the same step."""
        if self.accelerator.num_processes == 1:
            return asked
        flag = torch.tensor(float(asked), device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum") > 0)

    def _mean(self, value: float) -> float:
        """Return the mean of a number over the processes."""
        if self.accelerator.num_processes == 1:
            return value
        there = torch.tensor(value, dtype=torch.float32, device=self.accelerator.device)
        return float(self.accelerator.reduce(there, "mean"))

    def _learn(
        self, model: nn.Module, optimizers: Sequence[Any], batches: Iterator[list[Batch]], meter: Meter
    ) -> float:
        """Take one optimiser step and return the norm of the gradient."""
        settings, accelerator, state = self.settings, self.accelerator, self.state
        for part in range(self.accumulate):
            batch = next(batches)
            with accelerator.autocast() if settings.shard else nullcontext():  # else `prepare` saw to it
                losses = self._losses(model, batch, part)
            accelerator.backward(sum(losses.values()) / self.accumulate)
            meter.add(losses, sum(len(one.text) for one in batch))
        norm = accelerator.clip_grad_norm_(self.objective.parameters(), settings.clip)
        factor = rate_factor(state.step, settings)
        for optimizer, rates in zip(optimizers, self.rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            optimizer.step()
            optimizer.zero_grad()
        state.update_average()
        state.step += 1
        return float(whole(norm))

    def _losses(self, model: nn.Module, batch: list[Batch], part: int) -> dict[str, Tensor]:
        number = self._numbers(self.state.step)[part]
        draw = (self.settings.seed, number, self._stream)
        seed = int(np.random.SeedSequence(draw).generate_state(1)[0])
        if "denoiser" not in self.settings.train:
            video = batch[0].video
            assert video is not None
            torch.manual_seed(seed)  # what it draws depends on the step alone, so resuming is exact
            return model(video.to(self.accelerator.device))
        latents, texts = [self._latents(one) for one in batch], [one.text for one in batch]
        chance = torch.Generator().manual_seed(seed)
        with sequence_parallel(self.group):
            if self.settings.pack:
                return model(latents, texts, chance)
            return model(latents[0], texts[0], chance)

    def _latents(self, batch: Batch) -> Tensor:
        place = self.accelerator.device
        if batch.latents is not None:
            return batch.latents.to(place)
        assert batch.video is not None
        with torch.no_grad(), self.accelerator.autocast():
            return self.parts["autoencoder"].encode(batch.video.to(place)).float()

    def _loader(self) -> Any:
        caches = self._caches()
        settings = self.settings
        draw = {"seed": settings.seed, "rank": self._stream, "budget": settings.tokens * settings.pack}
        batches = Batches(self.recipe.data, self.sets, caches=caches, **draw)
        numbers = [
            number for step in range(self.state.step, settings.steps) for number in self._numbers(step)
        ]
        return load_batches(batches, numbers, workers=settings.workers)

    def _numbers(self, step: int) -> range:
        """Return the numbers of the batches that this process learns from at a step."""
        together = self.settings.global_batches
        if not together:
            return range(step * self.accumulate, (step + 1) * self.accumulate)
        return range(step * together + self.learner, (step + 1) * together, self.learners)

    @property
    def _stream(self) -> int:
        """The stream of chance of this process: all share one where they share numbered batches out."""
        return 0 if self.settings.global_batches else self.learner

    def _caches(self) -> dict[int, Cache]:
        """Return the filled caches of the data tables that want one."""
        if "denoiser" not in self.settings.train:
            return {}
        root, state = Path(self.settings.cache or self.folder / "latents"), self.accelerator
        caches = {}
        for number, (table, data) in enumerate(zip(self.recipe.data, self.sets, strict=True)):
            if table.table.cache:
                parts = (self.parts["autoencoder"], self.parts["text_encoder"])
                caches[number] = cache = Cache(root, table, data, *parts)
                cache.fill(self.dtype, turn=state.process_index, turns=state.num_processes)
        state.wait_for_everyone()
        for cache in caches.values():
            cache.fill(self.dtype)  # what other processes wrote to another machine's disk
        return caches

    # What is written

    def _log(self, means: Mapping[str, float], pace: float, norm: float) -> None:
        """Log to TensorBoard and to ``log.jsonl``."""
        step = self.state.step
        self.accelerator.log({**means, "norm": norm, "samples/s": pace}, step=step)
        if self.log:
            self.log.write(step, means, pace)

    def checkpoint(self) -> None:
        """Write weights, averages and optimiser states, atomically."""
        self.state.save(self.folder / "checkpoint", write=self.is_main)

    def sample(self) -> Path | None:
        """Write a picture of what the averaged weights make now: reconstructions, or videos of the prompts."""
        if not self.is_main:
            return None
        path = self.folder / "samples" / f"{self.state.step:07d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.state.averaged(), self.accelerator.autocast():
            if self.settings.train == ("autoencoder",):
                videos = next(self._some_videos(1))[:2]
                with torch.inference_mode():
                    made = self.parts["autoencoder"].decode(self.parts["autoencoder"].encode(videos)).float()
                pairs = [x for pair in zip(videos, made, strict=True) for x in pair]
                shown = [Video.from_tensor(x.cpu(), fps=16, clamp=True) for x in pairs]
            else:
                prompts = list(self.settings.prompts) or ["", "a red circle"]
                shown = self.pipeline()(prompts, seed=0, show_progress=False)
        picture = filmstrips(shown)
        Video.from_numpy(picture[None], fps=1).save(path)
        tracker = self.accelerator.get_tracker("tensorboard", unwrap=True)
        if hasattr(tracker, "add_image"):
            tracker.add_image("samples", picture, self.state.step, dataformats="HWC")
        return path

    def pipeline(self) -> Pipeline:
        """Return the parts as a pipeline, as they are now."""
        whole = self.recipe.whole
        assert whole is not None
        return Pipeline(whole, self.parts)

    @property
    def result(self) -> Path:
        """The folder of what is made: a part (an autoencoder) or a pipeline."""
        return self.folder / ("autoencoder" if self.settings.train == ("autoencoder",) else "pipeline")

    def export(self) -> None:
        """Write the averaged weights into `result`; all processes take part."""
        with self.state.averaged():
            if self.settings.shard:
                make_whole(self.objective)
            if not self.is_main:
                return
            if self.settings.train == ("autoencoder",):
                self._export_autoencoder()
            else:
                self._export_pipeline()

    def _export_pipeline(self) -> None:
        denoiser, slots = self.parts["denoiser"], dict(self.recipe.slots)
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
        self.pipeline().save(self.result)

    def _export_autoencoder(self) -> None:
        autoencoder, slot = self.parts["autoencoder"], self.recipe.slots["autoencoder"]
        if not self.settings.keep_space:
            if autoencoder.normalisation() is not None:
                found = latent_statistics(autoencoder, self._some_videos(32))
                autoencoder.set_normalisation(found.shift, 1 / found.scale)
            self._name_space("autoencoder")
        with atomic_folder(self.result) as new:
            save_part(autoencoder, new, slot.spec)

    def _name_space(self, kind: str) -> None:
        """Let a part's space be named by its weights."""
        part = self.parts[kind]
        mark = f"{self.recipe.slots[kind].spec.name}-{digest(part.state_dict())}"
        part.config = part.config.replace(space=mark)


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
