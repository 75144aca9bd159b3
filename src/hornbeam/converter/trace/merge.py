"""Two recordings of one function become one: equal things stay, numbers that move become sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.trace.sizes import Sizes, UnknownSizeError
from hornbeam.graph import Dim, Value
from hornbeam.graph import operations as op

__all__ = ["Merger"]

_BOOKKEEPING = {"name", "_inbound_nodes", "_outbound_nodes", "_remat_mode", "_lock"}


@dataclass
class Merger:
    """Merges arguments, attributes and constants of two recordings, leaf by leaf."""

    builder: Builder
    sizes: Sizes
    #: The value that stands for a `KerasTensor` of the first recording.
    lookup: Callable[[Any], Value]

    def merge(self, a: Any, b: Any) -> Any:
        """One structure for two: tensors become values, moving numbers become sizes."""
        if isinstance(a, keras.KerasTensor):
            return self.lookup(a)
        if isinstance(a, keras.Variable) or a is b:
            return a
        if isinstance(a, slice):
            return slice(*map(self.merge, (a.start, a.stop, a.step), (b.start, b.stop, b.step)))
        if isinstance(a, tuple) and hasattr(a, "_fields"):
            return type(a)(*map(self.merge, a, b))
        if isinstance(a, (list, tuple)):
            return type(a)(self.merge(x, y) for x, y in zip(a, b, strict=True))
        if isinstance(a, dict):
            return {key: self.merge(a[key], b[key]) for key in a}
        if isinstance(a, bool):
            return a
        if isinstance(a, int):
            return self.sizes.solve((int(a), int(b)))
        if isinstance(a, float):
            return self._float(a, float(b))
        if _is_array(a):
            return self.constant(np.asarray(a), np.asarray(b))
        return a

    def operation(self, a: Any, b: Any) -> Any:
        """An operation whose attributes are merged; layers are one object in both recordings."""
        if a is b or isinstance(a, keras.Layer):
            return a
        changed = {
            key: merged
            for key, value in vars(a).items()
            if key not in _BOOKKEEPING and key in vars(b) and not is_dataclass(value)
            if (merged := self.merge(value, vars(b)[key])) is not value
        }
        if not changed:
            return a
        # (copy.copy would save and load it as a Keras object, which not every operation can.)
        both = object.__new__(type(a))
        vars(both).update({**vars(a), **changed})
        return both

    def constant(self, a: npt.NDArray[Any], b: npt.NDArray[Any]) -> Any:
        """An array that was computed while recording: known, repeated, or counted along a size."""
        if a.shape == b.shape and np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
            return a
        if a.shape == b.shape == () and a.dtype.kind in "iuf" and a == int(a) and b == int(b):
            dim = self.sizes.solve((int(a), int(b)))
            return self.builder.emit(op.DimensionOf(dim, str(a.dtype)))
        if a.ndim != b.ndim:
            raise UnknownSizeError(f"an array of {a.ndim} and of {b.ndim} axes")
        shape = tuple(map(self.sizes.solve, zip(a.shape, b.shape, strict=True)))
        found = self._repeated(a, b, shape) or self._counted(a, b, shape)
        if found is None:
            found = self._by_place(a, b, shape)
        if found is None:
            raise UnknownSizeError(
                f"an array of shape {shape} whose elements depend on its free size"
            )
        return found

    def _float(self, a: float, b: float) -> Any:
        if a == b or (a != a and b != b):
            return a
        if a == int(a) and b == int(b):
            return self.builder.emit(op.DimensionOf(self.sizes.solve((int(a), int(b))), "float32"))
        raise UnknownSizeError(f"a number that is {a} for one size and {b} for another")

    def _repeated(
        self, a: npt.NDArray[Any], b: npt.NDArray[Any], shape: tuple[Dim, ...]
    ) -> Value | None:
        """The same slice over and over along every free axis."""
        free = tuple(i for i, dim in enumerate(shape) if not isinstance(dim, int))
        one = tuple(slice(0, 1) if i in free else slice(None) for i in range(a.ndim))
        if not (np.array_equal(a[one], b[one]) and (a == a[one]).all() and (b == b[one]).all()):
            return None
        return self.builder.broadcast(self.builder.constant(a[one]), shape)

    def _counted(
        self, a: npt.NDArray[Any], b: npt.NDArray[Any], shape: tuple[Dim, ...]
    ) -> Value | None:
        """``start + step * i`` along one axis, as ``ops.arange(length)`` makes it.

        The start is one number, or an array along the other axes.
        """
        free = [i for i, dim in enumerate(shape) if not isinstance(dim, int)]
        if len(free) != 1 or a.dtype.kind not in "iuf" or min(a.shape[free[0]], a.size) < 2:
            return None
        axis = free[0]
        start = a.take([0], axis)
        step = (a.take([1], axis) - start).flat[0]
        row = [-1 if i == axis else 1 for i in range(a.ndim)]
        for x in (a, b):
            if (x != start + step * np.arange(x.shape[axis]).reshape(row)).any():
                return None
        if int(step) != step or (start.size == 1 and int(start.flat[0]) != start.flat[0]):
            return None
        first = int(start.flat[0]) if start.size == 1 else 0
        steps = self.builder.emit(op.Range(first, int(step), shape[axis], str(a.dtype)))
        counted = self.builder.reshape(
            steps, tuple(dim if i == axis else 1 for i, dim in enumerate(shape))
        )
        if start.size == 1:
            return counted
        return self.builder.binary("add", counted, self.builder.constant(start))

    def _by_place(
        self, a: npt.NDArray[Any], b: npt.NDArray[Any], shape: tuple[Dim, ...]
    ) -> Value | None:
        """One number on one side of the diagonal, another elsewhere: causal masks, identities."""
        numbers = np.unique(a)
        if a.ndim < 2 or a.dtype.kind not in "biuf" or len(numbers) != 2:
            return None
        low, high = numbers
        for name, compare in _COMPARISONS.items():
            if not all(
                x[..., 0, 0].size == 1
                and np.array_equal(x, np.where(_by_axes(compare, x), high, low))
                for x in (a, b)
            ):
                continue
            rows, columns = (
                self.builder.emit(op.Range(0, 1, length, "int32")) for length in shape[-2:]
            )
            places = self.builder.compare(name, self.builder.reshape(rows, (shape[-2], 1)), columns)
            constants = (self.builder.constant(x, str(a.dtype)) for x in (high, low))
            chosen = places if a.dtype == bool else self.builder.select(places, *constants)
            return self.builder.reshape(chosen, shape)
        return None


_COMPARISONS: dict[op.CompareFunction, Callable[..., Any]] = {
    "greater_equal": np.greater_equal,
    "greater": np.greater,
    "less_equal": np.less_equal,
    "less": np.less,
    "equal": np.equal,
    "not_equal": np.not_equal,
}


def _by_axes(compare: Callable[..., Any], x: npt.NDArray[Any]) -> Any:
    """``compare(row, column)`` over the last two axes of ``x``."""
    rows, columns = x.shape[-2:]
    return compare(np.arange(rows)[:, None], np.arange(columns)).reshape(x.shape)


def _is_array(thing: Any) -> bool:
    return hasattr(thing, "__array__") and hasattr(thing, "shape")
