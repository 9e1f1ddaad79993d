"""Parts that are on the device only while they work: a whole part at a time, or its blocks one after the other.

accelerate's hooks move what a module's `forward` needs. Our parts work in several methods (`encode`, `prepare`,
`forward`, `decode_stream`), and call layers of a block without the block; so here whatever is called brings what it
belongs to.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from vidgen.interfaces import Denoiser, TextEncoder, VideoAutoencoder
from vidgen.nn.blocks import blocks_of

__all__ = ["Blocks", "Group", "Offload", "Unit", "units_of"]

ENTRIES = (
    "encode",
    "encode_stream",
    "decode",
    "decode_stream",
    "codes",
    "decode_codes",
    "prepare",
    "forward",
    "forward_train",
    "published_forward",
)
"""Methods through which a part is put to work."""
AT_ONCE = 3
"""Blocks that are on the device at most: the one at work, the next, and the last one until the device is done."""
INTERFACES = (Denoiser, TextEncoder, VideoAutoencoder)


class Group:
    """The tensors of a module and below, which come to a device and leave it together.

    While they are there the modules hold copies; what they held before is kept and put back as it was.

    Args:
        root: The module.
        device: Where it works.
        apart: Modules below it that are groups of their own.
    """

    def __init__(self, root: nn.Module, device: torch.device, apart: Sequence[nn.Module] = ()) -> None:
        self.root, self.device, self.apart = root, device, frozenset(apart)
        self.home: list[tuple[dict[str, Any], str, Tensor]] | None = None
        self.copied: torch.cuda.Event | None = None

    @property
    def there(self) -> bool:
        """Whether the tensors are on the device, or on their way."""
        return self.home is not None

    @property
    def size(self) -> int:
        """Bytes, each tensor once."""
        tensors = {id(tensor): tensor for _, _, tensor in self._held()}
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())

    @torch.inference_mode(False)  # what is made for inference could not be a parameter
    @torch.no_grad()
    def send(self, stream: torch.cuda.Stream | None = None) -> None:
        """Begin to copy the tensors to the device, on a CUDA stream of its own if there is one."""
        if self.there:
            return
        copies: dict[int, Tensor] = {}
        held = list(self._held())
        with torch.cuda.stream(stream):  # of None it does nothing
            for _, _, tensor in held:
                if id(tensor) not in copies:
                    copies[id(tensor)] = _copy(tensor, self.device)
            if stream is not None:
                self.copied = stream.record_event()
        for place, name, tensor in held:
            place[name] = copies[id(tensor)]
        self.home = held

    def bring(self) -> None:
        """Have the tensors on the device."""
        self.send()
        if self.copied is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(self.copied)
            for _, _, tensor in self._held():
                tensor.record_stream(stream)
            self.copied = None

    def release(self) -> None:
        """Put back what the modules held before."""
        for place, name, tensor in self.home or ():
            place[name] = tensor
        self.home = self.copied = None

    def pin(self) -> None:
        """Keep the tensors in page-locked memory, from where a GPU copies while it works."""
        for _, _, tensor in self._held():
            if type(tensor) in (Tensor, nn.Parameter) and tensor.device.type == "cpu":
                tensor.data = tensor.data.pin_memory()

    def modules(self) -> Iterator[nn.Module]:
        """Yield the root and what is below it, but for what is apart."""
        waiting = [self.root]
        while waiting:
            module = waiting.pop()
            yield module
            waiting += [child for child in module.children() if child not in self.apart]

    def _held(self) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
        for module in self.modules():
            for place in (module._parameters, module._buffers):
                for name, tensor in place.items():
                    if tensor is not None:
                        yield place, name, tensor


def _copy(tensor: Tensor, device: torch.device) -> Tensor:
    copy = tensor.detach().to(device, non_blocking=True, copy=True)
    return nn.Parameter(copy, requires_grad=False) if isinstance(tensor, nn.Parameter) else copy


class Blocks:
    """Blocks that work one after the other: when one is called, the others leave, and the next is sent for.

    Which one is next is what came next the time before.
    """

    def __init__(self, groups: Sequence[Group]) -> None:
        self.groups = groups
        self.current: Group | None = None
        self.following: dict[Group, Group] = {}
        self.ahead = bool(groups) and groups[0].device.type == "cuda" and torch.cuda.is_available()
        self.side = torch.cuda.Stream(groups[0].device) if self.ahead else None
        self.reached: torch.cuda.Event | None = None

    def call(self, group: Group) -> None:
        """Have a block on the device that is about to work."""
        if group is self.current:
            return
        if self.current is not None:
            self.following[self.current] = group
        self.current = group
        group.bring()
        after = self.following.get(group) if self.ahead else None
        for other in self.groups:
            if other not in (group, after):
                other.release()
        if after is not None:
            self._keep_pace()
            after.send(self.side)

    def _keep_pace(self) -> None:
        """Wait until the device is done with the block before the last: else copies would pile up before it."""
        reached = torch.cuda.current_stream(self.groups[0].device).record_event()
        if self.reached is not None:
            self.reached.synchronize()
        self.reached = reached

    def release(self) -> None:
        """Send all away."""
        for group in self.groups:
            group.release()
        self.current = None


class Unit:
    """A part, or a part inside a composite: its blocks if they move one by one, and the rest of it.

    Args:
        part: It.
        inner: Parts inside it, which are units of their own.
        device: Where it works.
        by_block: Whether its blocks move one by one.
    """

    def __init__(
        self, part: nn.Module, inner: Sequence[nn.Module], device: torch.device, by_block: bool
    ) -> None:
        self.part, self.family = part, {part, *inner}
        blocks = blocks_of(part) if by_block and not inner else []
        self.rest = Group(part, device, [*inner, *blocks])
        self.blocks = Blocks([Group(block, device) for block in blocks])

    @property
    def most(self) -> int:
        """Bytes of it that are on the device at once, at most."""
        blocks = [group.size for group in self.blocks.groups]
        return self.rest.size + min(sum(blocks), AT_ONCE * max(blocks, default=0))

    def release(self) -> None:
        """Send all of it away."""
        self.rest.release()
        self.blocks.release()


def units_of(part: nn.Module, device: torch.device, *, by_block: bool) -> list[Unit]:
    """Return a part's units: itself, and the parts inside if it is a composite. Autoencoders stay whole."""
    found = []
    for one in part.modules():
        if isinstance(one, INTERFACES):
            inner = [other for other in one.modules() if isinstance(other, INTERFACES) and other is not one]
            found.append(Unit(one, inner, device, by_block and not isinstance(one, VideoAutoencoder)))
    return found


