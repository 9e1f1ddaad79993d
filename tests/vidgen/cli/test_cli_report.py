"""``vidgen report``: three files, and one line where there are no results."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from vidgen.bench.store import Measure, Row, Store


@pytest.fixture
def results(tmp_path):
    parts = {"autoencoder": "a", "denoiser": "d", "text_encoder": "t", "scheduler": "s"}
    with Store(tmp_path / "night.db") as store:
        store.add(
            [
                Row(
                    key="k",
                    suite="speed",
                    parts=parts,
                    status="ok",
                    measures=(Measure("total", 1.0, "s", "less"),),
                )
            ]
        )
    return tmp_path / "night.db"


def test_it_writes_three_files_beside_the_results(vidgen, results):
    result = vidgen("report", results)
    assert result.exit_code == 0, result.output
    folder = results.with_name("night-report")
    assert result.stdout.split() == [str(folder / name) for name in ("report.md", "rows.csv", "report.html")]
    assert (folder / "report.md").read_text().startswith("# night\n")


def test_elsewhere_with_a_title(vidgen, results, tmp_path):
    result = vidgen("report", results, "-o", tmp_path / "x" / "y", "--title", "A <b>", "--json")
    assert json.loads(result.stdout)[2] == str(tmp_path / "x" / "y" / "report.html")
    assert "<title>A &lt;b&gt;</title>" in (tmp_path / "x" / "y" / "report.html").read_text()


def test_without_results_one_line_says_so(refused, tmp_path):
    assert "vidgen bench" in refused("report", tmp_path / "none.db")
    (tmp_path / "video.db").write_bytes(b"\x00" * 4000)
    refused("report", tmp_path / "video.db")


def test_no_torch_is_imported(results):
    code = "import sys; from vidgen.bench.report import write_report; import vidgen.bench.compare\n"
    code += f"write_report({str(results)!r}, {str(results.parent)!r})\n"
    code += "print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_video_without_end_is_refused(refused, results):
    assert "finite number" in refused("report", results, "--video-megabytes", "inf")
