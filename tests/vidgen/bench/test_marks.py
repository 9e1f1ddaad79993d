"""Rows are of what stands in files, not of the names of files."""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from vidgen.bench.marks import contents, contents_of, mark_of
from vidgen.bench.plan import Plan
from vidgen.bench.work import Work
from vidgen.checkpoint import part_folder


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of an autoencoder's weights."""
    return Path(shutil.copytree(part_folder("autoencoder", "kinetic"), tmp_path / "mine"))


def retrain(folder: Path, name: str | None = None) -> None:
    """Change the last value of one tensor, and leave size and time of the file as they were."""
    (file,) = folder.glob("*.safetensors")
    before, tensors = file.stat(), load_file(file)
    chosen = name or sorted(tensors)[-1]
    tensors[chosen].flatten()[-1] += 1
    save_file(tensors, file, metadata={"format": "pt"})
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size


def keys(folder: Path | str, **more: object) -> list[str]:
    plan = {"denoiser": ("sora-dit/tiny",), "scheduler": ("euler",), **more}
    return [job.key for job in Plan(autoencoder=(f"sora-vae@{folder}",), **plan).jobs()]


def test_weights_that_were_trained_anew_are_another_row(folder):
    before = keys(folder)
    assert keys(folder) == before
    retrain(folder)
    assert keys(folder) != before


def test_the_same_weights_under_another_name_are_another_row(folder, tmp_path):
    # The recipe in the row names the folder, so two names are two rows.
    other = shutil.copytree(folder, tmp_path / "other")
    assert contents(folder) == contents(other)
    assert keys(folder) != keys(other)


def test_every_tensor_counts(folder):
    (file,) = folder.glob("*.safetensors")
    seen = {contents(folder)}
    names = list(load_file(file))
    for name in names:
        retrain(folder, name)
        seen.add(contents(folder))
    assert len(seen) == len(names) + 1


def test_settings_beside_the_weights_count(folder):
    before = contents(folder)
    (folder / "vocabulary.txt").write_text("circle")
    assert contents(folder) != before
    (folder / "vocabulary.txt").unlink()
    (folder / ".lock").write_text("hidden")
    assert contents(folder) == before


def test_other_files_count_in_every_64th(tmp_path):
    path = tmp_path / "weights.bin"
    data = bytearray(os.urandom(1_000_000))
    path.write_bytes(data)
    seen = {contents(path)}
    for at in range(64):
        changed = bytearray(data)
        begin = at * 15_625
        changed[begin : begin + 4096] = bytes(4096)
        path.write_bytes(changed)
        seen.add(contents(path))
    assert len(seen) == 65
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"no weights")
    first = contents(broken)
    broken.write_bytes(b"none at all")
    assert contents(broken) != first


def test_of_a_pipelines_folder_the_own_part_counts(tmp_path):
    root = shutil.copytree(part_folder("autoencoder", "kinetic").parent, tmp_path / "pipe")
    before = {
        kind: mark_of(kind, {"name": "any", "weights": str(root)}) for kind in ("autoencoder", "denoiser")
    }
    retrain(root / "denoiser")
    after = {kind: mark_of(kind, {"name": "any", "weights": str(root)}) for kind in before}
    assert after["autoencoder"] == before["autoencoder"]
    assert after["denoiser"] != before["denoiser"]


def test_shipped_weights_and_nested_parts_count(folder):
    assert contents_of({"weights": "kinetic"}, "autoencoder") == [
        contents(part_folder("autoencoder", "kinetic"))
    ]
    nested = {"tokens": {"name": "x", "weights": str(folder)}, "list": [{"clip_weights": str(folder)}]}
    assert contents_of(nested) == [contents(folder)] * 2
    names = {"prompt": str(folder), "weights": "no-such-tag", "pretrained": "", "source": "x" * 5000}
    assert contents_of(names) == []


def test_what_rows_share_follows_the_weights(folder, tmp_path):
    def shared() -> Path:
        (job,) = Plan(autoencoder=(f"sora-vae@{folder}",), suites=("reconstruction",)).jobs()
        work = Work(job.recipe, seed=0, device="cpu", dtype="float32", shared=tmp_path)
        with work.sharing("reference", ("autoencoder",)) as path:
            return path

    before = shared()
    assert shared() == before
    retrain(folder)
    assert shared() != before


def test_forty_gigabytes_are_marked_at_once(tmp_path):
    size = 100_000_000
    places = {f"block.{i}": {"dtype": "U8", "shape": [size], "data_offsets": [i * size, (i + 1) * size]}
              for i in range(400)}  # fmt: skip
    header = json.dumps(places).encode()
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + 400 * size)  # sparse: no block of it is on the disk
    begun = time.process_time()
    contents(tmp_path)
    assert time.process_time() - begun < 0.5


def test_suites_weights_are_part_of_a_rows_key(folder):
    file = folder / "model.safetensors"
    settings = {"generation": {"features": "resnet10t", "weights": str(file)}}
    before = keys("kinetic", denoiser=("sora-dit@kinetic",), suites=("generation",), suite=settings)
    retrain(folder)
    assert keys("kinetic", denoiser=("sora-dit@kinetic",), suites=("generation",), suite=settings) != before
