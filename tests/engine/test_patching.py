"""Recognising and replacing functions of the engine, on a small engine of this test's own."""

import sys
import threading
import types

import pytest

from af3opt.base.errors import SetupError
from af3opt.engine.modules import source_digest
from af3opt.engine.patching import ANYTHING, Patch, PatchError, PatchSet, Target, first_unknown

PACKAGE = "af3opt_test_engine"


def area(width, height):
    return width * height


def edge(width):
    return width


class Base:
    def size(self):
        return 1


class Box(Base):
    @classmethod
    def named(cls, name):
        return (cls, name)


@pytest.fixture(autouse=True)
def engine(monkeypatch):
    """The module that the targets of these tests are in; checked to be as it was afterwards."""
    module = types.ModuleType(f"{PACKAGE}.shapes")
    held = {"area": area, "edge": edge, "Box": Box}
    vars(module).update(held)
    monkeypatch.setitem(sys.modules, PACKAGE, types.ModuleType(PACKAGE))
    monkeypatch.setitem(sys.modules, f"{PACKAGE}.shapes", module)
    inside = dict(vars(Box))
    yield module
    assert {name: vars(module)[name] for name in held} == held
    assert dict(vars(Box)) == inside


def target(name="area", *digests, anything=False):
    """The function of this name with these digests, or else as it is, or whatever it is."""
    own = digests or (source_digest({"area": area, "edge": edge}.get(name, area)),)
    return Target("shapes", name, None if anything else frozenset(own), PACKAGE)


def adding(text, name=None, **options):
    """A patch of `area` whose result has a text behind it."""

    def make(original, context):
        return lambda *arguments: f"{original(*arguments)}{text}{context}"

    where = options.pop("target", target())
    return Patch(name=name or text, replacements=((where, make),), **options)


def test_patches_are_in_force_inside_the_block_only(engine):
    with PatchSet([adding("a")], "!") as patches:
        assert engine.area(2, 3) == "6a!"
        assert patches.in_force == ("a",)
    assert engine.area is area
    assert patches.in_force == ()


def test_declared_order_holds_whatever_the_order_of_the_list(engine):
    below, above = adding("a"), adding("b", after=frozenset({"a"}))
    for patches in ([below, above], [above, below]):
        with PatchSet(patches, ""):
            assert engine.area(2, 3) == "6ab"
        assert engine.area is area


def test_two_patches_of_a_function_without_an_order_are_refused():
    with pytest.raises(PatchError, match=r"a and b replace the same function"):
        PatchSet([adding("a"), adding("b")], "")


def test_patches_of_different_sources_of_a_function_need_no_order(engine):
    other = adding("b", target=target("area", "0" * 16))
    with PatchSet([other, adding("a")], "") as patches:
        assert engine.area(2, 3) == "6a"
        assert patches.obstacles["b"] == "shapes.area is not the function it knows"


def test_ring_of_declarations_is_refused():
    one, other = adding("a", after=frozenset({"b"})), adding("b", after=frozenset({"a"}))
    with pytest.raises(PatchError, match="in a ring"):
        PatchSet([one, other], "")


def test_names_are_unique():
    with pytest.raises(PatchError, match="two patches named a"):
        PatchSet([adding("a"), adding("a", target=target("edge"))], "")


def test_digests_are_those_of_the_untouched_engine(engine):
    with PatchSet([adding("a")], ""):
        assert target().obstacle() is None
        assert target().original() is area
        with PatchSet([adding("b", after=frozenset({ANYTHING}))], "") as inner:
            assert inner.obstacles == {"b": None}


def test_one_patch_relies_on_what_another_replaces(engine):
    relying = Patch(
        name="b",
        replacements=((target("edge"), lambda _original, _context: lambda width: -width),),
        relies_on=(target("area"),),
    )
    for patches in ([relying, adding("a")], [adding("a"), relying]):
        with PatchSet(patches, "") as both:
            assert both.obstacles == {"a": None, "b": None}
            assert engine.edge(2) == -2


def test_patch_whose_function_changed_steps_aside_with_all_its_functions(engine):
    changed = Patch(
        name="a",
        replacements=(
            (target("edge"), lambda _original, _context: str),
            (target("area", "0" * 16), lambda _original, _context: str),
        ),
    )
    with PatchSet([changed], "") as patches:
        assert engine.edge is edge
        assert patches.in_force == ()


