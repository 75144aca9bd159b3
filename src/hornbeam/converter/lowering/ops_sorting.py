"""``keras.ops`` that put elements in order, or look for them: TopK and comparisons."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.compose import composes
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op

__all__: list[str] = []


@lowers("ops.Sort")
def sort(b: Builder, operation: Any, x: Value) -> Value:
    """Ascending."""
    x, axis = _along(b, x, operation.axis)
    return _from_last(b, _ascending(b, _to_last(b, x, axis))[0], axis)


@lowers("ops.Argsort", "ops.Argpartition")
def argsort(b: Builder, operation: Any, x: Value) -> Value:
    """Where the elements in ascending order are, equal ones in the order in which they stand.

    A partition may leave its two sides in any order; this one sorts them, too.
    """
    x, axis = _along(b, x, operation.axis)
    return _from_last(b, _ascending(b, _to_last(b, x, axis))[1], axis)


def _along(b: Builder, x: Value, axis: int | None) -> tuple[Value, int]:
    if axis is None or x.rank == 0:
        return b.reshape(x, (-1,)), 0
    return x, axis % x.rank


def _to_last(b: Builder, x: Value, axis: int) -> Value:
    return b.transpose(x, [*(i for i in range(x.rank) if i != axis), axis])


def _from_last(b: Builder, x: Value, axis: int) -> Value:
    order = list(range(x.rank - 1))
    order.insert(axis, x.rank - 1)
    return b.transpose(x, order)


def _ascending(b: Builder, x: Value) -> tuple[Value, Value]:
    """Sorted along the last axis, and the indices.

    TopK puts the largest first, and of equal elements the first: read backwards, from a sequence
    that stands backwards, that is an ascending order that keeps equal elements as they stand.
    """
    last, dtype = x.rank - 1, x.dtype
    size = x.shape[last]
    x = b.cast(x, "int32") if dtype == "bool" else x
    backwards = b.emit(op.Reverse((last,)), x)
    values, indices = b.emit_all(op.TopK(size), backwards)
    values, indices = (b.emit(op.Reverse((last,)), v) for v in (values, indices))
    if isinstance(size, int):
        end = b.constant(size - 1, "int32")
    else:
        end = b.emit(op.DimensionOf(size - 1, "int32"))
    return b.cast(values, dtype), b.binary("subtract", end, indices)


@composes("SearchSorted")
def _searchsorted(operation: Any, sorted_sequence: Any, values: Any) -> Any:
    """How many elements of the sequence come before."""
    bins, values = ops.convert_to_tensor(sorted_sequence), ops.convert_to_tensor(values)
    compare = ops.less if operation.side == "left" else ops.less_equal
    before = compare(bins, ops.expand_dims(values, -1))
    return ops.sum(ops.cast(before, "int32"), axis=-1)


@composes("Digitize")
def _digitize(_: Any, x: Any, bins: Any) -> Any:
    bins, column = ops.convert_to_tensor(bins), ops.expand_dims(x, -1)
    rising = ops.sum(ops.cast(ops.less_equal(bins, column), "int32"), axis=-1)
    falling = ops.sum(ops.cast(ops.greater(bins, column), "int32"), axis=-1)
    return ops.where(ops.less_equal(bins[0], bins[-1]), rising, falling)


@composes("IsIn")
def _isin(operation: Any, x1: Any, x2: Any) -> Any:
    x1, x2 = ops.convert_to_tensor(x1), ops.convert_to_tensor(x2)
    found = ops.any(ops.equal(ops.expand_dims(x1, -1), ops.ravel(x2)), axis=-1)
    return ops.logical_not(found) if operation.invert else found


@composes("InTopK")
def _in_top_k(operation: Any, targets: Any, predictions: Any) -> Any:
    targets, predictions = ops.convert_to_tensor(targets), ops.convert_to_tensor(predictions)
    place = ops.expand_dims(ops.cast(targets, "int32"), -1)
    own = ops.take_along_axis(predictions, place, axis=-1)
    own = ops.where(ops.isnan(own), -np.inf, own)
    ahead = ops.sum(ops.cast(ops.greater(predictions, own), "int32"), axis=-1)
    return ops.less(ahead, operation.k)


@composes("Unique")
def _unique(operation: Any, x: Any) -> Any:
    """The first ``size`` different elements in ascending order, then the fill value."""
    size = operation.size
    if size is None:
        raise ValueError("unique without size= has a result whose length depends on the data")
    if operation.axis is not None and len(x.shape) > 1:
        raise ValueError("unique along one axis of several has no lowering")
    flat = ops.reshape(x, (-1,))
    order = ops.argsort(flat)
    ordered = ops.take(flat, order)
    begins = ops.concatenate(
        [
            ops.ones((1,), "bool"),
            ops.not_equal(ordered[(slice(1, None),)], ordered[(slice(None, -1),)]),
        ]
    )
    number = ops.cumsum(ops.cast(begins, "int32")) - 1
    wanted = ops.arange(size, dtype="int32")
    hits = ops.cast(ops.equal(number, ops.expand_dims(wanted, 1)), "int32")
    counts, first = ops.sum(hits, axis=1), ops.argmax(hits, axis=1)
    fill = ordered[0] if operation.fill_value is None else operation.fill_value
    there = ops.greater(counts, 0)
    results = [ops.where(there, ops.take(ordered, first), ops.cast(fill, x.dtype))]
    if operation.return_index:
        begin = ops.take(order, first)
        results.append(ops.where(there, begin, ops.take(order, 0)))
    if operation.return_inverse:
        back = ops.argsort(order)
        results.append(ops.reshape(ops.take(number, back), x.shape))
    if operation.return_counts:
        results.append(counts)
    return results[0] if len(results) == 1 else tuple(results)