class Offload:
    """Parts that come to a device when one of their methods is called, and leave it when another part is.

    Args:
        parts: They stay where they are, and work on the device.
        device: Where they work.
        by_block: Whether blocks of denoisers and text encoders move one by one.
    """

    def __init__(self, parts: Iterable[nn.Module], device: torch.device, *, by_block: bool) -> None:
        self.device = device
        self.units: list[Unit] = []
        self.undo: list[Callable[[], None]] = []
        self.current: Unit | None = None
        for part in parts:
            for unit in units_of(part, device, by_block=by_block):
                self._add(unit)

    def _add(self, unit: Unit) -> None:
        self.units.append(unit)
        unit.part.__dict__["offload"] = self
        self.undo.append(functools.partial(unit.part.__dict__.pop, "offload", None))
        for name in ENTRIES:
            if callable(getattr(unit.part, name, None)):
                self._before(unit.part, name, functools.partial(self.enter, unit))
        for group in unit.blocks.groups:
            if unit.blocks.ahead:
                group.pin()
            for module in group.modules():
                self._before(module, "forward", functools.partial(unit.blocks.call, group))

    def _before(self, module: nn.Module, name: str, act: Callable[[], None]) -> None:
        """Let something happen before each call of a method.

        Forward hooks would do for `forward`, but transformers of PyTorch compute differently when there are any.
        """
        method, own = getattr(module, name), module.__dict__.get(name)

        @functools.wraps(method)
        def call(*args: Any, **kwargs: Any) -> Any:
            act()
            return method(*args, **kwargs)

        @functools.wraps(method)
        def stream(*args: Any, **kwargs: Any) -> Iterator[Any]:
            pieces = method(*args, **kwargs)
            while True:
                act()
                try:
                    piece = next(pieces)
                except StopIteration:
                    return
                yield piece

        module.__dict__[name] = stream if inspect.isgeneratorfunction(method) else call
        restore = functools.partial(module.__dict__.__setitem__, name, own)
        self.undo.append(functools.partial(module.__dict__.pop, name, None) if own is None else restore)

    def enter(self, unit: Unit) -> None:
        """Have a part on the device; parts that it is no part of, and that are no part of it, leave."""
        if unit is not self.current:
            for other in self.units:
                if other.part not in unit.family and unit.part not in other.family:
                    other.release()
            self.current = unit
        unit.rest.bring()

    @property
    def there(self) -> int:
        """Bytes that are on the device now."""
        groups = [group for unit in self.units for group in (unit.rest, *unit.blocks.groups)]
        return sum(group.size for group in groups if group.there)

    def release(self) -> None:
        """Send everything away; the next call brings what it needs."""
        for unit in self.units:
            unit.release()
        self.current = None

    def lift(self) -> None:
        """End it: the parts are where they were, and stay there."""
        self.release()
        while self.undo:
            self.undo.pop()()
