"""``keras.ops`` that fold an axis: sums, means, extremes, norms, running sums."""

from __future__ import annotations

from typing import Any

from hornbeam.converter.lowering.arguments import axes_of, float_result
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op

__all__: list[str] = []

_FOLDS = {"Max": "max", "Amax": "max", "Min": "min", "Amin": "min", "Any": "any", "All": "all"}


def _register(name: str, function: str) -> None:
    @lowers(f"ops.{name}")
    def lower(b: Builder, operation: Any, x: Value) -> Value:
        if function in ("any", "all"):
            x = b.cast(x, "bool")
        return b.reduce(function, x, operation.axis, operation.keepdims)


for _name, _function in _FOLDS.items():
    _register(_name, _function)


@lowers("ops.Sum", "ops.Prod")
def total(b: Builder, operation: Any, x: Value) -> Value:
    """Sum or product; booleans and small integers are counted in int32."""
    small = x.dtype in ("bool", "int8", "int16", "uint8", "uint16")
    wide = b.cast(x, "int32") if small else x
    function = type(operation).__name__.lower()
    return b.reduce(function, wide, operation.axis, operation.keepdims)


@lowers("ops.Mean")
def mean(b: Builder, operation: Any, x: Value) -> Value:
    """The mean, as a float."""
    return b.reduce("mean", b.cast(x, float_result(x.dtype)), operation.axis, operation.keepdims)


@lowers("ops.Var", "ops.Std")
def variance(b: Builder, operation: Any, x: Value) -> Value:
    """The variance, or its square root, of the whole population."""
    x = b.cast(x, float_result(x.dtype))
    centred = b.binary("subtract", x, b.reduce("mean", x, operation.axis, keepdims=True))
    y = b.reduce("mean", b.unary("square", centred), operation.axis, operation.keepdims)
    return b.unary("sqrt", y) if type(operation).__name__ == "Std" else y


@lowers("ops.Moments")
def moments(b: Builder, operation: Any, x: Value) -> tuple[Value, Value]:
    """Mean and variance."""
    axes = [operation.axes] if isinstance(operation.axes, int) else operation.axes
    average = b.reduce("mean", x, axes, keepdims=True)
    square = b.unary("square", b.binary("subtract", x, average))
    spread = b.reduce("mean", square, axes, operation.keepdims)
    return average if operation.keepdims else b.reduce("mean", x, axes, keepdims=False), spread


@lowers("ops.Logsumexp")
def log_sum_exp(b: Builder, operation: Any, x: Value) -> Value:
    """``log(sum(exp(x)))`` without overflow."""
    axes = axes_of(operation.axis, x.rank)
    top = b.reduce("max", x, axes, keepdims=True)
    total_ = b.reduce("sum", b.unary("exp", b.binary("subtract", x, top)), axes, keepdims=True)
    y = b.binary("add", b.unary("log", total_), top)
    if operation.keepdims:
        return y
    return b.reshape(y, [dim for i, dim in enumerate(x.shape) if i not in axes])


@lowers("ops.Argmax", "ops.Argmin")
def arg_extreme(b: Builder, operation: Any, x: Value) -> Value:
    """The index of the first largest or smallest element."""
    function: Any = type(operation).__name__[3:].lower()
    if operation.axis is None:
        flat = b.reshape(x, (-1,))
        y = b.emit(op.ArgReduce(function, 0, keepdims=False), flat)
        return b.reshape(y, (1,) * x.rank) if operation.keepdims else y
    return b.emit(op.ArgReduce(function, operation.axis % x.rank, bool(operation.keepdims)), x)


@lowers("ops.Cumsum")
def cumulative_sum(b: Builder, operation: Any, x: Value) -> Value:
    """The running sum."""
    if operation.dtype is not None:
        x = b.cast(x, str(operation.dtype))
    elif x.dtype == "bool":
        x = b.cast(x, "int32")
    if operation.axis is None:
        x = b.reshape(x, (-1,))
    return b.emit(op.Cumulate((operation.axis or 0) % x.rank), x)


@lowers("ops.TopK")
def top_k(b: Builder, operation: Any, x: Value) -> list[Value]:
    """The largest elements of the last axis and where they are."""
    return b.emit_all(op.TopK(int(operation.k)), x)
