"""Recognition of a function by what it does, whatever Python reads it."""

import ast
import importlib.util
import sys

import pytest

from af3opt.engine.modules import _dump, source_digest

PLAIN = """
def scale(values, *, factor=2.0, **options):
    if factor is None:
        return None
    return [value * factor for value in values if value], {**options}
"""
DRESSED = '''
def scale(values: list[float], *, factor: float | None = 2.0, **options: int) -> tuple:
    """Multiplies."""
    # Nothing to do.
    if factor is None:
        return None
    return [
        value * factor for value in values if value
    ], {**options}
'''
CLASS = '''
class Box:
    """Holds."""

    size: int = 3

    def double(self, by=2):
        return f"{self.size * by:>5}"
'''


@pytest.fixture
def load(tmp_path):
    def load(source):
        path = tmp_path / f"source_{len(list(tmp_path.iterdir()))}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_comments_layout_and_annotations_do_not_count(load):
    assert source_digest(load(DRESSED).scale) == source_digest(load(PLAIN).scale)


def test_what_it_does_counts(load):
    assert source_digest(load(PLAIN.replace("2.0", "3.0")).scale) != source_digest(
        load(PLAIN).scale
    )


def test_digests_are_those_that_the_package_holds(load):
    # They must not depend on the version of Python.
    assert source_digest(load(PLAIN).scale) == "910c2013dccf697f"
    assert source_digest(load(CLASS).Box.double) == "cd2025e6c866860d"


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="ast.dump leaves empty lists out")
@pytest.mark.parametrize("source", [PLAIN, DRESSED, CLASS, "x = None\nx[...] = b'\\x00'\n"])
def test_tree_is_written_as_python_3_12_writes_it(source):
    tree = ast.parse(source)
    assert _dump(tree) == ast.dump(tree, annotate_fields=False)
