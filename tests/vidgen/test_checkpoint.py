from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import vidgen
from vidgen.checkpoint import (
    atomic_file,
    atomic_folder,
    digest,
    load_part,
    load_weights,
    part_folder,
    recover_folder,
    save_part,
)
from vidgen.errors import CheckpointError, UnknownNameError

SPEC = vidgen.find("autoencoder", "sora-vae")


def write(part, folder):
    with atomic_folder(folder) as new:
        save_part(part, new, SPEC)


@pytest.fixture
def part():
    torch.manual_seed(0)
    return vidgen.create("autoencoder", "sora-vae/tiny")


@pytest.fixture
def folder(part, tmp_path):
    write(part, tmp_path / "part")
    return tmp_path / "part"


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_part_comes_back_bit_for_bit(part, folder):
    again = load_part(SPEC, folder)
    assert again.config == part.config
    assert not again.training
    assert again.origin == str(folder)
    state = again.state_dict()
    assert state.keys() == part.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in part.state_dict().items())
    created = vidgen.create("autoencoder", "sora-vae", weights=folder)
    assert digest(created.state_dict()) == digest(part.state_dict())


def test_a_digest_tells_weights_apart(part):
    before = digest(part.state_dict())
    with torch.no_grad():
        next(part.parameters()).view(-1)[0] += 1
    assert digest(part.state_dict()) != before


def test_tied_weights_are_saved(tmp_path):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a = torch.nn.Linear(3, 3)
            self.b = torch.nn.Linear(3, 3)
            self.b.weight = self.a.weight
            self.config = SPEC.preset("tiny")

    save_part(Tied(), tmp_path, SPEC)
    held = load_file(tmp_path / "model.safetensors")
    assert torch.equal(held["a.weight"], held["b.weight"])


def test_a_failure_leaves_the_old_folder_as_it_was(part, folder):
    before = files(folder)

    def fails():
        with atomic_folder(folder) as new:
            (new / "config.json").write_text("half")
            raise RuntimeError("on the way")

    with pytest.raises(RuntimeError, match="on the way"):
        fails()
    assert files(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["part"]


def test_a_full_disk_is_one_clear_error_and_the_old_folder_stays(folder):
    before = files(folder)

    def fails():
        with atomic_folder(folder):
            raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match=r"No space left on device.*as it was"):
        fails()
    assert files(folder) == before


def test_a_file_that_cannot_grow_leaves_the_old_pipeline(tmp_path):
    """A limit on the size of files is as near to a full disk as a test gets without being root."""
    code = """
import resource, signal, sys
import vidgen
from vidgen.errors import CheckpointError
from vidgen.spec import INTERFACES
names = ("sora-vae/tiny", "sora-dit/tiny", "words/tiny", "euler")
pipe = vidgen.compose(**dict(zip(INTERFACES, names, strict=True)))
pipe.save(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    pipe.save(sys.argv[1])
except CheckpointError as problem:
    print("refused:", problem)
"""
    target = tmp_path / "model"
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)], capture_output=True, text=True, timeout=300
    )
    assert done.stdout.startswith("refused:"), done.stderr
    assert vidgen.load(target).random_parts == []
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_kill_leaves_the_old_folder(folder):
    before = files(folder)
    code = """
import os, signal, sys
from vidgen.checkpoint import atomic_folder
with atomic_folder(sys.argv[1]) as new:
    (new / "config.json").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code, str(folder)], timeout=120)
    assert done.returncode == -9
    assert files(folder) == before


def kill_at_rename(folder, number):
    """Rewrite a folder in a process that is killed right after its so many-th rename."""
    code = """
import os, pathlib, signal, sys
from vidgen.checkpoint import atomic_folder
rename, done = pathlib.Path.rename, []
def killing(self, target):
    rename(self, target)
    done.append(target)
    if len(done) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
pathlib.Path.rename = killing
with atomic_folder(sys.argv[1]) as new:
    (new / "config.json").write_text("whole")
