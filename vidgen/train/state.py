"""What a training carries from step to step, on disk: weights, averages, optimiser states."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vidgen.checkpoint import atomic_folder
from vidgen.errors import CheckpointError
from vidgen.train.config import TrainConfig
from vidgen.train.memory import laid_out_like, whole
from vidgen.train.optimizers import Averaged, make_optimizers

__all__ = ["TrainState"]


class TrainState:
    """The trainable parameters of a module with their optimisers and averages, and its buffers (codes, running means).

    Args:
        module: What is trained.
        settings: How.
        identity: The parts as plain data; a checkpoint of other parts is refused.
    """

    def __init__(self, module: nn.Module, settings: TrainConfig, identity: dict[str, Any]) -> None:
        self.module, self.identity = module, identity
        self.step = 0
        self.named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
        kept = module.state_dict(keep_vars=True)
        self.buffers = {name: value for name, value in module.named_buffers() if name in kept}
        self.optimizers = make_optimizers(module, settings)
        kind, power = settings.ema_kind, settings.ema_power
        self.average = Averaged(self.named, settings.ema, kind=kind, power=power) if settings.ema else None

    def save(self, folder: Path, *, write: bool = True) -> None:
        """Write a checkpoint; the one before stands until this one is whole.

        Its form does not depend on how many processes there are, or on how they share the parameters.

        Args:
            folder: Where.
            write: Whether this process writes; all of them must call this, for they put the parameters together.

        Raises:
            CheckpointError: When it cannot be written (a full disk).
        """
        weights = {name: whole(p.detach()).contiguous() for name, p in (*self.named, *self.buffers.items())}
        averages = {name: whole(x) for name, x in self.average.values.items()} if self.average else {}
        states = [_changed(optimizer.state_dict(), lambda _, x: whole(x)) for optimizer in self.optimizers]
        if not write:
            return
        with atomic_folder(folder) as new:
            head = {"step": self.step, "parts": self.identity}
            (new / "config.json").write_text(json.dumps(head, indent=2) + "\n")
            try:
                save_file(weights, new / "weights.safetensors")
                if averages:
                    in_order = {name: x.contiguous() for name, x in averages.items()}  # some kernels are not
                    save_file(in_order, new / "average.safetensors")
                torch.save(states, new / "optimizers.pt")
            except (RuntimeError, SafetensorError) as problem:  # how both libraries put a full disk
                raise OSError(None, str(problem).splitlines()[0]) from problem

    def load(self, folder: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            CheckpointError: When it is damaged or of other parts.
        """
        try:
            head = json.loads((folder / "config.json").read_text())
            weights = load_file(folder / "weights.safetensors")
            states = torch.load(folder / "optimizers.pt", weights_only=True)
            averages = None if self.average is None else load_file(folder / "average.safetensors")
        except Exception as problem:
            raise CheckpointError(
                f"{folder} cannot be resumed ({problem}); remove it to start anew."
            ) from problem
        if json.loads(json.dumps(self.identity)) != head["parts"]:
            raise CheckpointError(
                f"{folder} was made by a recipe with other parts; choose another folder or remove it."
            )
        with torch.no_grad():
            for name, value in (*self.named, *self.buffers.items()):
                value.copy_(laid_out_like(weights[name], value))
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(_laid_out(state, optimizer))
        if self.average is not None and averages is not None:
            for name, value in self.average.values.items():
                value.copy_(laid_out_like(averages[name], value))
        self.step = head["step"]

    def update_average(self) -> None:
        """Take the weights after a step into the average."""
        if self.average is not None:
            self.average.update(self.named, self.step)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averaged weights in place for a while, in evaluation mode."""
        kept = [p.detach().clone() for _, p in self.named]
        with torch.no_grad():
            for name, parameter in self.named:
                if self.average is not None:
                    parameter.copy_(self.average.values[name])
        self.module.eval()
        try:
            yield
        finally:
            self.module.train()
            with torch.no_grad():
                for (_, parameter), value in zip(self.named, kept, strict=True):
                    parameter.copy_(value)


def _changed(state: dict[str, Any], change: Callable[[int, Tensor], Tensor]) -> dict[str, Any]:
    """Return an optimiser's state with its tensors changed by a function of the parameter's number and the tensor."""
    tensors = {
        number: {key: change(number, x) if isinstance(x, Tensor) else x for key, x in values.items()}
        for number, values in state["state"].items()
    }
    return {**state, "state": tensors}


def _laid_out(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return a whole state as the parameters of an optimiser are laid out; counts of steps stay as they are."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return _changed(
        state,
        lambda number, x: laid_out_like(x, parameters[number]) if x.shape == parameters[number].shape else x,
    )
