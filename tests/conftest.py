from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from vidgen.registry import Registry, registry

# Workers of pytest-xdist share the cores: said before torch is imported, and to the processes that tests start as well.
if workers := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(workers))))


@pytest.fixture
def scratch_registry() -> Iterator[Registry]:
    """The one registry, put back as it was after the test."""
    held = registry()
    tables = (held._specs, held._owners, held.live)
    kept = [dict(table) for table in tables]
    yield held
    for table, before in zip(tables, kept, strict=True):
        table.clear()
        table.update(before)
