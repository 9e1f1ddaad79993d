"""The Hub's cache is enough where the Hub itself is out of reach, and what is missing is said at once."""

from __future__ import annotations

import time

import pytest
from huggingface_hub import constants

import vidgen
from vidgen import hub
from vidgen.errors import CheckpointError

COMMIT = "a" * 40


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache with one repository, and no way out."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(hub, "hub_reachable", lambda: False)
    root = tmp_path / "models--someone--model"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    (root / "snapshots" / COMMIT).mkdir(parents=True)
    (root / "snapshots" / COMMIT / "model_index.json").write_text("{}")
    return root / "snapshots" / COMMIT


def test_what_the_cache_holds_is_found_without_the_hub(cache):
    assert hub.fetch("someone/model", ["*.json"]) == cache
    assert hub.fetch("someone/model", ["*.json"], revision=COMMIT, offline=True) == cache


@pytest.mark.parametrize(("offline", "why"), [(True, "offline=True"), (False, "the Hub cannot be reached")])
def test_what_is_missing_is_said_at_once_in_one_line(cache, offline, why):
    begun = time.monotonic()
    with pytest.raises(CheckpointError, match=f"'someone/else' is no folder here.*{why}") as caught:
        vidgen.load("someone/else", offline=offline)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - begun < 10  # huggingface_hub's own retries take 47 s


def test_a_name_that_no_repository_can_have_is_refused(cache, monkeypatch):
    monkeypatch.setattr(hub, "hub_reachable", lambda: True)
    with pytest.raises(CheckpointError, match="the Hub did not give it"):
        hub.fetch("--/..", ["*"])
