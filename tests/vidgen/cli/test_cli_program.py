"""The program as its own process: what it imports, how it ends, what it prints."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from stranger import GOOD, install

import vidgen
from vidgen.spec import INTERFACES


def run(*words, **environment):
    command = [sys.executable, "-c", "from vidgen.cli import main; main()", *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120
    )


LIGHT = [
    ("--help",),
    ("--version",),
    ("list",),
    ("list", "--json"),
    ("plugins",),
    ("matrix", "--autoencoder", "*/*", "--denoiser", "*/*", "--text-encoder", "*/*", "--rows", "0"),
    ("generate", "--help"),
    ("stats", "--help"),
    *(("show", name, "--kind", kind) for kind in INTERFACES for name in vidgen.list_components(kind)),
]


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_light_commands_import_no_torch(words):
    code = f"""
import sys
from vidgen.cli import main
sys.argv = ["vidgen", *{words!r}]
try:
    main()
except SystemExit as end:
    assert end.code == 0, end.code
heavy = [m for m in ("torch", "numpy", "av", "transformers", "open_clip", "timm", "rich") if m in sys.modules]
print(heavy, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stderr.strip() == "[]", done.stderr


def test_no_hint_is_looked_for_where_nothing_is_wrong():
    """Comparing names with names takes a third of the time of `vidgen list`."""
    code = """
import difflib, sys
def fail(*_, **__):
    raise AssertionError("a hint is looked for")
difflib.get_close_matches = fail
from vidgen.cli import main
sys.argv = ["vidgen", "list"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "sora-dit" in done.stdout


def test_check_imports_no_torch_for_any_part(tmp_path):
    paths = []
    # Published sizes fit their own neighbours only; the tiny presets follow.
    names = {
        kind: [n if kind == "scheduler" else f"{n}/tiny" for n in vidgen.list_components(kind)]
        for kind in INTERFACES
    }
    base = {kind: names[kind][0] for kind in INTERFACES}
    for kind in INTERFACES:
        for name in names[kind]:
            path = tmp_path / f"{kind}-{len(paths)}.toml"
            path.write_text("".join(f"{k} = '{v}'\n" for k, v in (base | {kind: name}).items()))
            paths.append(str(path))
    assert len(paths) >= 11
    code = f"""
import sys
from vidgen.cli import app
for path in {paths!r}:
    try:
        app(["check", path])
    except SystemExit as end:
        assert end.code == 0, (path, end.code)
assert "torch" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("status: ") == len(paths)


def test_mistakes_are_one_line_and_code_two_without_a_traceback():
    for words in (
        ("show", "eulr"),
        ("nonsense",),
        ("--nonsense",),
        ("list", "--nonsense"),
        ("check", "gone.toml"),
    ):
        done = run(*words)
        assert done.returncode == 2, words
        assert done.stdout == ""
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [("--debug", "show", "eulr"), ("show", "eulr", "--debug")])
def test_debug_shows_the_traceback(words):
    done = run(*words)
    assert done.returncode != 0
    assert "Traceback" in done.stderr
    assert "UnknownNameError" in done.stderr


def test_an_environment_variable_shows_the_traceback():
    assert "Traceback" in run("show", "eulr", VIDGEN_DEBUG="1").stderr
    assert "Traceback" not in run("show", "eulr", VIDGEN_DEBUG="0").stderr


def test_a_closed_pipe_is_no_error():
    program = f"{sys.executable} -c 'from vidgen.cli import main; main()'"
    command = f"{program} matrix --text-encoder '*/*' --rows 0 | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout.startswith("autoencoder")


def test_a_broken_plugin_is_shown_and_hurts_nobody(tmp_path):
    install(tmp_path / "a", "raise RuntimeError('no luck')", name="acme", distribution="acme")
    install(
        tmp_path / "b",
        GOOD.format(name="of-a-stranger", module="fine_module"),
        name="fine",
        distribution="fine",
    )
    path = os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b"), *filter(None, sys.path)])
    done = run("plugins", PYTHONPATH=path)
    assert done.returncode == 0
    assert "acme acme 0.1 error: RuntimeError: no luck" in " ".join(done.stdout.split())
    assert "suite of-a-stranger" in done.stdout
    done = run("list", PYTHONPATH=path)
    assert "sora-dit" in done.stdout
    assert "of-a-stranger" in done.stdout
    assert done.stderr == "warning: the plugin 'acme' is left out: RuntimeError: no luck\n"
    done = run("show", "acme-part", "--kind", "denoiser", PYTHONPATH=path)
    assert "The plugin 'acme' failed to load" in done.stderr


def test_a_full_disk_is_one_line(tmp_path):
    code = """
import errno
from vidgen.cli import app, parts
def full(*args, **options):
    raise OSError(errno.ENOSPC, "No space left on device", "runs/x")
parts.print_table = full
app(["list"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (2, "error: runs/x: No space left on device\n")