"""
    done = subprocess.run([sys.executable, "-c", code, str(folder), str(number)], timeout=120)
    assert done.returncode == -9


def test_a_kill_between_the_two_renames_is_put_right(folder):
    kill_at_rename(folder, 1)
    assert not folder.exists()
    assert len(list(folder.parent.iterdir())) == 2
    recover_folder(folder)
    assert files(folder) == {"config.json": b"whole"}
    assert [path.name for path in folder.parent.iterdir()] == ["part"]


def test_a_part_killed_between_the_renames_loads_by_its_name(part, folder):
    before = files(folder)
    folder.rename(folder.with_name(".part.old-999999999"))
    assert digest(load_part(SPEC, folder).state_dict()) == digest(part.state_dict())
    assert files(folder) == before


def test_what_kills_left_is_dropped_at_the_next_write(part, folder):
    kill_at_rename(folder, 2)
    (folder.parent / ".part.new-999999999").mkdir()
    write(part, folder)
    assert [path.name for path in folder.parent.iterdir()] == ["part"]
    assert load_part(SPEC, folder).config == part.config


def test_a_write_that_another_process_has_under_way_is_left_alone(part, folder):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        busy = folder.parent / f".part.new-{other.pid}"
        busy.mkdir()
        write(part, folder)
        assert busy.exists()
        other.communicate(b"\n")


def leftover(path, number):
    return path.with_name(f".{path.name}.{platform.node()}-{number}")


def test_a_file_that_another_process_writes_is_left_alone(tmp_path):
    path = tmp_path / "index.json"
    leftover(path, 999999999).touch()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        busy = leftover(path, other.pid)
        busy.touch()
        with atomic_file(path) as new:
            new.write_text("whole")
        assert sorted(tmp_path.iterdir()) == [busy, path]
        other.communicate(b"\n")
    assert path.read_text() == "whole"


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "index.json"
    path.write_text("old")

    def fails():
        with atomic_file(path) as new:
            new.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(CheckpointError, match="No space left on device"):
        fails()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(CheckpointError, match="could not be written"), atomic_file(path / "inside"):
        pass


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_others_may_read_what_the_umask_allows(part, folder, umask, mode):
    before = os.umask(umask)
    try:
        write(part, folder)
        with atomic_file(folder.parent / "shard.safetensors") as new:
            save_file({"x": torch.zeros(2)}, new)
    finally:
        os.umask(before)
    written = [*folder.iterdir(), folder.parent / "shard.safetensors"]
    assert {path.name: path.stat().st_mode & 0o777 for path in written} == {
        path.name: mode for path in written
    }


def test_ctrl_c_between_the_two_renames_loses_nothing(folder, monkeypatch):
    before, rename, done = files(folder), Path.rename, []

    def interrupted(self, target):
        done.append(target)
        if len(done) == 2:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt), atomic_folder(folder) as new:
        (new / "config.json").write_text("{}")
    assert files(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["part"]


def test_foreign_folders_are_not_replaced(part, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError, match="not written by vidgen"):
        write(part, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    with pytest.raises(CheckpointError, match="not written by vidgen"):
        write(part, tmp_path / "thesis.tex")


def test_missing_unknown_and_misshapen_tensors_are_named(part, folder):
    path = folder / "model.safetensors"
    whole = load_file(path)
    name = sorted(whole)[0]
    cases = {
        f"lacks {name}": {key: value for key, value in whole.items() if key != name},
        "has unknown extra": {**whole, "extra": torch.zeros(1)},
        f"has other shapes for {name}": {**whole, name: torch.zeros(1, 2, 3)},
    }
    for says, tensors in cases.items():
        save_file(tensors, path)
        with pytest.raises(CheckpointError, match=says):
            load_weights(part, path)


@pytest.mark.parametrize("damage", [b"", b"not a tensor file", None])
def test_damaged_weights_are_refused(folder, damage):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    with pytest.raises(CheckpointError, match="damaged"):
        load_part(SPEC, folder)


def test_missing_weights_are_refused(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="missing"):
        load_part(SPEC, folder)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot be read"),
        ("[]", "not written by vidgen"),
        ('{"_class_name": "AutoencoderKL"}', "load_published"),
        ({"format_version": 99}, "newer"),
        ({"name": "other-vae"}, "holds autoencoder 'other-vae', not autoencoder 'sora-vae'"),
        ({"kind": "denoiser"}, "holds denoiser"),
        ({"config": {"widht": 3}}, "no field 'widht'"),
    ],
)
def test_a_wrong_config_file_is_refused(folder, content, says):
    path = folder / "config.json"
    if isinstance(content, dict):
        content = json.dumps(json.loads(path.read_text()) | content)
    path.write_text(content)
    with pytest.raises(vidgen.errors.VidgenError, match=says) as caught:
        load_part(SPEC, folder)
    assert "\n" not in str(caught.value)


def test_weights_are_a_tag_or_a_folder(folder):
    assert part_folder("autoencoder", folder) == folder
    assert part_folder("autoencoder", folder.parent) == folder.parent / "autoencoder"
    with pytest.raises(UnknownNameError, match="neither a folder nor a tag"):
        part_folder("autoencoder", "no-such-tag")
