"""Operators and indices that Keras records only in part, made whole while a call is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.backend.common.variables import Variable

__all__ = ["weights_give_way"]

#: Python's binary operators, without the double underscores.
_OPERATORS = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor",
    "lt", "le", "gt", "ge", "eq", "ne",
)  # fmt: skip


@contextmanager
def weights_give_way() -> Iterator[None]:
    """Let the operators of variables decline a `KerasTensor`, whose own operators then come in.

    By themselves they hand it to a function of the backend, which asks it for its numbers. And
    ``x[None]`` is what ``x[None, ...]`` is, which a `KerasTensor` knows.
    """
    names = [f"__{name}__" for name in _OPERATORS]
    before = {name: getattr(Variable, name) for name in (*names, "__getitem__")}
    indexed = keras.KerasTensor.__getitem__
    for name in names:
        setattr(Variable, name, _declining(before[name]))
    Variable.__getitem__ = _looked_up(before["__getitem__"])
    keras.KerasTensor.__getitem__ = _with_new_axis(indexed)
    try:
        yield
    finally:
        keras.KerasTensor.__getitem__ = indexed
        for name, method in before.items():
            setattr(Variable, name, method)


def _declining(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def operator(self: Any, other: Any) -> Any:
        return NotImplemented if isinstance(other, keras.KerasTensor) else method(self, other)

    return operator


def _looked_up(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def getitem(self: Any, index: Any) -> Any:
        if isinstance(index, keras.KerasTensor):
            return keras.ops.take(self, index, axis=0)
        return method(self, index)

    return getitem


def _with_new_axis(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def getitem(self: Any, index: Any) -> Any:
        return method(self, (None, ...) if index is None else index)

    return getitem
