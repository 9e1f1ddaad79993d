from __future__ import annotations

from collections.abc import Iterator

import pytest

from vidgen.registry import Registry, registry


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
