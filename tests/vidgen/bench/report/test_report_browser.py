"""The page in headless Chromium: silent console, sort, filter, hover, a playing video; skipped where there is none."""

from __future__ import annotations

import json

import pytest

from tests.browser import browser_or_skip
from vidgen.bench.report import write_report
from vidgen.bench.report.columns import columns, systems
from vidgen.bench.report.figures import figure, span
from vidgen.bench.report.pareto import front
from vidgen.bench.report.swaps import swaps
from vidgen.bench.store import Store


@pytest.fixture(scope="module")
def file(results, tmp_path_factory):
    return write_report(results, tmp_path_factory.mktemp("page"))[-1]


@pytest.fixture(scope="module")
def window(file):
    with browser_or_skip() as browser:
        browser.open(file)
        yield browser
        assert browser.log() == []


@pytest.fixture
def page(window, file):
    window.open(file)
    return window


ROWS = "[...document.querySelectorAll('section[data-run=speed] tbody tr')]"
SHOWN = "[...document.querySelectorAll('tr[data-row]')].filter(row => !row.hidden).length"
CHOOSE = """
const labels = [...document.querySelectorAll(arguments[0] + ' label')];
const label = labels.find(one => one.firstChild.textContent === arguments[1]);
const input = label.querySelector('select');
input.value = [...input.options].find(one => one.text === arguments[2]).value;
input.dispatchEvent(new Event('change'));
"""


def test_nothing_of_the_database_runs_and_nothing_is_fetched(page):
    assert page.log() == []
    assert (
        page.run(
            "return performance.getEntriesByType('resource').filter(one => !one.name.startsWith('data:')).length"
        )
        == 0
    )
    assert page.run("return document.scripts.length") == 2
    assert page.run("return document.body.innerText.includes('<script>alert(1)</script>')")


def test_a_click_on_the_head_sorts_and_another_turns_round(page):
    read = f"{ROWS}.map(row => Number(row.cells[5].dataset.value))"
    before = page.run(f"return {read}")
    click = "document.querySelectorAll('section[data-run=speed] thead button')[5].click();"
    assert page.run(f"{click} return {read}") == sorted(before)
    assert page.run(f"{click} return {read}") == sorted(before, reverse=True)
    by_name = f"{ROWS}.map(row => row.cells[0].textContent)"
    names = page.run(
        f"document.querySelector('section[data-run=speed] thead button').click(); return {by_name}"
    )
    assert names == sorted(names)
    assert before != sorted(before)


def test_words_and_choices_filter_everything(page):
    assert page.run(f"return {SHOWN}") == 36
    search = """
    const find = document.getElementById('search');
    find.value = arguments[0];
    find.dispatchEvent(new Event('input'));
    """
    page.run(search, "UNET heun")
    assert (
        page.run(f"return {SHOWN}") == 1 + 2 + 1
    )  # speed, two seeds of generation, and the one that did not fit
    page.run(search, "")
    page.run(CHOOSE, "#filter", "denoiser", "unet")
    assert page.run("return document.querySelectorAll('#plot .dot').length") == 2
    page.run(CHOOSE, "#filter", "suite", "speed")
    assert page.run(f"return {SHOWN}") == 4
    assert page.run("return document.getElementById('count').textContent") == "4 of 36 rows"
    assert page.run("return document.querySelector('section[data-run=generation]').hidden")


def test_the_front_is_the_one_that_python_finds(page, results):
    with Store(results, create=False) as store:
        rows = store.rows()
    data = page.run("return JSON.parse(document.getElementById('data').textContent)")
    found = {column.label: column for column in columns(rows)}
    known = [tuple(system["parts"]) for system in data["systems"]]
    assert sorted(known) == sorted(systems(rows))
    for x, y in [
        ("speed: total [s]", "generation: accuracy"),
        ("generation: accuracy", "learning: validation loss"),
    ]:
        page.run(CHOOSE, "#pareto", "across", x)
        page.run(CHOOSE, "#pareto", "up", y)
        points = [(i, found[x].point(parts), found[y].point(parts)) for i, parts in enumerate(known)]
        points = [(i, a[0], b[0]) for i, a, b in points if a and b]
        best = front([point[1:] for point in points], (found[x].better, found[y].better))
        shown = page.run(
            "return [...document.querySelectorAll('#plot .dot.on')].map(dot => Number(dot.dataset.system))"
        )
        assert sorted(shown) == sorted(points[i][0] for i in best)
        assert page.run("return document.querySelectorAll('#plot .dot').length") == len(points)


