"""The one way to recognise functions of the engine and to replace them for a while.

A `Target` names a function and the digests of the sources it may have; `known_functions`
has them all. A `Patch` says which functions it replaces, by what, and which others must be as
known. A `PatchSet` looks at all functions of its patches while the engine is untouched, puts
the patches in force whose functions are as known, and takes them off again at the end. A
new one takes an entry for each of its functions in `known_functions`, with the digests that
`source_digest` gives, and then

    def make_query(original, context):
        def query(self, sequence): ...  # may call `original`
        return query

    HIT_LISTS = Patch(
        name="hit_lists",
        replacements=((known("data.tools.jackhmmer", "Jackhmmer.query"), make_query),),
    )

    with PatchSet([HIT_LISTS], context) as patches:
        patches.obstacles["hit_lists"]  # None, or why it is not in force

Two patches of one function must say which is built on the other (`after`); the order in
which they are listed decides nothing. Sets may be nested and closed in any order, also by
several threads: what a digest is taken of is always the engine's own function, and a patch
that goes while others lie on it is taken out from below them.

What replaces nothing that a module or class of the engine holds is no patch, and
`docs/architecture.md` says what that is: a package that is not imported yet, a file that a module
reads while it is imported, a class of the user's own script, the stream that the engine prints to.
"""

import contextlib
import dataclasses
import functools
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from af3opt.base.errors import SetupError
from af3opt.base.installing import pip_install
from af3opt.base.version import installed_version
from af3opt.engine import layers
from af3opt.engine.discovery import ENGINE
from af3opt.engine.modules import source_digest

# Stands in `Patch.after` for every other patch of the same functions.
ANYTHING = "*"


