"""The shipped plans: the smallest one runs whole, the large ones are what the documentation says."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from vidgen.bench.plan import Plan
from vidgen.bench.store import Store

SUITES = Path(__file__).parents[2] / "benchmarks" / "suites"


def vidgen(*words: str | Path, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "vidgen", *map(str, words)], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.timeout(600)
def test_the_smoke_suite_measures_every_row_and_is_reported(tmp_path: Path) -> None:
    plan = Plan.load(SUITES / "smoke.toml")
    vidgen("bench", SUITES / "smoke.toml", "--out", "smoke.db", folder=tmp_path)
    with Store(tmp_path / "smoke.db", create=False) as store:
        rows = store.rows()
    assert sorted(row.key for row in rows) == sorted(job.key for job in plan.jobs())
    status = Counter((row.suite, row.status) for row in rows)
    whole = [suite for suite in plan.suites if suite != "reconstruction"]
    # Each autoencoder alone; every combination else: the trained denoiser does not know the random latents.
    assert status == {
        ("reconstruction", "ok"): 2,
        **{(suite, "ok"): 6 for suite in whole},
        **{(suite, "incompatible"): 2 for suite in whole},
    }, [row.reason for row in rows if row.status == "error"]
    assert all(row.measures for row in rows if row.status == "ok")
    vidgen("report", "smoke.db", "-o", "report", folder=tmp_path)
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"report.md", "report.html", "rows.csv"}


def test_the_standard_suite_is_of_trained_parts_that_all_fit() -> None:
    jobs = Plan.load(SUITES / "standard.toml").jobs()
    assert {job.status for job in jobs} == {"ok"}
    assert Counter(job.suite for job in jobs) == {"reconstruction": 3, "learning": 120, "speed": 120}
    assert {job.parts["autoencoder"].partition("@")[2] != "" for job in jobs} == {True}
    # The seeds go into the same file: those of seed 0 are there already.
    again = {job.key: job for job in Plan.load(SUITES / "standard-seeds.toml").jobs()}
    assert len(again) == 60
    assert len(again.keys() & {job.key for job in jobs}) == 20
