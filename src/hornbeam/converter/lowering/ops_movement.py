"""``keras.ops`` that move elements: shapes, joins, slices, look-ups."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam.converter.lowering.arguments import axes_of
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.ops_scatter import from_front
from hornbeam.converter.lowering.registry import lowers
from hornbeam.converter.lowering.reshaping import repeat
from hornbeam.graph import Expression, Value
from hornbeam.graph import operations as op
from hornbeam.graph.types import is_float

__all__: list[str] = []


@lowers("ops.Reshape")
def reshape(b: Builder, operation: Any, x: Value) -> Value:
    """Another shape; one size may be -1."""
    new = operation.newshape
    return b.reshape(x, (new,) if isinstance(new, (int, Expression)) else new)


@lowers("ops.Ravel")
def ravel(b: Builder, _: Any, x: Value) -> Value:
    """One axis."""
    return b.reshape(x, (-1,))


@lowers("ops.Transpose")
def transpose(b: Builder, operation: Any, x: Value) -> Value:
    """Another order of axes, by default the reverse."""
    axes = operation.axes
    return b.transpose(x, [a % x.rank for a in axes] if axes is not None else range(x.rank)[::-1])


@lowers("ops.Swapaxes")
def swap_axes(b: Builder, operation: Any, x: Value) -> Value:
    """Two axes exchanged."""
    order = list(range(x.rank))
    i, j = operation.axis1 % x.rank, operation.axis2 % x.rank
    order[i], order[j] = order[j], order[i]
    return b.transpose(x, order)


@lowers("ops.Moveaxis")
def move_axis(b: Builder, operation: Any, x: Value) -> Value:
    """Some axes taken to other places."""
    source = [axis % x.rank for axis in operation.source]
    target = [axis % x.rank for axis in operation.destination]
    order = [axis for axis in range(x.rank) if axis not in source]
    for place, axis in sorted(zip(target, source, strict=True)):
        order.insert(place, axis)
    return b.transpose(x, order)


@lowers("ops.ExpandDims")
def expand_dims(b: Builder, operation: Any, x: Value) -> Value:
    """New axes of size 1."""
    axes = [operation.axis] if isinstance(operation.axis, int) else operation.axis
    rank = x.rank + len(axes)
    new = {axis % rank for axis in axes}
    old = iter(x.shape)
    return b.reshape(x, [1 if axis in new else next(old) for axis in range(rank)])


@lowers("ops.Squeeze")
def squeeze(b: Builder, operation: Any, x: Value) -> Value:
    """Without axes of size 1."""
    axes = (
        {i for i, dim in enumerate(x.shape) if dim == 1}
        if operation.axis is None
        else set(axes_of(operation.axis, x.rank))
    )
    return b.reshape(x, [dim for i, dim in enumerate(x.shape) if i not in axes])


@lowers("ops.BroadcastTo")
def broadcast_to(b: Builder, operation: Any, x: Value) -> Value:
    """Repeated to fill a shape."""
    return b.broadcast(x, tuple(operation.shape))


@lowers("ops.Concatenate")
def concatenate(b: Builder, operation: Any, xs: Sequence[Any]) -> Value:
    """Joined along an axis."""
    return b.concat(_alike(b, xs), operation.axis)


@lowers("ops.Stack")
def stack(b: Builder, operation: Any, xs: Sequence[Any]) -> Value:
    """Joined along a new axis."""
    values = _alike(b, xs)
    axis = operation.axis % (values[0].rank + 1)
    wide = [b.reshape(x, (*x.shape[:axis], 1, *x.shape[axis:])) for x in values]
    return b.concat(wide, axis)


@lowers("ops.Append", "ops.Hstack", "ops.Vstack", "ops.Dstack")
def join(b: Builder, operation: Any, *xs: Any) -> Value:
    """Numpy's other ways to join."""
    name = type(operation).__name__
    values = _alike(b, xs if name == "Append" else xs[0])
    if name == "Append":
        axis = operation.axis
        flat = [b.reshape(x, (-1,)) for x in values] if axis is None else values
        return b.concat(flat, axis or 0)
    if name == "Vstack" and values[0].rank == 1:
        values = [b.reshape(x, (1, *x.shape)) for x in values]
    if name == "Dstack":
        values = [b.reshape(x, (*(1,) * (2 - x.rank), *x.shape, 1)) if x.rank < 3 else x
                  for x in values]  # fmt: skip
    axis = {"Vstack": 0, "Dstack": 2}.get(name, min(1, values[0].rank - 1))
    return b.concat(values, axis)


