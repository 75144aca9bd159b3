"""What a lowering builds with: values, constants, operations, and calls back into the tracer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hornbeam.graph import Dim, Graph, Shape, Value
from hornbeam.graph import operations as op
from hornbeam.graph.dims import product, quotient
from hornbeam.graph.types import is_float, numpy_dtype

__all__ = ["Builder", "KerasSide"]


class KerasSide(Protocol):
    """What only the tracer can do, because it needs Keras's own machinery."""

    def call(self, operation: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Lower a call of a Keras layer or operation."""

    def function(self, function: Any, args: Sequence[Any]) -> Any:
        """Lower a call of a plain function written in ``keras.ops``."""

    def mask(self, value: Value) -> Value | None:
        """The Keras mask that travels with a value."""

    def variable(self, variable: Any) -> tuple[str, npt.NDArray[Any]]:
        """The path and the data of a Keras variable."""

    def result_type(self, *dtypes: str | type) -> str:
        """Keras's rule for the dtype of mixed arguments."""


class Builder:
    """Appends operations to a graph on behalf of the Keras layer at ``path``."""

    def __init__(self, graph: Graph, keras: KerasSide) -> None:
        self.graph = graph
        self.keras = keras
        self.path = ""
        #: The dtype that float weights take (the compute dtype of the layer being lowered).
        self.dtype: str | None = None
        #: What each Keras variable that a call changes holds now, and the input that it came from.
        self.states: dict[int, tuple[Value, Value]] = {}
        self._weights: dict[tuple[int, str], Value] = {}

    @contextmanager
    def at(self, path: str, dtype: str | None) -> Iterator[None]:
        """Build on behalf of another layer for a while."""
        before = self.path, self.dtype
        self.path, self.dtype = path, dtype
        try:
            yield
        finally:
            self.path, self.dtype = before

    @contextmanager
    def inside(self, graph: Graph) -> Iterator[None]:
        """Build into another graph for a while: the body of a loop."""
        before, self.graph = self.graph, graph
        try:
            yield
        finally:
            self.graph = before

    # State that lives from call to call

    def read_state(self, variable: Any, name: str) -> Value:
        """What a variable holds: what an earlier layer left there, or else an input, ``name``."""
        if id(variable) not in self.states:
            value = self.graph.add_input(name, tuple(variable.shape), str(variable.dtype))
            self.states[id(variable)] = (value, value)
        return self.states[id(variable)][1]

    def write_state(self, variable: Any, value: Value) -> None:
        """Let a variable that was read hold ``value`` from now on: an output of the graph."""
        begin, _ = self.states[id(variable)]
        self.states[id(variable)] = (begin, self.cast(value, begin.dtype))

    # Values

    def emit(self, operation: op.Operation, *inputs: Value) -> Value:
        """The only result of ``operation``."""
        (value,) = self.graph.emit(operation, inputs, self.path)
        return value

    def emit_all(self, operation: op.Operation, *inputs: Value) -> list[Value]:
        """All results of ``operation``."""
        return self.graph.emit(operation, inputs, self.path)

    def constant(self, data: npt.ArrayLike, dtype: str | None = None, name: str = "") -> Value:
        """A constant, in ``dtype`` where given."""
        array = np.asarray(data)
        if dtype is not None:
            array = array.astype(numpy_dtype(dtype), copy=False)
        return self.graph.constant(name or f"{self.path}/constant", array, dtype)

    def weight(self, variable: Any, dtype: str | None = None) -> Value:
        """A Keras variable as a constant, once however often it is used, in the compute dtype."""
        path, data = self.keras.variable(variable)
        target = dtype or (self.dtype if is_float(str(data.dtype)) else None) or str(data.dtype)
        key = (id(variable), target)
        if key not in self._weights:
            self._weights[key] = self.constant(data, target, name=path)
        return self._weights[key]

    def weights(self, *variables: Any) -> list[Value]:
        """Those of the variables that are not None."""
        return [self.weight(variable) for variable in variables if variable is not None]

    def value(self, thing: Any, dtype: str | None = None) -> Value:
        """A value as it is, a variable or a plain number or array as a constant; cast to dtype."""
        if isinstance(thing, Value):
            return thing if dtype is None else self.cast(thing, dtype)
        if hasattr(thing, "path") and hasattr(thing, "assign"):
            return self.weight(thing, dtype)
        return self.constant(thing, dtype)

    def cast(self, x: Value, dtype: str) -> Value:
        """``x`` in ``dtype``, without a node where it is that already."""
        if x.dtype == dtype:
            return x
        if x.data is not None:
            return self.constant(x.data.astype(numpy_dtype(dtype)), dtype, name=x.name)
        return self.emit(op.Cast(dtype), x)

    def scalar(self, number: float, like: Value) -> Value:
        """A number in the dtype of ``like``."""
        return self.constant(number, like.dtype)

    # Arithmetic

    def unary(self, function: op.UnaryFunction, x: Value) -> Value:
        """``function(x)``."""
        return self.emit(op.Unary(function), x)

    def binary(self, function: op.BinaryFunction, a: Value, b: Value | float) -> Value:
        """``function(a, b)`` with numpy's broadcasting; a plain number takes the dtype of ``a``."""
        other = b if isinstance(b, Value) else self.scalar(b, a)
        return self.emit(op.Binary(function), *self.aligned(a, other))

    def compare(self, function: op.CompareFunction, a: Value, b: Value | float) -> Value:
        """``function(a, b)`` as bool."""
        other = b if isinstance(b, Value) else self.scalar(b, a)
        return self.emit(op.Compare(function), *self.aligned(a, other))

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """``a`` where the condition holds, ``b`` elsewhere."""
        return self.emit(op.Select(), *self.aligned(condition, a, b))

    def aligned(self, *values: Value) -> list[Value]:
        """The values with leading axes of 1 added until all have one rank.

        Formats broadcast from the last axis, as numpy does; but once a value is kept
        channels-first, only operands of one rank still line up.
        """
        rank = max(value.rank for value in values)
        return [
            value
            if value.rank in (0, rank)
            else self.reshape(value, (1,) * (rank - value.rank) + value.shape)
            for value in values
        ]

    # Movement

    def reshape(self, x: Value, shape: Iterable[Dim]) -> Value:
        """``x`` in another shape; one size may be -1."""
        sizes = list(shape)
        if -1 in sizes:
            known = product(size for size in sizes if size != -1)
            sizes[sizes.index(-1)] = quotient(x.type.size, known) if known != 0 else 0
        target = tuple(sizes)
        if target == x.shape:
            return x
        if x.data is not None and all(isinstance(size, int) for size in target):
            return self.constant(x.data.reshape(target), x.dtype, name=x.name)
        return self.emit(op.Reshape(target), x)

    def transpose(self, x: Value, axes: Sequence[int]) -> Value:
        """``x`` with its axes in another order."""
        if tuple(axes) == tuple(range(x.rank)):
            return x
        if x.data is not None:
            return self.constant(x.data.transpose(axes), x.dtype, name=x.name)
        return self.emit(op.Transpose(tuple(axes)), x)

    def slice(self, x: Value, axis: int, begin: Dim, size: Dim) -> Value:
        """``size`` elements of one axis, from ``begin``."""
        if begin == 0 and size == x.shape[axis]:
            return x
        begins: list[Dim] = [0] * x.rank
        sizes = list(x.shape)
        begins[axis], sizes[axis] = begin, size
        return self.emit(op.Slice(tuple(begins), tuple(sizes), (1,) * x.rank), x)

    def broadcast(self, x: Value, shape: Shape) -> Value:
        """``x`` repeated to fill ``shape``."""
        return x if x.shape == shape else self.emit(op.Broadcast(tuple(shape)), x)

    def concat(self, values: Sequence[Value], axis: int) -> Value:
        """The values joined along ``axis``, which may be negative."""
        if len(values) == 1:
            return values[0]
        return self.emit(op.Concat(axis % values[0].rank), *values)

    def pad(self, x: Value, paddings: Sequence[tuple[int, int]], value: float = 0.0) -> Value:
        """Zeros, or ``value``, added around each axis."""
        pairs = tuple((int(before), int(after)) for before, after in paddings)
        if not any(map(any, pairs)):
            return x
        return self.emit(op.Pad(pairs, "constant", value), x)

    def reduce(
        self, function: Any, x: Value, axes: int | Sequence[int] | None, keepdims: bool
    ) -> Value:
        """``function`` over ``axes`` (None: all of them), which may be negative."""
        listed = range(x.rank) if axes is None else [axes] if isinstance(axes, int) else axes
        chosen = tuple(sorted({axis % x.rank for axis in listed}))
        if not chosen:
            return x
        return self.emit(op.Reduce(function, chosen, bool(keepdims)), x)

    # Calls back into Keras

    def activation(self, function: Any, x: Value) -> Value:
        """What a layer's ``activation=`` does to ``x``."""
        if function is None:
            return x
        result = self.keras.function(function, [x])
        assert isinstance(result, Value), "an activation has one result"
        return result

    def call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """Lower a call of an inner layer or operation."""
        return self.keras.call(layer, args, kwargs)
