"""What the documents say is tried: code blocks run, and every command named exists with those options."""

from __future__ import annotations

import re
import shlex
import sys
import types
from pathlib import Path

import pytest
import typer

from vidgen.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(vidgen [^`]+)`")


def blocks(page: Path, language: str) -> list[str]:
    return [code for found, code in BLOCK.findall(page.read_text()) if found == language]


def commands() -> list[str]:
    found: dict[str, None] = {}
    for page in PAGES:
        lines = [
            line for code in blocks(page, "") for line in code.splitlines() if line.startswith("vidgen ")
        ]
        prose = BLOCK.sub("", page.read_text())
        found.update(dict.fromkeys([*lines, *(" ".join(text.split()) for text in INLINE.findall(prose))]))
    return list(found)


def test_the_documents_name_commands():
    assert len(commands()) >= 8


@pytest.mark.parametrize("line", commands())
def test_a_command_exists_with_its_options(line):
    words = shlex.split(line, comments=True)[1:]
    group = typer.main.get_command(app)
    command = group.get_command(None, words[0])
    assert command is not None, f"no command {words[0]!r}"
    known = {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert {word.split("=")[0] for word in words[1:] if word.startswith("-")} <= known | {"--help", "-h"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, scratch_registry, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = f"page_{page.stem}"
    module = types.ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    for number, code in enumerate(blocks(page, "python")):
        if "--8<--" not in code:  # a file of an example, which has tests of its own
            exec(compile(code, f"{page.name}[{number}]", "exec"), module.__dict__)


def test_every_command_is_in_the_documents():
    group = typer.main.get_command(app)
    page = (ROOT / "docs" / "cli.md").read_text()
    assert [name for name in group.commands if f"| `vidgen {name}" not in page] == []


def test_files_that_pages_show_exist():
    shown = [file for page in PAGES for file in re.findall(r'--8<-- "([^"]+)"', page.read_text())]
    assert len(shown) >= 4
    assert [file for file in shown if not (ROOT / file).exists()] == []


def test_every_family_has_a_readme():
    families = sorted(path.parent for path in (ROOT / "plugins").glob("vidgen_*/__init__.py"))
    assert len(families) >= 5
    assert [family.name for family in families if not (family / "README.md").exists()] == []
