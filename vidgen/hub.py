"""Reading from the Hugging Face hub without waiting for it where it cannot be reached."""

from __future__ import annotations

import contextlib
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator

__all__ = ["hub_reachable", "only_cached_when_unreachable"]


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
