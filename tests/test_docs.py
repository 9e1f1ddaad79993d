"""What the documents say is tried: code blocks run, and every command named exists with those options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from vidgen.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
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


@pytest.mark.parametrize("number", range(len(blocks(ROOT / "docs" / "parts.md", "python"))))
def test_the_code_of_the_parts_page_runs(number, scratch_registry):
    code = blocks(ROOT / "docs" / "parts.md", "python")[number]
    scope = {"__name__": f"parts_{number}"}
    import sys
    import types

    sys.modules[scope["__name__"]] = module = types.ModuleType(scope["__name__"])
    try:
        exec(compile(code, f"parts.md[{number}]", "exec"), module.__dict__)
    finally:
        del sys.modules[scope["__name__"]]


def test_every_family_has_a_readme():
    families = sorted(path.parent for path in (ROOT / "plugins").glob("vidgen_*/__init__.py"))
    assert len(families) >= 5
    assert [family.name for family in families if not (family / "README.md").exists()] == []
