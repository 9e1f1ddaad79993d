"""A headless Chromium for tests, driven through ChromeDriver by the WebDriver protocol; nothing to install by pip."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

import pytest

__all__ = ["Browser", "browser_or_skip"]

ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1280,1600",
    "--autoplay-policy=no-user-gesture-required", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


class Browser:
    """One window.

    Args:
        arguments: More of Chromium's command line.
        preferences: Of its profile.
    """

    def __init__(self, *arguments: str, preferences: dict[str, Any] | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self._driver = subprocess.Popen(
            [shutil.which("chromedriver") or "chromedriver", f"--port={port}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._base = f"http://127.0.0.1:{port}/session"
        binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        options = {"binary": binary, "args": [*ARGUMENTS, *arguments], "prefs": preferences or {}}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        try:
            self._session = self._start({"capabilities": {"alwaysMatch": wanted}})
        except BaseException:
            self._driver.kill()
            raise

    def _start(self, body: dict[str, Any]) -> str:
        for _ in range(100):
            try:
                return self._ask("POST", "", body)["sessionId"]
            except urllib.error.HTTPError:
                raise
            except OSError:  # the driver does not listen yet
                time.sleep(0.1)
        raise TimeoutError("ChromeDriver did not start.")

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._base + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            request, timeout=120
        ) as answer:
            return json.load(answer)["value"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask("DELETE", f"/{self._session}")
        finally:
            self._driver.terminate()
            self._driver.wait(10)

    def open(self, address: str | Path) -> None:
        """Load a page: a file or an address."""
        url = address.resolve().as_uri() if isinstance(address, Path) else address
        self._ask("POST", f"/{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a function in the page and return what it returns."""
        return self._ask(
            "POST", f"/{self._session}/execute/sync", {"script": script, "args": list(arguments)}
        )

    def wait(self, script: str, seconds: float = 20) -> Any:
        """Wait until an expression is true, and return it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.run(f"return {script}"):
                return found
            time.sleep(0.1)
        raise TimeoutError(f"{script} did not become true in {seconds} s.")

    def command(self, name: str, **parameters: Any) -> Any:
        """Give a command of the DevTools protocol."""
        body = {"cmd": name, "params": parameters}
        return self._ask("POST", f"/{self._session}/goog/cdp/execute", body)

    def log(self) -> list[str]:
        """Return what the console said since the last call."""
        found = self._ask("POST", f"/{self._session}/se/log", {"type": "browser"})
        return [f"{one['level']}: {one['message']}" for one in found]

    def screenshot(self, path: Path) -> Path:
        """Write a PNG of what the window shows."""
        path.write_bytes(base64.b64decode(self._ask("GET", f"/{self._session}/screenshot")))
        return path


def browser_or_skip(*arguments: str, **options: Any) -> Browser:
    """Return a window, or skip the test where there is no Chromium (Debian: apt-get install chromium-driver)."""
    if not shutil.which("chromedriver"):
        pytest.skip("no chromedriver; on Debian: apt-get install chromium chromium-driver")
    return Browser(*arguments, **options)
