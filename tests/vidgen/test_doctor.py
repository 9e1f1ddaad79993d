"""The doctor: import errors in one line, and rows about this machine."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vidgen import doctor


@pytest.mark.parametrize(
    ("torch", "torchvision", "index"),
    [
        ("2.14.1+cpu", "0.29.1", "whl/cpu"),
        ("2.14.1+cpu", "0.29.1+cu130", "whl/cpu"),
        ("2.14.1+cu130", "0.29.1+cpu", "whl/cu130"),
        ("2.14.1+cu128", "0.29.1+cu130", "whl/cu128"),
        ("2.14.1", "0.29.1+cpu", "torchvision==0.29.1"),
    ],
)
def test_pairs_for_different_devices_are_named(torch: str, torchvision: str, index: str) -> None:
    advice = doctor.mismatched_pair(torch, torchvision)
    assert advice is not None
    assert advice.endswith(index)


@pytest.mark.parametrize(
    "pair",
    [
        ("2.14.1", "0.29.1"),
        ("2.14.1+cpu", "0.29.1+cpu"),
        ("2.14.1+cu130", "0.29.1"),  # the plain index's builds are for CUDA too
        ("2.14.1", None),
        (None, None),
    ],
)
def test_pairs_that_may_fit_are_left_alone(pair: tuple[str | None, str | None]) -> None:
    assert doctor.mismatched_pair(*pair) is None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("operator torchvision::nms does not exist"), "pip install --force-reinstall"),
        (
            AttributeError("partially initialized module 'torchvision' has no attribute 'extension'"),
            "pip install",
        ),
        (ModuleNotFoundError("No module named 'open_clip'", name="open_clip"), "pip install open_clip_torch"),
        (ModuleNotFoundError("No module named 'acme.x'", name="acme.x"), "pip install acme"),
        (ModuleNotFoundError("No module named 'json.no'", name="json.no"), "json has no module"),
        (ImportError("/x/_C.so: undefined symbol: abc"), "compiled library"),
        (ValueError("first\nsecond"), "ValueError: first"),
        (ValueError(), "ValueError"),
    ],
)
def test_import_errors_become_one_line(error: Exception, said: str) -> None:
    import json  # noqa: F401  (a package that is there)

    line = doctor.explain_import(error)
    assert said in line
    assert "\n" not in line


def test_the_cause_is_read_too() -> None:
    outer = ImportError("cannot import name 'x'")
    outer.__cause__ = RuntimeError("operator torchvision::nms does not exist")
    assert "torchvision" in doctor.explain_import(outer)


def test_the_broken_pair_is_named_from_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"torch": "2.14.1+cpu", "torchvision": "0.29.1"}
    monkeypatch.setattr(doctor, "installed", versions.get)
    line = doctor.explain_import(RuntimeError("operator torchvision::nms does not exist"))
    assert "torchvision==0.29.1 --index-url https://download.pytorch.org/whl/cpu" in line


def test_diagnose_looks_at_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = doctor.diagnose()
    assert {row.topic for row in rows} == {"packages", "devices", "speed", "attention", "video"}
    found = {row.name: row for row in rows}
    assert found["torch"].value == doctor.installed("torch")
    assert found["torch math"].status == "ok"
    assert found["encoder libx264"].status == "ok"
    assert all(row.advice for row in rows if row.status == "broken")

    def fails() -> list[doctor.Row]:
        raise OSError("boom")

    monkeypatch.setattr(doctor, "_video", fails)
    broken = doctor.diagnose()[-1]
    assert (broken.topic, broken.status) == ("video", "broken")
    assert "boom" in broken.advice


def test_missing_packages_are_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "installed", lambda package: None)
    rows = {row.name: row for row in doctor._packages()}
    assert rows["torch"].status == "broken"
    assert rows["torch"].advice == "run: pip install torch"
    assert rows["xformers"].status == "note"


def test_matmul_rates_are_sane() -> None:
    single, half = doctor.matmul_rates(size=128, repeats=2)
    assert 0.01 < single < 1e6
    assert 0.001 < half < 1e6


def test_importing_the_doctor_imports_no_torch() -> None:
    code = "import sys, vidgen.doctor; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
