"""Writes a plugin package from the templates beside this file."""

from __future__ import annotations

import keyword
import re
import sys
import tempfile
from importlib import resources
from pathlib import Path
from string import Template

from vidgen.errors import ConfigError, PluginError
from vidgen.registry import list_components
from vidgen.spec import INTERFACES, check_kind

__all__ = ["new_plugin"]

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_ARTICLES = {kind: "an" if kind[0] in "aeiou" else "a" for kind in INTERFACES}


def new_plugin(name: str, kind: str, folder: str | Path = ".") -> Path:
    """Write a package that brings one component, passes the conformance suite, and is to be changed from there.

    Args:
        name: The component's name in lower-case kebab; the package is called the same, with underscores.
        kind: One of the four interfaces.
        folder: Where the package's folder is made.

    Returns:
        The folder of the package.

    Raises:
        ConfigError: For a name that is no package name or is taken, and for another kind.
        PluginError: When the folder exists or cannot be written.
    """
    kind = check_kind(kind)
    module = name.replace("-", "_")
    if kind not in INTERFACES:
        raise ConfigError(f"A plugin starts from one of {', '.join(INTERFACES)}, not {kind}.")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} must be lower-case kebab, such as 'my-backbone'.")
    if (
        keyword.iskeyword(module)
        or module in sys.stdlib_module_names
        or module in ("vidgen", "torch", "tests")
    ):
        raise ConfigError(f"A package cannot be called {module!r}; choose another name.")
    if name in list_components(kind):
        raise ConfigError(f"There is {_ARTICLES[kind]} {kind} {name!r} already; choose another name.")
    place = Path(folder) / name
    if place.exists():
        raise PluginError(f"{place} exists; choose another name or --folder.")
    words = {
        "name": name,
        "module": module,
        "kind": kind,
        "Class": "".join(part.capitalize() for part in name.split("-")),
    }
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".new-") as made:
            _fill(Path(made) / name, words)
            (Path(made) / name).rename(place)
    except OSError as problem:
        raise PluginError(f"{place} could not be written ({problem.strerror or problem}).") from problem
    return place


def _fill(place: Path, words: dict[str, str]) -> None:
    kind, module = words["kind"], words["module"]
    files = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{kind}_init.py": f"{module}/__init__.py",
        f"{kind}.py": f"{module}/{kind}.py",
        "test_conformance.py": "tests/test_conformance.py",
    }
    templates = resources.files("vidgen.scaffold") / "templates"
    for source, target in files.items():
        text = Template((templates / f"{source}.txt").read_text()).substitute(words)
        (place / target).parent.mkdir(parents=True, exist_ok=True)
        (place / target).write_text(text)
