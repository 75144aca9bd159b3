"""``keras.ops`` that read and write at places that are known when the model runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Dim, Expression, Value
from hornbeam.graph import operations as op
from hornbeam.graph.dims import broadcast, product
from hornbeam.graph.types import is_float, numpy_dtype

__all__ = ["from_front", "size_of", "take_places"]

_REDUCTIONS: dict[str | None, Any] = {
    None: "update",
    "add": "add",
    "max": "max",
    "min": "min",
    "mul": "multiply",
}


def size_of(b: Builder, dim: Dim, dtype: str = "int32") -> Value:
    """A size as a scalar."""
    if isinstance(dim, int):
        return b.constant(dim, dtype)
    return b.emit(op.DimensionOf(dim, dtype))


def from_front(b: Builder, indices: Any, size: Dim) -> Value:
    """Indices as int32 or int64 counted from the front, as numpy reads negative ones."""
    if not isinstance(indices, Value):
        array = np.asarray(indices)
        if not (array < 0).any():
            return b.constant(array, "int32")
        if isinstance(size, int):
            return b.constant(np.where(array < 0, array + size, array), "int32")
        indices = b.constant(array, "int32")
    ids = indices if indices.dtype in ("int32", "int64") else b.cast(indices, "int32")
    if indices.dtype.startswith("uint") or indices.dtype == "bool":
        return ids
    shifted = b.binary("add", ids, size_of(b, size, ids.dtype))
    return b.select(b.compare("less", ids, 0), shifted, ids)


def take_places(b: Builder, x: Value, places: Sequence[Value]) -> Value:
    """``x[places[0], places[1], ...]`` along its first axes; places have one shape and dtype."""
    count = len(places)
    total: Value | None = None
    for axis, place in enumerate(places):
        stride = product(x.shape[axis + 1 : count])
        term = b.cast(place, "int32")
        if stride != 1:
            term = b.binary("multiply", term, size_of(b, stride))
        total = term if total is None else b.binary("add", total, term)
    assert total is not None
    flat = b.reshape(x, (product(x.shape[:count]), *x.shape[count:]))
    return b.emit(op.Gather(0), flat, total)


@lowers("ops.TakeAlongAxis")
def take_along_axis(b: Builder, operation: Any, x: Any, indices: Any) -> Value:
    """For each line along an axis, elements of it by their indices."""
    x = b.value(x)
    if operation.axis is None:
        flat = b.reshape(x, (-1,))
        places = from_front(b, indices, flat.shape[0])
        return b.emit(op.Gather(0), flat, b.reshape(places, (-1,)))
    axis = operation.axis % x.rank
    places = from_front(b, indices, x.shape[axis])
    shape = list(
        broadcast(
            tuple(1 if i == axis else dim for i, dim in enumerate(x.shape)),
            tuple(1 if i == axis else dim for i, dim in enumerate(places.shape)),
        )
    )
    shape[axis] = places.shape[axis]
    coordinates = []
    for i, dim in enumerate(x.shape):
        if i == axis:
            coordinates.append(b.broadcast(places, tuple(shape)))
        elif dim == 1:
            coordinates.append(b.constant(np.zeros((1,) * x.rank), "int32"))
        else:
            line = [dim if j == i else 1 for j in range(x.rank)]
            coordinates.append(b.reshape(b.emit(op.Range(0, 1, dim, "int32")), line))
    return take_places(b, x, coordinates)


# Writing


@lowers("ops.Scatter")
def scatter(b: Builder, operation: Any, indices: Any, values: Any) -> Value:
    """Values added up at places of an array of zeros."""
    new = b.value(values)
    zeros = b.broadcast(
        b.constant(np.zeros((1,) * len(operation.shape)), new.dtype), tuple(operation.shape)
    )
    return _scattered(b, "add", zeros, b.value(indices), new)


@lowers("ops.ScatterUpdate")
def scatter_update(b: Builder, operation: Any, inputs: Any, indices: Any, updates: Any) -> Value:
    """Values put, or combined with what is there, at places of an array."""
    x = b.value(inputs)
    places = b.value(indices)
    function = _REDUCTIONS[getattr(operation, "reduction", None)]
    shape = (*places.shape[:-1], *x.shape[_depth(places) :])
    new = b.value(updates, x.dtype)
    new = b.broadcast(b.reshape(new, (1,) * (len(shape) - new.rank) + new.shape), shape)
    return _scattered(b, function, x, places, new)


def _depth(places: Value) -> int:
    depth = places.shape[-1]
    if not isinstance(depth, int):
        raise ValueError("indices of a free number of coordinates")
    return depth


def _scattered(b: Builder, function: Any, x: Value, places: Value, new: Value) -> Value:
    depth = _depth(places)
    if places.is_constant:
        sizes = x.shape[:depth]
        array = places.array.reshape(-1, depth).astype(np.int64)
        if (array < 0).any() and all(isinstance(size, int) for size in sizes):
            array = np.where(array < 0, array + np.asarray(sizes), array)
        rows = b.constant(array, "int32")
    else:
        flat = b.reshape(places, (product(places.shape[:-1]), depth))
        columns = [from_front(b, b.slice(flat, 1, i, 1), x.shape[i]) for i in range(depth)]
        rows = b.concat([b.cast(column, "int32") for column in columns], 1)
    new = b.reshape(new, (rows.shape[0], *x.shape[depth:]))
    if x.dtype == "bool":
        kept = b.emit(op.Scatter(function), b.cast(x, "int32"), rows, b.cast(new, "int32"))
        return b.cast(kept, "bool")
    return b.emit(op.Scatter(function), x, rows, new)


@lowers("ops.SegmentSum", "ops.SegmentMax", "ops.SegmentMin", "ops.SegmentProd")
def segment(b: Builder, operation: Any, data: Any, segment_ids: Any) -> Value:
    """Rows of one number put together; rows of a number that is no segment fall away."""
    x, count = b.value(data), operation.num_segments
    if count is None:
        raise ValueError(
            f"{type(operation).__name__} without num_segments: the length of its result depends on "
            "the data"
        )
    name = type(operation).__name__.removeprefix("Segment").lower()
    function: Any = {"sum": "add", "prod": "multiply"}.get(name, name)
    neutral = _neutral(function, x.dtype)
    shape = (count + 1, *x.shape[1:])
    start = b.broadcast(b.constant(np.full((1,) * len(shape), neutral), x.dtype), shape)
    ids = b.cast(b.value(segment_ids), "int32")
    known = b.binary(
        "logical_and", b.compare("greater_equal", ids, 0), b.compare("less", ids, count)
    )
    ids = b.select(known, ids, b.constant(count, "int32"))
    y = b.emit(op.Scatter(function), start, b.reshape(ids, (*ids.shape, 1)), x)
    return b.slice(y, 0, 0, count)


def _neutral(function: str, dtype: str) -> Any:
    if function in ("add", "multiply"):
        return int(function == "multiply")
    lowest = function == "max"
    if is_float(dtype):
        return -np.inf if lowest else np.inf
    limits = np.iinfo(numpy_dtype(dtype))
    return limits.min if lowest else limits.max


# Blocks


@lowers("ops.Slice")
def slice_operation(b: Builder, operation: Any, x: Value, start_indices: Any) -> Value:
    """A block of a given shape from given starts; a start that is computed is kept inside."""
    starts = _starts(b, x, start_indices)
    sizes = [
        dim - _plain(begin) if size == -1 else size
        for dim, begin, size in zip(x.shape, starts, operation.shape, strict=True)
    ]
    begins = [0 if isinstance(begin, Value) else begin for begin in starts]
    known = [
        dim if isinstance(begin, Value) else size
        for dim, begin, size in zip(x.shape, starts, sizes, strict=True)
    ]
    y = x
    if tuple(known) != x.shape or any(begins):
        y = b.emit(op.Slice(tuple(begins), tuple(known), (1,) * x.rank), x)
    for axis, (begin, size) in enumerate(zip(starts, sizes, strict=True)):
        if isinstance(begin, Value) and size != x.shape[axis]:
            first = _kept_inside(b, begin, x.shape[axis] - size)
            steps = b.emit(op.Range(0, 1, size, "int32"))
            y = b.emit(op.Gather(axis), y, b.binary("add", steps, first))
    return y


def _plain(begin: Any) -> Dim:
    if isinstance(begin, Value):
        raise ValueError("slice of size -1 from a start that is computed")
    return begin  # type: ignore[no-any-return]


def _starts(b: Builder, x: Value, given: Any) -> list[Any]:
    """Each start as a size, or as a scalar where it is computed."""
    if isinstance(given, Value):
        if given.is_constant:
            return [int(start) for start in given.array.reshape(-1)]
        return [b.reshape(b.cast(b.slice(given, 0, i, 1), "int32"), ()) for i in range(x.rank)]
    starts: list[Any] = []
    for start in given:
        if isinstance(start, Value):
            starts.append(
                int(start.array) if start.is_constant else b.reshape(b.cast(start, "int32"), ())
            )
        else:
            starts.append(start if isinstance(start, Expression) else int(start))
    return starts


def _kept_inside(b: Builder, begin: Value, last: Dim) -> Value:
    low = b.binary("maximum", begin, 0)
    return b.binary("minimum", low, size_of(b, last))


@lowers("ops.SliceUpdate")
def slice_update(b: Builder, _: Any, inputs: Any, start_indices: Any, updates: Any) -> Value:
    """An array with a block of it replaced."""
    x = b.value(inputs)
    new = b.value(updates, x.dtype)
    return _replaced(b, x, new, _starts(b, x, start_indices), 0)


def _replaced(b: Builder, x: Value, new: Value, starts: list[Any], axis: int) -> Value:
    """Axis by axis: what is before, the block, what is behind."""
    if axis == x.rank:
        return new
    dim, size, begin = x.shape[axis], new.shape[axis], starts[axis]
    if dim == size:
        return _replaced(b, x, new, starts, axis + 1)
    if isinstance(begin, Value):
        return _replaced_somewhere(b, x, new, starts, axis)
    if isinstance(begin, int) and isinstance(dim, int) and isinstance(size, int):
        begin = max(0, min(begin, dim - size))
    middle = _replaced(b, b.slice(x, axis, begin, size), new, starts, axis + 1)
    pieces = [middle]
    if begin != 0:
        pieces.insert(0, b.slice(x, axis, 0, begin))
    if begin + size != dim:
        pieces.append(b.slice(x, axis, begin + size, dim - begin - size))
    return b.concat(pieces, axis)


def _replaced_somewhere(b: Builder, x: Value, new: Value, starts: list[Any], axis: int) -> Value:
    """Where an axis begins at a computed place: each element asks whether it is in the block."""
    dim, size = x.shape[axis], new.shape[axis]
    first = _kept_inside(b, starts[axis], dim - size)
    there = b.binary("subtract", b.emit(op.Range(0, 1, dim, "int32")), first)
    inside = b.binary(
        "logical_and",
        b.compare("greater_equal", there, 0),
        b.compare("less", there, size_of(b, size)),
    )
    source = b.binary("minimum", b.binary("maximum", there, 0), size_of(b, size - 1))
    spread = b.emit(op.Gather(axis), new, source)
    inside = b.reshape(inside, [dim if i == axis else 1 for i in range(x.rank)])
    return b.select(inside, _replaced(b, x, spread, starts, axis + 1), x)
