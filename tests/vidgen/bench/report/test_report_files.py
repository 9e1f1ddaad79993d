"""The three files: whole, well-formed, and with nothing of the database read as a tag, a formula or a mark."""

from __future__ import annotations

import base64
import csv
import json
import re
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from vidgen.bench.report import write_report
from vidgen.bench.report.markdown import text
from vidgen.bench.report.table import table
from vidgen.bench.store import Artefact, Measure, Row, Store
from vidgen.errors import ResultsError

VOID = {"meta", "link", "input", "img", "br"}


class Page(HTMLParser):
    """Tags that are closed as they were opened, and the text within them."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.scripts if self.open and self.open[-1] in ("script", "style") else self.words).append(data)


@pytest.fixture(scope="module")
def files(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "new" / "folder"
    return {path.name: path.read_text("utf-8") for path in write_report(results, folder)}


@pytest.fixture(scope="module")
def page(files):
    return Page(files["report.html"])


def test_there_are_three_files(files):
    assert list(files) == ["report.md", "rows.csv", "report.html"]


def test_names_of_the_database_are_text_in_the_page(page):
    assert any("<script>alert(1)</script>" in word for word in page.words)
    assert not any("alert(2)" in str(attributes.get("onerror")) for _, attributes in page.tags)
    assert [attributes.get("type") for tag, attributes in page.tags if tag == "script"] == [
        "application/json",
        None,
    ]
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)


def test_the_page_lets_only_its_own_code_run_and_fetches_nothing(files, page):
    policy = next(a["content"] for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:; media-src data:;")
    style, data, script = page.scripts
    for code in (style, script):
        assert f"'sha256-{base64.b64encode(sha256(code.encode()).digest()).decode()}'" in policy
    assert json.loads(data)["kinds"][0] == "autoencoder"
    for _, attributes in page.tags:
        for name in ("src", "href"):
            assert str(attributes.get(name, "data:")).startswith("data:")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", files["report.html"])


def test_without_the_script_every_row_is_in_a_table(page, results):
    with Store(results, create=False) as store:
        rows = store.rows()
    shown = {a["data-row"] for tag, a in page.tags if tag == "tr" and "data-row" in a}
    assert shown == {str(i) for i in range(len(rows))}
    words = " ".join(page.words)
    assert "out of memory" in words
    assert "have 4 channels | unet reads 8" in words
    assert "A & B" in words
    assert "settings: compare times" not in words  # what was timed of a row makes no other machine


def test_what_the_script_draws_is_what_was_measured(page):
    data = json.loads(page.scripts[1])
    labels = [column["label"] for column in data["columns"]]
    x, y = data["axes"]
    assert (labels[x], labels[y]) == ("speed: total [s]", "generation: accuracy")
    first = next(s for s in data["systems"] if s["parts"] == ["one-vae", "large-dit", "words", "heun"])
    assert first["points"][str(x)] == [3.0, pytest.approx(2.7), pytest.approx(3.3), 1]
    assert first["points"][str(y)][3] == 2
    assert first["points"][str(labels.index("reconstruction: psnr [dB]"))][0] == 30
    assert len(data["curves"]) == 4
    assert data["curves"][0]["points"][0] == [0, 2]
    swap = next(s for s in data["swaps"] if labels[s["column"]] == labels[x] and s["kind"] == 3)
    assert (swap["old"], swap["new"], swap["n"]) == ("euler", "heun", 4)


def test_videos_of_one_prompt_stand_side_by_side(page):
    videos = [a for tag, a in page.tags if tag == "video"]
    assert len(videos) == 2 * 9
    assert base64.b64decode(videos[0]["src"].partition(",")[2])[4:8] == b"ftyp"
    assert [tag for tag, a in page.tags if a.get("class") == "prompt"] == ["details", "details"]


def test_videos_stop_at_whole_prompts(results, tmp_path):
    write_report(results, tmp_path, video_bytes=150_000)
    found = Page((tmp_path / "report.html").read_text())
    assert len([tag for tag, _ in found.tags if tag == "video"]) == 9
    assert any("9 more are in the file of results" in word for word in found.words)


def test_markdown_reads_nothing_into_names(files):
    page = files["report.md"]
    assert "<script>" not in page
    assert text("a|b*c_d\n<i>[x](y)`") == r"a\|b\*c\_d &lt;i&gt;\[x\](y)\`"
    tables = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    assert len(tables) >= 10
    for one in tables:
        lines = one.splitlines()
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1, one
    assert (
        "| scheduler | heun | euler | 1.25 | -0.2735 to 2.773 | 1.957 | 1.826 to 2.097 | 4 | worse |" in page
    )


def test_a_long_table_is_cut_in_markdown_alone(tmp_path):
    parts = {"autoencoder": "a", "denoiser": "d", "text_encoder": "t", "scheduler": "s"}
    rows = [
        Row(
            key=str(i),
            suite="speed",
            parts=parts,
            status="ok",
            seed=i,
            measures=(Measure("total", 1.0 + i, "s", "less"),),
        )
        for i in range(230)
    ]
    with Store(tmp_path / "r.db") as store:
        store.add(rows)
    page, lines, html = (path.read_text() for path in write_report(tmp_path / "r.db", tmp_path))
    assert "30 more in `rows.csv`." in page
    assert len(lines.splitlines()) == 231
    assert html.count("<tr data-row=") == 230


def test_csv_holds_every_figure_and_no_formula(files):
    lines = list(csv.DictReader(files["rows.csv"].splitlines()))
    assert len(lines) == 36
    assert float(lines[0]["speed: total [s]"]) == 1.5
    assert lines[0]["generation: accuracy"] == ""
    assert json.loads(lines[0]["recipe"]) == {"sampling": {"steps": 8}}
    evil = Row(key="k", suite="speed", parts={"denoiser": "=cmd()"}, status="error", reason="-1+1")
    (line,) = csv.DictReader(table([evil]).splitlines())
    assert (line["denoiser"], line["reason"]) == ("'=cmd()", "'-1+1")


def test_a_file_without_rows_gives_an_empty_report(tmp_path):
    with Store(tmp_path / "r.db"):
        pass
    page, _, html = (path.read_text() for path in write_report(tmp_path / "r.db", tmp_path))
    assert "0 rows: no rows" in page
    Page(html)


def test_odd_artefacts_are_left_alone(tmp_path):
    odd = (
        Artefact("curve:a", "application/json", b"no json"),
        Artefact("curve:b", "application/json", b'[[1, 2], [2, NaN], ["x", 1], [3], 4]'),
        Artefact("page", "text/html", b"<script>alert(3)</script>"),
    )
    with Store(tmp_path / "r.db") as store:
        store.add([Row(key="k", suite="learning", parts={"denoiser": "d"}, status="ok", artefacts=odd)])
    write_report(tmp_path / "r.db", tmp_path)
    found = Page((tmp_path / "report.html").read_text())
    assert json.loads(found.scripts[1])["curves"] == [{"row": 0, "name": "b", "points": [[1, 2]]}]
    assert "alert(3)" not in " ".join(found.words + found.scripts)


def test_what_is_no_file_of_results_is_refused(tmp_path):
    with pytest.raises(ResultsError):
        write_report(tmp_path / "none.db", tmp_path / "out")
    (tmp_path / "text.db").write_text("hello, this is no database at all" * 50)
    with pytest.raises(ResultsError):
        write_report(tmp_path / "text.db", tmp_path / "out")
    assert not (tmp_path / "out").exists()
