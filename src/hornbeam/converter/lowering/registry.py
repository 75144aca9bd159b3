"""Who lowers what: the one table from Keras layers, operations and activations to functions.

A key is the public name without the leading ``keras.``: ``layers.Dense``, ``ops.Add`` (the class of
the operation, as Keras records it) or ``activations.relu``. A lowering is a function that takes the
`Builder`, the Keras object and the call's arguments, with every tensor replaced by a `Value`, and
returns the resulting value or values.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

__all__ = ["Lowering", "find", "lowers", "registered"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Lowering:
    """A lowering function and what the tracer must know to call it."""

    key: str
    function: Callable[..., Any]
    #: The layer has a ``data_format``: hand it channels-last values and turn the result back.
    channels: bool = field(default=False)

    @cached_property
    def parameters(self) -> frozenset[str]:
        """The names of the call arguments that the function takes (all of them: ``**``)."""
        return frozenset(inspect.signature(self.function).parameters)


_REGISTRY: dict[str, Lowering] = {}


def lowers(*keys: str, channels: bool = False) -> Callable[[F], F]:
    """Register the decorated function as the lowering of each of ``keys``."""

    def register(function: F) -> F:
        for key in keys:
            if key in _REGISTRY:
                raise ValueError(f"{key} has two lowerings")
            _REGISTRY[key] = Lowering(key, function, channels)
        return function

    return register


def find(key: str) -> Lowering | None:
    """The lowering registered for ``key``, if any."""
    return _REGISTRY.get(key)


def registered() -> Iterator[Lowering]:
    """Every lowering, by key."""
    return iter(sorted(_REGISTRY.values(), key=lambda lowering: lowering.key))
