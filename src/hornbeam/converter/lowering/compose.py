"""Lowerings that are a few lines of ``keras.ops``: what a formula means is then Keras's own affair.

A composition is written with the public functions of Keras, which promote dtypes and broadcast as
Keras does. It is recorded like the ``call`` of a layer, and what it used takes its place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from keras import ops, tree

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value

__all__ = ["along", "as_float", "composes", "is_float", "listed"]

F = TypeVar("F", bound=Callable[..., Any])


def composes(*names: str, known: tuple[int, ...] = ()) -> Callable[[F], F]:
    """Register ``function(operation, *tensors)`` as the lowering of these operations of Keras.

    While it is recorded, a free size is a stand-in, which an ``if`` would take for the number that
    it is not. So ``known`` are the axes of the first tensor that have to have known sizes.
    """

    def register(function: F) -> F:
        signature = inspect.signature(function)

        @lowers(*(f"ops.{name}" for name in names))
        def lower(b: Builder, operation: Any, *args: Any, **kwargs: Any) -> Any:
            bound = signature.bind(operation, *args, **kwargs)
            _check(type(operation).__name__, bound.args[1:], known)
            formula = partial(function, operation, **bound.kwargs)
            # (What errors call it.)
            vars(formula)["__qualname__"] = f"keras.ops.{type(operation).__name__}"
            return b.keras.function(formula, bound.args[1:])

        return function

    return register


def _check(name: str, args: tuple[Any, ...], known: tuple[int, ...]) -> None:
    first = next((x for x in tree.flatten(args) if isinstance(x, Value)), None)
    if first is None:
        return
    for axis in known:
        size = first.shape[axis] if -axis <= first.rank else 1
        if not isinstance(size, int):
            raise ValueError(f"{name} along an axis of free size {size} has no lowering")


def is_float(x: Any) -> bool:
    """Whether a Keras tensor holds floats."""
    return "float" in str(x.dtype)


def as_float(x: Any) -> Any:
    """A tensor or number as a float tensor: floats as they are, everything else as Keras's own."""
    x = ops.convert_to_tensor(x)
    return x if is_float(x) else ops.cast(x, "float32")


def listed(argument: Any, rank: int) -> list[int]:
    """Axes that are not negative, ascending, from None (all), a number or a sequence."""
    if argument is None:
        return list(range(rank))
    axes = [argument] if isinstance(argument, int) else list(argument)
    return sorted({int(axis) % rank for axis in axes})


def along(axis: int, begin: Any = None, end: Any = None) -> tuple[slice, ...]:
    """The key of a part of one axis."""
    return (*(slice(None),) * axis, slice(begin, end))