class PatchError(RuntimeError):
    """Patches contradict each other: a mistake in the program, not in the engine."""


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A function or method, of the engine or of a package that it computes with.

    Attributes:
        module: Dotted module name below the package.
        qualname: Name in the module, such as "TransitionBlock.__call__".
        digests: `source_digest` of the sources it may have; None for any.
        package: The package.
    """

    module: str
    qualname: str
    digests: frozenset[str] | None
    package: str = ENGINE

    @property
    def label(self) -> str:
        """Module and name, for messages."""
        return f"{self.module}.{self.qualname}"

    def place(self) -> layers.Place:
        """The object that holds the function, and its name there.

        Raises:
            ImportError: there is no such module.
            AttributeError: the module has no such class.
        """
        owner: Any = importlib.import_module(f"{self.package}.{self.module}")
        *path, name = self.qualname.split(".")
        for part in path:
            owner = getattr(owner, part)
        return owner, name

    def original(self) -> Any:
        """The engine's own function as its module or class holds it, whatever is in force.

        Raises:
            ImportError: there is no such module.
            AttributeError: there is no such function.
        """
        return layers.original_at(self.place())

    def obstacle(self) -> str | None:
        """Says why the installed function is not this one, or None when it is."""
        try:
            found = self.original()
            if self.digests is None or self.digest_of(found) in self.digests:
                return None
        except (ImportError, AttributeError, OSError, TypeError):
            return f"the engine has no readable {self.label}"
        return f"{self.label} is not the function it knows"

    def overlaps(self, other: "Target") -> bool:
        """Whether one installed function can be both targets."""
        if (self.package, self.label) != (other.package, other.label):
            return False
        either = self.digests is None or other.digests is None
        return either or bool((self.digests or set()) & (other.digests or set()))

    @staticmethod
    def digest_of(function: Any) -> str:
        """`source_digest` of a function or class method."""
        return source_digest(getattr(function, "__func__", function))


def first_unknown(targets: Iterable[Target]) -> Target | None:
    """The first of some functions that the installed engine has otherwise, or None."""
    return next((target for target in targets if target.obstacle() is not None), None)


@dataclasses.dataclass(frozen=True, slots=True)
class Package:
    """A Python package that a patch takes its computation from.

    Attributes:
        name: Of the distribution.
        release: First two numbers of the version it was written against; None where the
            engine uses it in the same way, so that any will do.
        extra: The extra of af3opt that installs it; None if it comes with an engine.
    """

    name: str
    release: str | None = None
    extra: str | None = None

    @property
    def version(self) -> str | None:
        """The installed version, or None."""
        return installed_version(self.name)

    def obstacle(self) -> str | None:
        """Says why the installed package does not suit, or None when it does."""
        version = self.version
        if version is None:
            remedy = f" ({pip_install(self.extra)})" if self.extra else ""
            return f"{self.name} is not installed{remedy}"
        if self.release is not None and version.split(".")[:2] != self.release.split("."):
            return f"it knows {self.name} {self.release}, installed is {version}"
        return None


# (original function as its module or class holds it, context) -> replacement.
type Make[C] = Callable[[Any, C], Any]


@dataclasses.dataclass(frozen=True, kw_only=True)  # `Patch[C](...)` fails with slots
class Patch[C]:
    """Functions to replace together.

    Attributes:
        name: How other patches and messages call it.
        replacements: The functions and what makes their replacements. It is called with
            what lies below at that time, the engine's function or another patch's, and may
            be called again when that changes.
        relies_on: Functions that stay but must be as known: those that the replacements
            take over from, or are called by.
        after: Names of the patches that it may be put on top of; `ANYTHING` for all, which
            fits what only passes calls on.
        built_in: The function of engines that do the same themselves, or None.
        package: What it needs besides the engine, or None.
    """

    name: str
    replacements: tuple[tuple[Target, Make[C]], ...]
    relies_on: tuple[Target, ...] = ()
    after: frozenset[str] = frozenset()
    built_in: Target | None = None
    package: Package | None = None

    def obstacle(self) -> str | None:
        """Says why the installed engine or package does not suit, or None when both do."""
        found = self._function_obstacle()
        return self.package.obstacle() if found is None and self.package else found

    def lacks_package(self) -> bool:
        """Whether nothing is in its way but a package that is not installed."""
        missing = self.package is not None and self.package.version is None
        return missing and self._function_obstacle() is None

    def needed(self) -> bool:
        """Whether the installed engine does not do the same itself."""
        return self.built_in is None or self.built_in.obstacle() is not None

    def may_follow(self, name: str) -> bool:
        """Whether it may be put on top of another patch."""
        return name in self.after or ANYTHING in self.after

    def _function_obstacle(self) -> str | None:
        replaced = tuple(target for target, _ in self.replacements)
        obstacles = (target.obstacle() for target in replaced + self.relies_on)
        return next((obstacle for obstacle in obstacles if obstacle is not None), None)


class PatchSet[C]:
    """Some patches, in force between `apply` and `undo`, or inside a `with` block.

    Attributes:
        obstacles: What kept each patch from being put in force, by name; None for those
            that are. Known once the set is applied.
    """

    def __init__(
        self,
        patches: Iterable[Patch[C]],
        context: C,
        *,
        required: bool = False,
        lock: contextlib.AbstractContextManager[Any] | None = None,
    ) -> None:
        """Looks at nothing of the engine yet.

        Args:
            patches: The patches, in any order.
            context: Handed to what makes the replacements.
            required: Fail where a patch does not suit the engine, instead of leaving it out.
            lock: Held while the set is in force, for sets of which there can be one at a
                time in a process.

        Raises:
            PatchError: two patches replace the same function and neither is declared to
                come after the other.
        """
        self._patches = in_order(patches)
        self._context = context
        self._required = required
        self._lock = lock
        self._undo: contextlib.ExitStack | None = None
        self.obstacles: Mapping[str, str | None] = {}

    @property
    def in_force(self) -> tuple[str, ...]:
        """Names of the patches that are in force."""
        if self._undo is None:
            return ()
        return tuple(name for name, why in self.obstacles.items() if why is None)

    def apply(self) -> None:
        """Decides on the untouched engine, then replaces.

        Raises:
            PatchError: the set is in force already, or one of its functions has been
                replaced by a patch that it is not declared to come after.
            SetupError: a required patch does not suit the engine.
        """
        if self._undo is not None:
            raise PatchError("the patches are in force already")
        with contextlib.ExitStack() as undo:
            if self._lock is not None:
                undo.enter_context(self._lock)
            self.obstacles = {patch.name: patch.obstacle() for patch in self._patches}
            if self._required:
                self._check_all_fit()
            with layers.changing:
                for patch in self._patches:
                    if self.obstacles[patch.name] is None:
                        _put_on(patch, self._context, undo)
            self._undo = undo.pop_all()

    def undo(self) -> None:
        """Takes the patches off again, the last one first; nothing if none is in force."""
        undo, self._undo = self._undo, None
        if undo is not None:
            undo.close()

    def __enter__(self) -> Self:
        self.apply()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.undo()

    def _check_all_fit(self) -> None:
        for name, obstacle in self.obstacles.items():
            if obstacle is not None:
                raise SetupError(f"{name} does not fit the installed engine: {obstacle}")


def in_order[C](patches: Iterable[Patch[C]]) -> tuple[Patch[C], ...]:
    """Sorts patches so that each comes after those that it may be put on top of.

    Raises:
        PatchError: two have one name, or replace one function in no declared order.
    """
    waiting = list(patches)
    names = [patch.name for patch in waiting]
    for name in names:
        if names.count(name) > 1:
            raise PatchError(f"there are two patches named {name}")
    below = {patch.name: set(_below(patch, waiting)) for patch in waiting}
    ordered: list[Patch[C]] = []
    while waiting:
        free = [one for one in waiting if below[one.name] <= {done.name for done in ordered}]
        if not free:
            raise PatchError(f"patches come after each other in a ring: {', '.join(names)}")
        ordered.append(free[0])
        waiting.remove(free[0])
    return tuple(ordered)


def _below[C](patch: Patch[C], patches: Sequence[Patch[C]]) -> Iterator[str]:
    """Yields the names of the patches that a patch lies on, if both are in force."""
    for other in patches:
        if other is patch or not _share_a_function(patch, other):
            continue
        if patch.may_follow(other.name):
            yield other.name
        elif not other.may_follow(patch.name):
            raise PatchError(
                f"{patch.name} and {other.name} replace the same function; one must be "
                "declared to come after the other"
            )


def _share_a_function[C](one: Patch[C], other: Patch[C]) -> bool:
    return any(
        mine.overlaps(theirs) for mine, _ in one.replacements for theirs, _ in other.replacements
    )


def _put_on[C](patch: Patch[C], context: C, undo: contextlib.ExitStack) -> None:
    """Replaces the functions of one patch; `undo` is given what takes it off again."""
    for target, make in patch.replacements:
        place = target.place()
        for below in layers.patches_at(place):
            if not patch.may_follow(below):
                raise PatchError(
                    f"{target.label} is replaced by {below} already; {patch.name} is not "
                    "declared to come after it"
                )
        layer = layers.Layer(patch.name, functools.partial(_make, make, context))
        layers.put_on(place, layer)
        undo.callback(layers.take_off, place, layer)


def _make[C](make: Make[C], context: C, original: Any) -> Any:
    return make(original, context)
