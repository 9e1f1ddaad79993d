"""The page in headless Chromium; skipped where gradio or Chromium is absent."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from tests.browser import browser_or_skip
from vidgen.ui.combination import default_parts, said
from vidgen.ui.state import Studio
from vidgen.video import Video

pytest.importorskip("gradio", reason="no gradio: pip install 'vidgen-components[ui]'")

PATIENCE = 300
"""Seconds: torch is imported by the first click, on a machine that may be busy."""
CHOOSE = """
const input = document.querySelector(arguments[0] + ' input');
input.focus();
return new Promise(done => setTimeout(() => {
    const items = [...document.querySelectorAll('li[role=option]')];
    const item = items.find(one => one.getAttribute('aria-label').split(/[ :]/).includes(arguments[1]));
    const label = item.getAttribute('aria-label'), opacity = getComputedStyle(item).opacity;
    item.dispatchEvent(new MouseEvent('mousedown', {bubbles: true, cancelable: true}));
    input.blur();
    done([label, Number(opacity)]);
}, 500));
"""
SET = """
const input = document.querySelector('#' + arguments[0] + ' input');
input.value = arguments[1];
input.dispatchEvent(new Event('input', {bubbles: true}));
"""
READY = "!document.querySelector('#go').disabled"


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    return Studio(tmp_path_factory.mktemp("ui"), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def served(studio):
    from vidgen.ui.page import launch

    page = launch(studio)
    yield page.local_url
    page.close(verbose=False)


@pytest.fixture
def page(served):
    with browser_or_skip() as window:
        window.open(served)
        window.wait("document.querySelector('#go') && document.querySelector('#scheduler-B input')", PATIENCE)
        window.wait(READY, PATIENCE)
        yield window
        assert window.log() == []


def text(page, place):
    return page.run(f"return document.querySelector('{place}').innerText").strip()


def make_tiny(page):
    for name, value in {"frames": 9, "height": 32, "width": 32, "steps": 2}.items():
        page.run(SET, name, str(value))


def test_nothing_is_fetched_from_elsewhere(page, served):
    names = page.run("return performance.getEntriesByType('resource').map(one => one.name)")
    assert names
    assert all(name.startswith((served, "data:", "blob:")) for name in names)


def test_a_misfit_is_greyed_and_says_why(page):
    label, opacity = page.run(CHOOSE, "#autoencoder-A", "wan-vae/2.1")
    assert label.startswith("\u2717 wan-vae/2.1: ")
    assert opacity < 1
    page.wait("document.querySelector('#go').disabled", PATIENCE)
    _, (_, *reasons) = said({**default_parts(), "autoencoder": "wan-vae/2.1"})
    shown = text(page, "#said-A")
    assert reasons
    assert all(reason in shown for reason in reasons)
    assert "A does not fit" in text(page, "#note")
    assert text(page, "#said-B") == "native: runs as trained"
    label, opacity = page.run(CHOOSE, "#autoencoder-A", default_parts()["autoencoder"])
    assert opacity == 1
    page.wait(READY, PATIENCE)
    assert text(page, "#said-A") == "native: runs as trained"


def test_sizes_are_judged_beside_the_button(page):
    page.run(SET, "frames", "16")
    page.wait("document.querySelector('#note').innerText.includes('cropped to 16x64x64')", PATIENCE)
    assert page.run(f"return {READY}")
    page.run(SET, "frames", "0")
    page.wait("document.querySelector('#go').disabled", PATIENCE)
    assert "0x64x64 is no size" in text(page, "#note")


def test_two_videos_are_made_played_and_downloaded(page, studio, served, tmp_path):
    make_tiny(page)
    page.run(CHOOSE, "#denoiser-A", "sora-dit/tiny")
    page.wait("document.querySelector('#said-A').innerText.includes('random weights in denoiser')", PATIENCE)
    page.wait(READY, PATIENCE)
    page.run("document.querySelector('#go').click()")
    page.wait("document.querySelectorAll('video[src]').length === 2", PATIENCE)
    page.wait(
        "[...document.querySelectorAll('video')].every(one => one.currentTime > 0 && one.loop)", PATIENCE
    )
    assert "random weights: denoiser" in text(page, "#line-A")
    assert " s" in text(page, "#line-B")
    for side in "AB":
        page.wait(f"!document.querySelector('#file-{side}').disabled", PATIENCE)
        address = page.run(f"return document.querySelector('#film-{side} video').src")
        file = tmp_path / f"{side}.mp4"
        with urllib.request.urlopen(address) as answer:
            file.write_bytes(answer.read())
        assert Video.open(file).size == (9, 32, 32)
    picture = page.screenshot(tmp_path / "ui.png")
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_errors_are_one_line_and_the_page_lives_on(page):
    make_tiny(page)
    page.run(SET, "steps", "0")
    page.run("document.querySelector('#go').click()")
    page.wait(
        "document.querySelector('#line-B').innerText.includes('Sampling.steps must be at least 1')", PATIENCE
    )
    page.wait(READY, PATIENCE)


def test_stop_ends_both(page):
    page.run(SET, "steps", "100000")
    page.run("document.querySelector('#go').click()")
    page.wait("document.querySelector('#go').disabled", PATIENCE)
    page.run("document.querySelector('#stop').click()")
    page.wait(
        "['A', 'B'].every(one => document.querySelector('#line-' + one).innerText.includes('Stopped.'))",
        PATIENCE,
    )
    page.wait(READY, PATIENCE)


def test_files_elsewhere_are_not_served(served, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("x")
    for path in (secret, "/etc/passwd", __file__):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{served}gradio_api/file={path}")
        assert refused.value.code == 403