@lowers("ops.Split")
def split(b: Builder, operation: Any, x: Value) -> list[Value]:
    """Cut into equal sections, or at given places."""
    axis = operation.axis % x.rank
    size, cuts = x.shape[axis], operation.indices_or_sections
    if not isinstance(size, int):
        raise ValueError(f"an axis of free size {size} cannot be split")
    places = range(size // cuts, size, size // cuts) if isinstance(cuts, int) else cuts
    ends = [0, *places, size]
    sizes = tuple(int(end - start) for start, end in itertools.pairwise(ends))
    return b.emit_all(op.Split(axis, sizes), x)


@lowers("ops.Unstack")
def unstack(b: Builder, operation: Any, x: Value) -> list[Value]:
    """The slices along an axis, each without it."""
    axis = operation.axis % x.rank
    size = operation.num or x.shape[axis]
    if not isinstance(size, int):
        raise ValueError(f"an axis of free size {size} cannot be unstacked")
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    pieces = b.emit_all(op.Split(axis, (1,) * size), x) if size > 1 else [x]
    return [b.reshape(piece, rest) for piece in pieces]


@lowers("ops.Tile")
def tile(b: Builder, operation: Any, x: Value) -> Value:
    """Repeated as a whole along each axis."""
    repeats = operation.repeats
    listed = [repeats] if isinstance(repeats, int) else list(repeats)
    x = b.reshape(x, (1,) * (len(listed) - x.rank) + x.shape)
    listed = [1] * (x.rank - len(listed)) + listed
    return x if set(listed) == {1} else b.emit(op.Tile(tuple(map(int, listed))), x)


@lowers("ops.Repeat")
def repeat_elements(b: Builder, operation: Any, x: Value) -> Value:
    """Each element repeated in place, all equally often or each by its own number."""
    times = operation.repeats
    if isinstance(times, Value):
        raise ValueError("repeat by numbers that are computed: its result has no known length")
    x, axis = (b.reshape(x, (-1,)), 0) if operation.axis is None else (x, operation.axis % x.rank)
    counts = np.ravel(np.asarray(times))
    if len(set(counts.tolist())) == 1:
        return repeat(b, x, axis, int(counts[0]))
    places = np.repeat(np.arange(len(counts)), counts)
    return b.emit(op.Gather(axis), x, b.constant(places, "int32"))


@lowers("ops.Flip")
def flip(b: Builder, operation: Any, x: Value) -> Value:
    """The order of elements reversed."""
    return b.emit(op.Reverse(axes_of(operation.axis, x.rank)), x)


@lowers("ops.Pad")
def pad(b: Builder, operation: Any, x: Value, constant_values: Any = None) -> Value:
    """Elements added around each axis."""
    widths = list(operation.pad_width)
    widths = widths * x.rank if len(widths) == 1 else widths
    paddings = tuple((int(before), int(after)) for before, after in widths)
    mode = operation.mode
    if mode in ("constant", "reflect", "symmetric", "edge", "empty"):
        value = float(constant_values or 0.0)
        return b.emit(op.Pad(paddings, "constant" if mode == "empty" else mode, value), x)
    for axis, amounts in enumerate(paddings):
        x = _padded(b, x, axis, amounts, mode)
    return x


def _padded(b: Builder, x: Value, axis: int, amounts: tuple[int, int], mode: str) -> Value:
    """One axis continued from its other end, or by what its elements come to."""
    before, after = amounts
    if mode == "wrap":
        size = x.shape[axis]
        if isinstance(size, int) and max(amounts) > size:
            places = np.arange(-before, size + after) % size
            return b.emit(op.Gather(axis), x, b.constant(places, "int32"))
        pieces = [b.slice(x, axis, size - before, before), x, b.slice(x, axis, 0, after)]
    elif mode in ("maximum", "minimum", "mean") and (mode != "mean" or is_float(x.dtype)):
        edge = b.reduce({"maximum": "max", "minimum": "min"}.get(mode, mode), x, axis, True)
        pieces = [b.broadcast(edge, tuple(count if i == axis else dim for i, dim in
                                          enumerate(x.shape))) for count in amounts]  # fmt: skip
        pieces.insert(1, x)
    else:
        raise ValueError(f"pad of {x.dtype} with mode='{mode}' has no lowering")
    kept = [piece for piece, count in zip(pieces, (before, 1, after), strict=True) if count]
    return b.concat(kept, axis)


@lowers("ops.Take")
def take(b: Builder, operation: Any, x: Any, indices: Any) -> Value:
    """Slices of an axis by index, which may be negative."""
    table = b.value(x)
    axis = operation.axis
    if axis is None:
        table, axis = b.reshape(table, (-1,)), 0
    return b.emit(op.Gather(axis % table.rank), table, from_front(b, indices, table.shape[axis]))


@lowers("ops.OneHot")
def one_hot(b: Builder, operation: Any, x: Value) -> Value:
    """1 at the position of each index."""
    dtype = str(operation.dtype or "float32")
    ids = x if x.dtype in ("int32", "int64") else b.cast(x, "int32")
    y = b.emit(op.OneHot(operation.num_classes, dtype), ids)
    axis = operation.axis % y.rank
    order = list(range(y.rank - 1))
    order.insert(axis, y.rank - 1)
    return b.transpose(y, order)


@lowers("ops.Arange")
def arange(b: Builder, operation: Any, start: Any, stop: Any = None, step: Any = None) -> Value:
    """Numbers in a row, up to a size that may be free."""
    if stop is None:
        start, stop = 0, start
    step = 1 if step is None else int(step)
    dtype = str(operation.dtype or "int32")
    length = (stop - start + (step - 1)) // step if step > 0 else (start - stop - step - 1) // -step
    if isinstance(start, Expression):
        return b.binary("add", b.emit(op.Range(0, step, length, dtype)),
                        b.emit(op.DimensionOf(start, dtype)))  # fmt: skip
    if isinstance(length, int):
        return b.constant(np.arange(start, stop, step), dtype)
    return b.emit(op.Range(int(start), step, length, dtype))


def _alike(b: Builder, xs: Sequence[Any]) -> list[Value]:
    """All tensors in the dtype that Keras promotes them to."""
    dtypes = [x.dtype if isinstance(x, Value) else str(np.asarray(x).dtype) for x in xs]
    dtype = b.keras.result_type(*dtypes)
    return [b.value(x, dtype) for x in xs]
