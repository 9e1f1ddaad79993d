"""Checks of every component: configuration, contract, construction, weights on disk, copies."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidgen.checkpoint import load_weights, read_part_config, save_part
from vidgen.errors import ConfigError
from vidgen.parts import build
from vidgen.registry import registry
from vidgen.spec import CONFORMING, INTERFACES
from vidgen.testing.check import Measured, NotApplicable, Subject, Violated, check, distance
from vidgen.testing.probe import answer

__all__: list[str] = []

TINY_PARAMETERS = 20_000_000
"""The preset ``tiny`` must run anywhere; a published vocabulary alone takes about half of this."""

MODULES = ("autoencoder", "denoiser", "text_encoder")
"""Kinds whose components are modules with weights."""

_CONTRACTS = """
import json, sys
from vidgen.registry import find
spec = find(sys.argv[1], sys.argv[2])
presets = list(spec.presets.values()) or [spec.config()]
for preset in presets:
    getattr(preset, "follow", lambda: preset)().contract()
print(json.dumps([name for name in ("torch", "tensorflow", "jax") if name in sys.modules]))
"""


@check(*CONFORMING)
def config_round_trip(subject: Subject) -> None:
    """A configuration survives plain data and JSON unchanged, for every preset."""
    for name, preset in (subject.spec.presets or {"tested": subject.config}).items():
        again = type(preset).from_dict(json.loads(json.dumps(preset.to_dict())))
        if again != preset:
            raise Violated(f"preset {name!r} reads back as {again}, not {preset}")


@check(*CONFORMING)
def bad_configs_are_refused(subject: Subject) -> None:
    """Unknown keys and wrong types raise ConfigError, which names the field."""
    table = subject.config.to_dict()
    wrong: dict[str, dict[str, Any]] = {"no_such_field": {**table, "no_such_field": 1}}
    for name in table:
        wrong[name] = {**table, name: object()}
    for name, bad in wrong.items():
        try:
            type(subject.config).from_dict(bad)
        except ConfigError as problem:
            if name not in str(problem):
                raise Violated(f"the error about {name!r} does not name it: {problem}") from None
        else:
            if name == "no_such_field" or not _takes_anything(subject, name):
                raise Violated(f"{type(subject.config).__name__} takes {bad[name]!r} as {name!r}")


def _takes_anything(subject: Subject, field: str) -> bool:
    from vidgen.config import field_types

    return field_types(type(subject.config))[field] is Any


@check(*INTERFACES)
def contract_is_plain(subject: Subject) -> None:
    """The contract is the same at every call and never changes the configuration."""
    before, first = subject.config.to_dict(), subject.config.contract()
    if subject.config.contract() != first:
        raise Violated("two calls of contract() differ")
    if subject.config.to_dict() != before:
        raise Violated("contract() changed the configuration")


@check(*INTERFACES)
def contract_without_torch(subject: Subject) -> None:
    """Every preset's contract can be read in a fresh process that imports no torch."""
    if (subject.spec.kind, subject.spec.name) in registry().live:
        raise NotApplicable("registered in this session; a fresh process does not know it")
    command = [sys.executable, "-c", _CONTRACTS, subject.spec.kind, subject.spec.name]
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    if done.returncode:
        raise Violated(f"reading the contract failed: {done.stderr.strip().splitlines()[-1]}")
    imported = json.loads(done.stdout.strip().splitlines()[-1])
    if imported:
        raise Violated(
            f"reading the contract imported {', '.join(imported)}; import it in the implementation only"
        )


@check(*INTERFACES)
def construction_is_cheap(subject: Subject) -> Measured:
    """The tested preset is small enough for any machine, and building it twice gives parts of their own."""
    one, two = subject.make(), subject.make()
    if not isinstance(one, nn.Module):
        return Measured(0.0, TINY_PARAMETERS, "the number of parameters")
    shared = {id(p) for p in one.parameters()} & {id(p) for p in two.parameters()}
    if shared:
        raise Violated("two parts that were built apart share parameters")
    return Measured(
        sum(p.numel() for p in one.parameters()), TINY_PARAMETERS, "the number of parameters of tiny"
    )


@check(*CONFORMING)
def config_is_kept(subject: Subject) -> None:
    """The part carries the configuration that it was built from, as `config`."""
    part = subject.make()
    if getattr(part, "config", None) != subject.config:
        raise Violated(f"part.config is {getattr(part, 'config', None)!r}, not the one it was built from")


