"""Reading from the Hugging Face hub without waiting for it where it cannot be reached."""

from __future__ import annotations

import contextlib
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from vidgen.errors import CheckpointError

__all__ = ["fetch", "hub_reachable", "only_cached_when_unreachable"]


def hub_reachable() -> bool:
    """Return whether the hub's address can be resolved; True behind a proxy, which resolves by itself."""
    from huggingface_hub import constants

    if urllib.request.getproxies():
        return True
    try:
        socket.getaddrinfo(urllib.parse.urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def only_cached_when_unreachable() -> Iterator[None]:
    """Let the hub's clients look only into their cache without network: else their retries take 47 s."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not hub_reachable()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def fetch(
    source: str, patterns: Sequence[str], *, revision: str | None = None, offline: bool = False
) -> Path:
    """Return the folder of a repository's files, out of the cache or from the hub; a broken download goes on.

    Args:
        source: Such as ``Wan-AI/Wan2.1-T2V-1.3B-Diffusers``.
        patterns: Of the files to fetch.
        revision: Branch, tag or commit; None is the newest.
        offline: Look only into the cache, as it does anyway where the hub cannot be reached.

    Raises:
        CheckpointError: When it is neither there nor to be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    cached = offline or not hub_reachable()
    try:
        return Path(
            snapshot_download(
                source, allow_patterns=list(patterns), revision=revision, local_files_only=cached
            )
        )
    except LocalEntryNotFoundError as problem:
        why = "offline=True looks no further" if offline else "the Hub cannot be reached"
        raise CheckpointError(
            f"{source!r} is no folder here and not in the Hub's cache, and {why}; download it first."
        ) from problem
    except (HfHubHTTPError, HFValidationError, OSError) as problem:
        line = str(problem).splitlines()[0]
        raise CheckpointError(
            f"{source!r} is no folder here, and the Hub did not give it: {line}"
        ) from problem
