"""``keras.ops`` that describe many numbers by a few, also without those that are not a number."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.compose import along, as_float, composes, is_float, listed
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Graph, Value
from hornbeam.graph import operations as op

__all__: list[str] = []


@composes("Average")
def _average(operation: Any, x: Any, weights: Any = None) -> Any:
    axis = operation.axis
    if weights is None:
        return ops.mean(as_float(x), axis=axis)
    weights = ops.convert_to_tensor(weights)
    dtype = keras.backend.result_type(x.dtype, weights.dtype, float)
    x, weights = ops.cast(x, dtype), ops.cast(weights, dtype)
    if len(weights.shape) != len(x.shape):
        place = axis % len(x.shape)
        weights = ops.reshape(weights, [-1 if i == place else 1 for i in range(len(x.shape))])
    weights = ops.broadcast_to(weights, ops.shape(x))
    return ops.sum(x * weights, axis=axis) / ops.sum(weights, axis=axis)


@composes("CountNonzero")
def _count_nonzero(operation: Any, x: Any) -> Any:
    marks = ops.not_equal(x, 0) if x.dtype != "bool" else x
    return ops.sum(ops.cast(marks, "int32"), axis=operation.axis)


@composes("Ptp")
def _peak_to_peak(operation: Any, x: Any) -> Any:
    extremes = (f(x, axis=operation.axis, keepdims=operation.keepdims) for f in (ops.max, ops.min))
    return ops.subtract(*extremes)


@composes("Corrcoef")
def _corrcoef(_: Any, x: Any) -> Any:
    x = as_float(x)
    x = ops.expand_dims(x, 0) if len(x.shape) == 1 else x
    centred = x - ops.mean(x, axis=-1, keepdims=True)
    covariance = ops.matmul(centred, ops.transpose(centred))
    variance = ops.sum(ops.square(centred), axis=-1, keepdims=True)
    spread = ops.sqrt(variance)
    y = ops.clip(covariance / spread / ops.transpose(spread), -1.0, 1.0)
    return ops.squeeze(y) if y.shape[0] == 1 else y


@composes("Histogram")
def _histogram(operation: Any, x: Any) -> Any:
    bins, limits = int(operation.bins), operation.range
    x = ops.convert_to_tensor(x)
    floats = as_float(x)
    if limits is not None and tuple(limits) != (0, 0):
        low, high = (ops.cast(float(limit), floats.dtype) for limit in limits)
    else:
        low, high = ops.min(floats), ops.max(floats)
    flat = ops.equal(low, high)
    low, high = ops.where(flat, low - 0.5, low), ops.where(flat, high + 0.5, high)
    steps = ops.cast(np.linspace(0.0, 1.0, bins + 1), floats.dtype)
    edges = low * (1.0 - steps) + high * steps
    # Each bin begins at its left edge; the last one also holds its right edge.
    column = ops.expand_dims(floats, 1)
    within = ops.logical_and(column >= edges[(slice(None, -1),)], column <= edges[-1])
    reached = ops.sum(ops.cast(within, "int32"), axis=0)
    counts = reached - ops.concatenate([reached[(slice(1, None),)], ops.zeros((1,), "int32")])
    return ops.cast(counts, "float32" if not is_float(x) else x.dtype), edges


# Quantiles


@composes("Median", "Nanmedian")
def _median(operation: Any, x: Any) -> Any:
    return _quantile(operation, x, 0.5, "linear")


@composes("Quantile", "Nanquantile")
def _quantiles(operation: Any, x: Any, q: Any) -> Any:
    # (Keras's Quantile itself leaves its method out of the call.)
    is_nan = type(operation).__name__ == "Nanquantile"
    return _quantile(operation, x, q, operation.method if is_nan else "linear")


@composes("Percentile", "Nanpercentile")
def _percentiles(operation: Any, x: Any, q: Any) -> Any:
    return _quantile(operation, x, ops.convert_to_tensor(q) / 100.0, operation.method)


def _quantile(operation: Any, x: Any, q: Any, method: str) -> Any:
    """Between the two sorted elements around ``q * (n - 1)``, as ``method`` says."""
    ignore_nan = type(operation).__name__.startswith("Nan")
    x = as_float(x)
    rank = len(x.shape)
    axes = listed(operation.axis, rank)
    others = [i for i in range(rank) if i not in axes]
    moved = ops.transpose(x, [*others, *axes])
    shape = ops.shape(moved)[: len(others)]
    flat = ops.reshape(moved, (*shape, -1))
    missing = ops.isnan(flat)
    last = flat.shape[-1] - 1
    if ignore_nan:
        flat = ops.where(missing, math.inf, flat)
        counts = ops.sum(ops.cast(ops.logical_not(missing), "int32"), axis=-1, keepdims=True)
        last = ops.maximum(ops.cast(counts, x.dtype) - 1.0, 0.0)
    q = ops.cast(q, x.dtype)
    wanted = ops.reshape(q, (-1,))
    place = wanted * last
    y = _between(ops.sort(flat, axis=-1), place, last, method)
    empty = ops.all(missing, -1, True) if ignore_nan else ops.any(missing, -1, True)
    y = ops.where(empty, math.nan, y)
    y = ops.transpose(y, [len(others), *range(len(others))])
    kept = [1 if i in axes else shape[others.index(i)] for i in range(rank)]
    return ops.reshape(y, (*q.shape, *(kept if operation.keepdims else shape)))


def _between(ordered: Any, place: Any, last: Any, method: str) -> Any:
    low, high = ops.floor(place), ops.minimum(ops.ceil(place), last)

    def at(position: Any) -> Any:
        index = ops.cast(position, "int32")
        if len(index.shape) == 1:
            return ops.take(ordered, index, axis=-1)
        return ops.take_along_axis(ordered, index, axis=-1)

    if method == "lower":
        return at(low)
    if method == "higher":
        return at(high)
    if method == "nearest":
        return at(ops.round(place))
    if method == "midpoint":
        return (at(low) + at(high)) * 0.5
    weight = place - low
    # Not a sum with a difference: infinite elements would have none.
    below, above = at(low), at(high)
    return ops.where(ops.equal(weight, 0.0), below, below * (1.0 - weight) + above * weight)


# Without what is not a number


def _without(x: Any, substitute: float) -> Any:
    return ops.where(ops.isnan(x), ops.cast(substitute, x.dtype), x) if is_float(x) else x


@composes("Nansum", "Nanprod")
def _nan_total(operation: Any, x: Any) -> Any:
    is_sum = type(operation).__name__ == "Nansum"
    total = ops.sum if is_sum else ops.prod
    y = _without(x, 0.0 if is_sum else 1.0)
    return total(y, axis=operation.axis, keepdims=operation.keepdims)


@composes("Nanmax", "Nanmin")
def _nan_extreme(operation: Any, x: Any) -> Any:
    is_max = type(operation).__name__ == "Nanmax"
    options = {"axis": operation.axis, "keepdims": operation.keepdims}
    y = (ops.max if is_max else ops.min)(_without(x, -math.inf if is_max else math.inf), **options)
    if not is_float(x):
        return y
    return ops.where(ops.all(ops.isnan(x), **options), math.nan, y)


@composes("Nanmean")
def _nan_mean(operation: Any, x: Any) -> Any:
    return _nan_mean_of(as_float(x), operation.axis, operation.keepdims)


def _nan_mean_of(x: Any, axis: Any, keepdims: bool, of: Any = None) -> Any:
    """The mean of ``of`` (or ``x``) where ``x`` is a number."""
    there = ops.cast(ops.logical_not(ops.isnan(x)), x.dtype)
    total = ops.sum(_without(x if of is None else of, 0.0), axis=axis, keepdims=keepdims)
    return total / ops.sum(there, axis=axis, keepdims=keepdims)


@composes("Nanvar", "Nanstd")
def _nan_spread(operation: Any, x: Any) -> Any:
    x = as_float(x)
    centred = x - _nan_mean_of(x, operation.axis, True)
    y = _nan_mean_of(x, operation.axis, operation.keepdims, ops.square(centred))
    return ops.sqrt(y) if type(operation).__name__ == "Nanstd" else y


@composes("Nanargmax", "Nanargmin")
def _nan_arg(operation: Any, x: Any) -> Any:
    is_max = type(operation).__name__ == "Nanargmax"
    options = {"axis": operation.axis, "keepdims": operation.keepdims}
    find = ops.argmax if is_max else ops.argmin
    y = find(_without(x, -math.inf if is_max else math.inf), **options)
    if not is_float(x):
        return y
    return ops.where(ops.all(ops.isnan(x), **options), -1, y)


@composes("Nancumsum", "Nancumprod")
def _nan_running(operation: Any, x: Any) -> Any:
    is_sum = type(operation).__name__ == "Nancumsum"
    run = ops.cumsum if is_sum else ops.cumprod
    return run(_without(x, 0.0 if is_sum else 1.0), axis=operation.axis, dtype=operation.dtype)


@lowers("ops.Cumprod")
def running_product(b: Builder, operation: Any, x: Value) -> Value:
    """In as many steps as the length has binary digits: each multiplies by what is so far behind.

    Hillis and Steele, Data Parallel Algorithms, 1986. Along a free axis, one by one.
    """
    dtype = operation.dtype or ("int32" if x.dtype == "bool" else x.dtype)
    x, axis = b.cast(x, str(dtype)), operation.axis
    x, axis = (b.reshape(x, (-1,)), 0) if axis is None else (x, axis % x.rank)
    length, step = x.shape[axis], 1
    if not isinstance(length, int):
        return _one_by_one(b, x, axis)
    while step < length:
        behind = b.slice(x, axis, 0, length - step)
        ones = [(step, 0) if i == axis else (0, 0) for i in range(x.rank)]
        x = b.binary("multiply", x, b.pad(behind, ones, 1.0))
        step *= 2
    return x


def _one_by_one(b: Builder, x: Value, axis: int) -> Value:
    body = Graph(f"{b.path}/step")
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    product, element = (body.add_input(f"{b.path}/{n}", shape, x.dtype) for n in ("all", "one"))
    with b.inside(body):
        more = b.binary("multiply", product, element)
    body.outputs = {"output_0": more, "output_1": more}
    ones = b.broadcast(b.constant(np.ones((1,) * len(shape)), x.dtype), shape)
    return b.emit_all(op.Scan(body, 1, 1, x.shape[axis], axis), ones, x)[1]


@composes("Diff")
def _diff(operation: Any, a: Any) -> Any:
    axis = operation.axis % len(a.shape)
    for _ in range(operation.n):
        after, before = a[along(axis, 1, None)], a[along(axis, None, -1)]
        a = ops.not_equal(after, before) if a.dtype == "bool" else after - before
    return a


@composes("Trapezoid")
def _trapezoid(operation: Any, y: Any) -> Any:
    y = as_float(y)
    axis = operation.axis % len(y.shape)
    pairs = y[along(axis, 1, None)] + y[along(axis, None, -1)]
    width = operation.dx
    if operation.x is not None:
        x = as_float(operation.x)
        if len(x.shape) == 1:
            shape = [1] * len(y.shape)
            shape[axis] = -1
            width = ops.reshape(x[1:] - x[:-1], shape)
        else:
            width = x[along(axis, 1, None)] - x[along(axis, None, -1)]
    return ops.sum(pairs * width, axis=axis) * 0.5