@check(*MODULES)
def state_keys_are_stable(subject: Subject) -> None:
    """Two builds have the same tensors, and using a part adds or removes none."""
    one, two = subject.make(0), subject.make(1)
    shapes = _shapes(one)
    if shapes != _shapes(two):
        raise Violated(f"two builds differ in {_first_difference(shapes, _shapes(two))}")
    answer(subject, one)
    if shapes != _shapes(one):
        raise Violated(f"using the part changed its state in {_first_difference(shapes, _shapes(one))}")


def _shapes(part: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in part.state_dict().items()}


def _first_difference(one: dict[str, Any], two: dict[str, Any]) -> str:
    return next(name for name in sorted({*one, *two}) if one.get(name) != two.get(name))


@check(*MODULES)
def saves_and_loads_equal(subject: Subject) -> None:
    """What is saved loads strictly, bit for bit, and answers the same."""
    part = subject.stirred()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        save_part(part, folder, subject.spec)
        again = build(subject.spec, read_part_config(subject.spec, folder))
        load_weights(again, folder / "model.safetensors")
    for name, tensor in part.state_dict().items():
        if not torch.equal(tensor, again.state_dict()[name]):
            raise Violated(f"{name} comes back changed")
    if distance(answer(subject, again), answer(subject, part)) > 0:
        raise Violated("the loaded part answers otherwise: something that matters is not in its state_dict")


@check(*MODULES)
def copies_are_apart(subject: Subject) -> None:
    """A deep copy answers the same and shares no memory."""
    part = subject.stirred()
    before, twin = answer(subject, part), copy.deepcopy(part)
    if distance(answer(subject, twin), before) > 0:
        raise Violated("a deep copy answers otherwise")
    with torch.no_grad():
        for tensor in (*twin.parameters(), *twin.buffers()):
            if tensor.is_floating_point():
                tensor.zero_()
    if distance(answer(subject, part), before) > 0:
        raise Violated("changing a deep copy changes the original")


@check(*MODULES)
def answers_are_repeatable(subject: Subject) -> None:
    """In evaluation mode the same question has the same answer, and global chance is not touched."""
    part = subject.stirred()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one = answer(subject, part)
    if not torch.equal(torch.get_rng_state(), state):
        raise Violated("the part draws from torch's global generator; take a generator, or none")
    torch.manual_seed(6)
    gap = distance(answer(subject, part), one)
    if gap > 0:
        raise Violated("two equal calls differ", gap, 0.0)


@check(*MODULES)
def dtype_follows(subject: Subject) -> Measured:
    """`.to(dtype)` moves everything: in float64 the part answers in float64, near what float32 gives."""
    part = _with_weights(subject)
    single = answer(subject, part)
    part.double()
    double = answer(subject, part)
    if double.dtype != torch.float64:
        raise Violated(f"in float64 the part answers in {str(double.dtype).removeprefix('torch.')}")
    return Measured(distance(single, double), 1e-3, "float32's difference from float64")


@check(*MODULES)
def bfloat16_is_close(subject: Subject) -> Measured:
    """Under bfloat16 autocast the part answers finitely and near float32."""
    part = subject.stirred()
    full = answer(subject, part)
    with torch.autocast("cpu", torch.bfloat16):
        half = answer(subject, part)
    if not half.isfinite().all():
        raise Violated("not finite in bfloat16")
    error = float((half.double() - full.double()).square().mean().sqrt())
    return Measured(
        error / max(float(full.double().square().mean().sqrt()), 1e-6), 0.08, "the relative error"
    )


@check(*MODULES)
def device_follows(subject: Subject) -> None:
    """`.to(device)` moves everything: on another device the part answers there."""
    part = _with_weights(subject)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device is None:
        _only_meta(subject, part)
        return
    made: Tensor = answer(subject, part.to(device))
    if made.device.type != device.type:
        raise Violated(f"on {device.type} the part answers on {made.device.type}")


def _with_weights(subject: Subject) -> Any:
    part = subject.stirred()
    if not any(tensor.is_floating_point() for tensor in (*part.parameters(), *part.buffers())):
        raise NotApplicable("the part has no weights; it works wherever its input is")
    return part


def _only_meta(subject: Subject, part: nn.Module) -> None:
    """Without a second device, torch's meta device tells as much: it does not mix with tensors made on the CPU."""
    try:
        made = answer(subject, part.to("meta"))
    except (NotImplementedError, RuntimeError) as problem:
        text = str(problem)
        if "device" in text and "meta" in text and ("cpu" in text or "two devices" in text):
            raise Violated(f"a tensor stays on the CPU: {text.splitlines()[0]}") from problem
        if any(word in text for word in ("meta tensor", "Meta", "data-dependent", "item()")):
            raise NotApplicable("reads values, so that the meta device cannot say; run it on a GPU") from None
        raise
    if made.device.type != "meta":
        raise Violated(f"with all weights on another device the part answers on {made.device.type}")
