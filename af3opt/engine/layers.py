"""Which attributes of modules and classes are replaced right now, and by what.

Each is a stack: the original, and what lies on it from below to above. A layer can be taken
out from the middle: those above are then made anew on what is below.
"""

import dataclasses
import threading
from collections.abc import Callable, Sequence
from typing import Any

type Place = tuple[Any, str]


@dataclasses.dataclass(slots=True, eq=False)
class Layer:
    """What one patch puts in the place of what is below.

    Attributes:
        patch: The patch's name.
        make: From what is below to the replacement.
        replacement: What it made.
    """

    patch: str
    make: Callable[[Any], Any]
    replacement: Any = None


@dataclasses.dataclass(slots=True)
class _Stack:
    original: Any
    inherited: bool
    layers: list[Layer] = dataclasses.field(default_factory=list)


# Held while several places are changed together.
changing = threading.RLock()
_stacks: dict[Place, _Stack] = {}


def original_at(place: Place) -> Any:
    """What a module or class holds or held before any layer: a class method as such, not bound.

    Raises:
        AttributeError: there is nothing of that name.
    """
    with changing:
        stack = _stacks.get(place)
        return stack.original if stack is not None else _held(place)


def patches_at(place: Place) -> Sequence[str]:
    """Names of the patches that are in force at a place, from below to above."""
    with changing:
        stack = _stacks.get(place)
        return [layer.patch for layer in stack.layers] if stack is not None else []


def put_on(place: Place, layer: Layer) -> None:
    """Makes a layer's replacement and puts it on top of what is there."""
    owner, name = place
    with changing:
        stack = _stacks.get(place) or _Stack(_held(place), inherited=name not in vars(owner))
        layer.replacement = layer.make(_held(place))
        setattr(owner, name, layer.replacement)
        stack.layers.append(layer)
        _stacks[place] = stack


def take_off(place: Place, layer: Layer) -> None:
    """Takes a layer off, wherever in the stack it is."""
    owner, name = place
    with changing:
        stack = _stacks[place]
        number = stack.layers.index(layer)
        below = stack.layers[number - 1].replacement if number else stack.original
        for above in stack.layers[number + 1 :]:
            below = above.replacement = above.make(below)
        del stack.layers[number]
        if not stack.layers:
            del _stacks[place]
        if stack.inherited and not stack.layers:
            delattr(owner, name)
        else:
            setattr(owner, name, below)


def _held(place: Place) -> Any:
    owner, name = place
    return vars(owner)[name] if name in vars(owner) else getattr(owner, name)
