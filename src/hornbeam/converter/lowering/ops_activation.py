"""Activations of ``keras.ops`` that are a formula over others."""

from __future__ import annotations

from typing import Any

from keras import ops

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.compose import composes
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op

__all__: list[str] = []


@lowers("ops.LogSigmoid", "ops.TanhShrink", "ops.HardTanh")
def activations(b: Builder, operation: Any, x: Value) -> Value:
    """Each one operation of the graph and a little arithmetic."""
    name = type(operation).__name__
    if name == "LogSigmoid":
        return b.unary("negative", b.unary("softplus", b.unary("negative", x)))
    if name == "TanhShrink":
        return b.binary("subtract", x, b.unary("tanh", x))
    return b.emit(op.Clip(-1.0, 1.0), x)


@lowers("ops.Celu")
def celu(b: Builder, operation: Any, x: Value) -> Value:
    """``alpha * elu(x / alpha)``: above zero, alpha goes and comes. Barron, 2017."""
    alpha = float(operation.alpha)
    y = b.emit(op.Elu(), b.binary("multiply", x, 1.0 / alpha) if alpha != 1.0 else x)
    return b.binary("multiply", y, alpha) if alpha != 1.0 else y


@composes("Squareplus")
def _squareplus(operation: Any, x: Any) -> Any:
    """``(x + sqrt(x² + b)) / 2``, written without the difference that cancels below zero."""
    size = float(operation.b)
    root = ops.sqrt(ops.square(x) + size)
    tail = 0.5 * size / (root + ops.abs(x)) if size else ops.zeros_like(x)
    return ops.where(x < 0.0, tail, 0.5 * (x + root))


@composes("SparseSigmoid")
def _sparse_sigmoid(_: Any, x: Any) -> Any:
    return 0.5 * ops.clip(x + 1.0, 0.0, 2.0)


@composes("SparsePlus")
def _sparse_plus(_: Any, x: Any) -> Any:
    curve = ops.square(ops.clip(x, -1.0, 1.0) + 1.0) * 0.25
    return curve + ops.relu(x - 1.0)


@composes("SoftShrink")
def _soft_shrink(operation: Any, x: Any) -> Any:
    limit = float(operation.threshold)
    return x - ops.clip(x, -limit, limit)


@composes("HardShrink")
def _hard_shrink(operation: Any, x: Any) -> Any:
    return ops.where(ops.abs(x) > operation.threshold, x, 0.0)


@composes("Threshold")
def _threshold(operation: Any, x: Any) -> Any:
    return ops.where(x > operation.threshold, x, operation.default_value)


@composes("Glu")
def _glu(operation: Any, x: Any) -> Any:
    value, gate = ops.split(x, 2, axis=operation.axis)
    return value * ops.sigmoid(gate)


@composes("Sparsemax")
def _sparsemax(operation: Any, x: Any) -> Any:
    """The nearest point of the simplex. Martins and Astudillo, 2016."""
    axis = operation.axis % len(x.shape)
    ordered = ops.flip(ops.sort(x, axis=axis), axis)
    sums = ops.cumsum(ordered, axis=axis)
    shape = [-1 if i == axis else 1 for i in range(len(x.shape))]
    place = ops.reshape(ops.arange(1, ops.shape(x)[axis] + 1, dtype="int32"), shape)
    support = ordered - (sums - 1.0) / ops.cast(place, x.dtype) > 0.0
    count = ops.sum(ops.cast(support, x.dtype), axis=axis, keepdims=True)
    total = ops.sum(ops.where(support, sums, 0.0), axis=axis, keepdims=True)
    return ops.relu(x - (total - 1.0) / count)