@pytest.mark.parametrize(
    ("module", "name"), [("nothing", "area"), ("shapes", "nothing"), ("shapes", "Box.nothing")]
)
def test_missing_function_is_an_obstacle(module, name):
    missing = Target(module, name, None, PACKAGE)
    assert missing.obstacle() == f"the engine has no readable {module}.{name}"
    assert first_unknown((target(), missing)) is missing


def test_required_patch_that_does_not_fit_is_an_error(engine):
    fits = adding("a")
    misfit = adding("b", target=target("edge", "0" * 16))
    patches = PatchSet([fits, misfit], "", required=True)
    with pytest.raises(SetupError, match=r"b does not fit the installed engine: shapes\.edge"):
        patches.apply()
    assert engine.area is area


def test_failure_while_applying_undoes_what_was_applied(engine):
    def fail(original, context):
        raise ValueError("cannot be made")

    broken = Patch(
        name="b",
        replacements=((target("edge"), lambda _original, _context: str), (target(), fail)),
        after=frozenset({"a"}),
    )
    patches = PatchSet([adding("a"), broken], "")
    with pytest.raises(ValueError, match="cannot be made"):
        patches.apply()
    assert (engine.area, engine.edge) == (area, edge)
    assert patches.in_force == ()


def test_nested_set_must_be_declared_to_come_after(engine):
    with PatchSet([adding("a")], ""):
        with pytest.raises(PatchError, match="replaced by a already; b is not declared"):
            PatchSet([adding("b")], "").apply()
        with pytest.raises(PatchError, match="replaced by a already"):
            PatchSet([adding("a")], "").apply()
        assert engine.area(2, 3) == "6a"


def test_sets_can_be_undone_in_any_order(engine):
    outer = PatchSet([adding("a")], "")
    middle = PatchSet([adding("b", after=frozenset({"a"}))], "")
    inner = PatchSet([adding("c", after=frozenset({ANYTHING}))], "")
    for patches in (outer, middle, inner):
        patches.apply()
    assert engine.area(2, 3) == "6abc"
    outer.undo()
    assert engine.area(2, 3) == "6bc"
    inner.undo()
    assert engine.area(2, 3) == "6b"
    middle.undo()
    assert engine.area is area


def test_smaller_set_in_the_place_of_a_larger_one_and_back(engine):
    larger = PatchSet([adding("a"), adding("b", after=frozenset({"a"}))], "")
    with larger:
        larger.undo()
        with PatchSet([adding("a")], ""):
            assert engine.area(2, 3) == "6a"
        larger.apply()
        assert engine.area(2, 3) == "6ab"
    assert engine.area is area


def test_class_methods_and_inherited_methods_are_put_back_as_they_were():
    def as_class_method(original, _context):
        return classmethod(lambda cls, name: (*original.__get__(None, cls)(name), "replaced"))

    def twice(original, _context):
        return lambda self: 2 * original(self)

    patch = Patch(
        name="a",
        replacements=(
            (Target("shapes", "Box.named", None, PACKAGE), as_class_method),
            (Target("shapes", "Box.size", None, PACKAGE), twice),
        ),
    )
    with PatchSet([patch], None):
        assert Box.named("x") == (Box, "x", "replaced")
        assert (Box().size(), Base().size()) == (2, 1)
    assert "size" not in vars(Box)


def test_sets_with_one_lock_are_in_force_one_at_a_time(engine):
    lock = threading.RLock()
    results = []

    def use():
        with PatchSet([adding("a")], "", lock=lock):
            results.append(engine.area(2, 3))

    with PatchSet([adding("a")], "", lock=lock):
        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert engine.area(2, 3) == "6a"
        assert not results
    for thread in threads:
        thread.join()
    assert results == ["6a"] * 4


def test_set_is_applied_once(engine):
    with PatchSet([adding("a")], "") as patches:
        with pytest.raises(PatchError, match="in force already"):
            patches.apply()
        assert engine.area(2, 3) == "6a"
    patches.undo()
    assert engine.area is area
