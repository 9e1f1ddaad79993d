"""The rules of the house, each one a test."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import vidgen
from vidgen.errors import ConfigError
from vidgen.spec import INTERFACES

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PLUGINS = PROJECT["project"]["entry-points"]["vidgen"]
FAMILIES = sorted({module.partition(".")[0] for module in PLUGINS.values()})


def sources(*folders: str) -> list[Path]:
    found = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    assert found, f"no Python files under {folders}"
    return found


def imports(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield every imported module and the names taken from it, wherever it stands in the file."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or "", [alias.name for alias in node.names]


def family_of(module: str) -> str | None:
    top = module.partition(".")[0]
    return top if top.startswith("vidgen_") else None


# Rule 1


def test_the_core_imports_no_family():
    wrong = [(path, m) for path in sources("vidgen") for m, _ in imports(path) if family_of(m)]
    assert wrong == []


def test_a_family_imports_no_other_family():
    for path in sources("plugins"):
        own = path.relative_to(ROOT / "plugins").parts[0]
        assert {family_of(module) for module, _ in imports(path)} <= {None, own}, path


def test_a_family_imports_only_public_names():
    for path in sources("plugins"):
        for module, names in imports(path):
            if module.partition(".")[0] != "vidgen":
                continue
            assert not any(part.startswith("_") for part in module.split(".")), f"{path}: {module}"
            public = _public_names(module)
            assert set(names) <= public, f"{path}: {module} keeps {sorted(set(names) - public)} to itself"


def _public_names(module: str) -> set[str]:
    """Return ``__all__`` of a module and the modules below it, without importing it."""
    base = ROOT.joinpath(*module.split("."))
    below = {path.stem for path in base.glob("*.py")} | {path.name for path in base.glob("*/")}
    if module == "vidgen":
        return set(vidgen.__all__) | below
    file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value)) | below
    return below


# Rule 2


def test_benchmarks_docs_and_core_tests_reach_implementations_by_name():
    folders = [
        folder for folder in ("benchmarks", "docs", "tests/vidgen") if any((ROOT / folder).rglob("*.py"))
    ]
    examples = {path for path in (ROOT / "docs").glob("examples/*/**/*.py")}
    for path in set(sources(*folders)) - examples:
        assert {family_of(module) for module, _ in imports(path)} <= {None}, path


def test_only_tests_import_tests():
    for path in sources("vidgen", "plugins", "benchmarks"):
        assert "tests" not in {module.partition(".")[0] for module, _ in imports(path)}, path


# Rule 3


def test_the_core_holds_no_list_of_the_families():
    names = {name for kind in INTERFACES for name in vidgen.list_components(kind)}
    for path in sources("vidgen"):
        if path.is_relative_to(ROOT / "vidgen" / "cli"):
            continue  # its help shows examples by name
        tree = ast.parse(path.read_text())
        docs = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        words = {
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
        }
        assert not words & set(FAMILIES), path
        distinctive = {name for name in names if "-" in name}
        assert not words & distinctive, path


def test_the_families_on_disk_are_the_ones_declared():
    on_disk = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/__init__.py"))
    assert on_disk == FAMILIES


def test_the_shipped_families_are_found_by_entry_points():
    found = {plugin.name: plugin for plugin in vidgen.plugins()}
    assert PLUGINS.keys() <= found.keys()
    for name, module in PLUGINS.items():
        assert found[name].module == module
        assert found[name].error is None


def test_without_plugins_there_are_no_components():
    code = "import vidgen; print([vidgen.list_components(kind) for kind in vidgen.KINDS])"
    environment = {**os.environ, "VIDGEN_LOAD_PLUGINS": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert eval(done.stdout) == [[] for _ in vidgen.KINDS]


# Rule 4


@pytest.mark.parametrize(
    "code",
    [
        "import vidgen",
        "import vidgen as v; [v.find(k, n).preset() for k in v.KINDS for n in v.list_components(k)]",
        "from vidgen.matrix import combinations; list(combinations())",
        "import vidgen.train.config, vidgen.checkpoint, vidgen.doctor, vidgen.cli",
        "import vidgen\n"
        "from vidgen.spec import INTERFACES\n"
        "parts = {kind: vidgen.list_components(kind) for kind in INTERFACES}\n"
        "base = {kind: names[0] for kind, names in parts.items()}\n"
        "for kind, names in parts.items():\n"
        "    for name in names:\n"
        "        for preset in vidgen.find(kind, name).presets:\n"
        "            vidgen.check(base | {kind: f'{name}/{preset}'})",
    ],
    ids=["import", "list", "matrix", "modules", "check"],
)
def test_torch_is_not_imported(code):
    heavy = ("torch", "numpy", "av", "open_clip", "transformers")
    report = f"\nimport sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code + report], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


# Rule 5


def test_nothing_runs_code_out_of_data():
    for path in sources("vidgen", "plugins"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            assert name not in ("eval", "exec", "__import__", "compile"), f"{path}:{node.lineno}"
            if name == "torch.load":
                safe = any(k.arg == "weights_only" and ast.unparse(k.value) == "True" for k in node.keywords)
                assert safe, f"{path}:{node.lineno}"
            if name == "np.load":
                safe = any(k.arg == "allow_pickle" and ast.unparse(k.value) == "False" for k in node.keywords)
                assert safe, f"{path}:{node.lineno}"
        assert not {m.partition(".")[0] for m, _ in imports(path)} & {
            "pickle",
            "dill",
            "joblib",
            "marshal",
        }, path


@pytest.mark.parametrize("name", ["os:system", "vidgen.errors:closest", "../evil", "subprocess.Popen"])
def test_names_in_data_reach_registered_components_only(name):
    with pytest.raises(vidgen.errors.VidgenError, match="no scheduler"):
        vidgen.check(
            {"autoencoder": "sora-vae", "denoiser": "sora-dit", "text_encoder": "words", "scheduler": name}
        )


# Rule 6


@pytest.mark.parametrize("kind", [*INTERFACES, "data_set", "grid", "guider", "prompt_refiner"])
def test_no_keyword_is_dropped(kind):
    names = vidgen.list_components(kind)
    assert names
    for name in names:
        with pytest.raises(ConfigError, match="no field 'no_such_setting'"):
            vidgen.create(kind, name, no_such_setting=1)


# The picture of the house in docs/architecture.md


def test_the_picture_of_the_house_is_true():
    picture = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]
    words = {word.rstrip(",;:") for word in picture.split()}
    modules = {path.name for path in (ROOT / "vidgen").glob("*.py") if not path.name.startswith("__")}
    packages = {f"{path.parent.name}/" for path in (ROOT / "vidgen").glob("*/__init__.py")}
    families = {f"{name}/" for name in FAMILIES}
    assert (modules | packages | families) - words == set()
    there = {path.name for path in sources("vidgen", "plugins", "tests")}
    assert {word for word in words if word.endswith(".py")} - there == set()
    tops = {"vidgen/", "plugins/", "benchmarks/", "tests/"}
    assert {word for word in words if word.endswith("/")} == packages | families | tops
