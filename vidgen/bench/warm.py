"""What the fork server loads once, so that no row waits for it: torch, the pipeline, and the code of the plan's parts.

Every part is tried in a fork of its own first: code that crashes the process is left to the rows that ask for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal

import torch

import vidgen.bench.work
import vidgen.bench.worker
import vidgen.cli.app
import vidgen.video  # noqa: F401
from vidgen.parts import Address, build, load_target
from vidgen.recipe import Slot
from vidgen.registry import find
from vidgen.spec import INTERFACES

__all__: list[str] = []

LONGEST = 120
"""Seconds after which a part's code is not waited for."""


def touch(kind: str, address: str) -> None:
    """Import all that a part needs, by making it without tensors; what it raises, its rows will say again."""
    with contextlib.suppress(Exception, SystemExit):
        load_target(find(kind, Address.parse(address).name))
        if kind in INTERFACES:
            slot = Slot.read(kind, address)
            with torch.device("meta"):
                build(slot.spec, slot.config)


def survives(kind: str, address: str) -> bool:
    """Return whether a fork of this process is alive after touching a part."""
    child = os.fork()
    if child == 0:
        signal.alarm(LONGEST)
        touch(kind, address)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


threads = torch.get_num_threads()
torch.set_num_threads(1)  # a pool of threads does not live on in a fork
for one in json.loads(os.environ.get("VIDGEN_BENCH_PARTS", "[]")):
    if survives(*one):
        touch(*one)
torch.set_num_threads(threads)