def test_a_point_tells_its_recipe(page):
    text = page.run(
        "const dot = document.querySelector('#plot .dot.on'); dot.dispatchEvent(new Event('focus'));"
        "const tip = document.getElementById('tip'); return tip.hidden ? '' : tip.textContent"
    )
    assert "autoencoder: one-vae\ndenoiser: large-dit\ntext encoder: words\nscheduler: euler" in text
    assert f"sampling: {json.dumps({'steps': 8})}" in text
    assert "speed: total [s]: 1.5 (1.35 to 1.65)" in text
    assert text.endswith("on the front")


def test_averages_turn_round_with_the_reference(page, results):
    page.run(CHOOSE, "#swaps", "figure", "speed: total [s]")
    row = "document.querySelector('table[data-kind=scheduler] tbody tr')"
    cells = f"return [...{row}.cells].map(cell => cell.textContent)"
    assert page.run(cells) == [
        "heun",
        "1.25",
        "-0.2735 to 2.773",
        "",
        "1.957",
        "1.826 to 2.097",
        "4",
        "worse",
    ]
    page.run(CHOOSE, "#swaps", "scheduler instead of", "heun")
    with Store(results, create=False) as store:
        total = columns(store.rows())[0]
    back = swaps(total, "scheduler")[0].reversed()
    assert page.run(cells) == [
        "euler",
        figure(back.difference.mean),
        span(back.difference.low, back.difference.high),
        "",
        figure(back.ratio.mean),
        span(back.ratio.low, back.ratio.high),
        "4",
        back.verdict("less"),
    ]
    assert page.run(cells)[1] == "-1.25"


@pytest.mark.parametrize("place", ["#pareto", "#curves"])
def test_scales_can_be_logarithmic(page, place):
    read = f"return document.querySelector('{place} svg').outerHTML"
    before = page.run(read)
    page.run(f"for (const one of document.querySelectorAll('{place} input')) one.click()")
    after = page.run(read)
    assert before != after
    assert "NaN" not in before + after
    assert "Infinity" not in before + after


def test_there_is_a_curve_a_training(page):
    assert page.run("return document.querySelectorAll('#curves .curve').length") == 4
    words = page.run(
        "return [...document.querySelectorAll('#curves svg text')].map(text => text.textContent)"
    )
    assert {"step", "validation loss"} <= set(words)


def test_videos_of_a_prompt_play_together(page):
    page.run("document.querySelector('button.together').click()")
    videos = "[...document.querySelectorAll('details.prompt[open] video')]"
    assert page.run(f"return {videos}.length") == 9
    assert page.wait(
        f"{videos}.every(video => video.currentTime > 0.2 && !video.error && video.videoWidth === 32)"
    )


def test_light_and_dark_differ(page):
    colour = "return getComputedStyle(document.body).backgroundColor"
    seen = set()
    for scheme in ("light", "dark"):
        page.command(
            "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
        )
        seen.add(page.run(colour))
    assert len(seen) == 2


def test_a_picture_can_be_taken(page, tmp_path):
    picture = page.screenshot(tmp_path / "page.png")
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 20_000


def test_an_empty_report_is_silent_too(window, tmp_path):
    with Store(tmp_path / "r.db"):
        pass
    window.open(write_report(tmp_path / "r.db", tmp_path)[-1])
    assert window.log() == []
    assert window.run("return document.getElementById('count').textContent") == "0 of 0 rows"


def test_without_scripts_the_tables_are_there(file):
    with browser_or_skip("--blink-settings=scriptEnabled=false") as browser:
        browser.open(file)
        words = browser.command("DOMSnapshot.captureSnapshot", computedStyles=[])["strings"]
        assert any("Without JavaScript" in word for word in words)
        assert "0.45 to 0.55" in words
        assert "together" not in words  # the class of a button that the script makes
