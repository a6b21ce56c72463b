"""What imports what: no cycles, one place for the engine, and a diagram that is true."""

import ast
import subprocess
import sys
from pathlib import Path

import import_graph
import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "af3opt"
MODULES = sorted(PACKAGE.rglob("*.py"))
ENGINE_NAME = "alphafold3"
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 60
MOST_METHODS = 12


def test_imports_keep_the_contracts():
    command = [Path(sys.executable).with_name("lint-imports")]
    completed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout


def imported_names(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_the_adapter_imports_the_engine(path):
    roots = {name.partition(".")[0] for name in imported_names(path)}
    if path.parent != PACKAGE / "engine":
        assert ENGINE_NAME not in roots


@pytest.mark.parametrize(
    "module",
    [
        "af3opt",
        "af3opt.cli",
        "af3opt.settings.settings",
        "af3opt.environment.environment",
        "af3opt.host.host",
        "af3opt.environment.startup",
    ],
)
def test_what_runs_before_jax_imports_neither_jax_nor_numpy(module):
    code = (
        f"import sys, {module}; "
        f"print([name for name in ('jax', 'numpy', '{ENGINE_NAME}') if name in sys.modules])"
    )
    completed = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert completed.stdout.strip() == "[]"


def test_the_diagram_shows_the_real_imports():
    part = import_graph.PART
    text = part.document.read_text()
    written = part.replaced_in(text, import_graph.diagram())
    assert written == text, "run scripts/import_graph.py"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_files_are_short_enough_to_read(path):
    assert len(path.read_text().splitlines()) <= MOST_LINES


# What is put where the engine finds it without being a function of the engine, and what sets
# attributes of af3opt's own; docs/architecture.md has the reasons.
SETS_ATTRIBUTES = {
    "base/standard_streams.py",
    "data/resources.py",
    "engine/deferred_import.py",
    "engine/layers.py",
    "engine/model.py",
    "engine/plain_run.py",
    "execution/script/model.py",
}


def sets_attributes(node):
    """Whether a statement or call replaces something by name: `setattr`, or in `sys.modules`."""
    if isinstance(node, ast.Call):
        return ast.unparse(node.func) == "setattr"
    targets = node.targets if isinstance(node, ast.Assign) else []
    return any(ast.unparse(target).startswith("sys.modules[") for target in targets)


def test_functions_of_the_engine_are_replaced_in_one_place():
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in MODULES
        if any(map(sets_attributes, ast.walk(ast.parse(path.read_text()))))
    }
    assert found == SETS_ATTRIBUTES


FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_classes_and_functions_are_short_enough_to_read(path):
    """Ruff counts statements and branches; it has no rule for lines and for methods."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, FUNCTION):
            lines = node.end_lineno - node.lineno + 1
            assert lines <= MOST_LINES_OF_A_FUNCTION, f"{node.name} has {lines} lines"
        elif isinstance(node, ast.ClassDef):
            methods = sum(isinstance(member, FUNCTION) for member in node.body)
            assert methods <= MOST_METHODS, f"{node.name} has {methods} methods"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_every_public_name_is_described(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "the module has no docstring"
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        assert ast.get_docstring(node), node.name
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_"):
                    assert ast.get_docstring(method), f"{node.name}.{method.name}"
