"""``keras.ops`` that make arrays and move their elements, each from a few simpler movements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.compose import as_float, composes
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Dim, Expression, Value
from hornbeam.graph import operations as op
from hornbeam.graph.dims import product, quotient

__all__: list[str] = []


# Arrays of one number


@lowers("ops.ZerosLike", "ops.OnesLike", "ops.EmptyLike")
def filled_like(b: Builder, operation: Any, x: Value, **_: Any) -> Value:
    """Zeros, or ones; an empty array may hold anything, so it holds zeros."""
    number = 1 if type(operation).__name__ == "OnesLike" else 0
    dtype = getattr(operation, "dtype", None)
    return _filled(b, x, number, str(dtype or x.dtype))


@lowers("ops.FullLike")
def full_like(b: Builder, operation: Any, x: Value, fill_value: Any, **_: Any) -> Value:
    """A number, or an array that broadcasts, in the shape of ``x``."""
    return _filled(b, x, fill_value, str(operation.dtype or x.dtype))


def _filled(b: Builder, like: Value, number: Any, dtype: str) -> Value:
    value = b.value(number, dtype)
    wide = b.reshape(value, (1,) * (like.rank - value.rank) + value.shape)
    return b.broadcast(wide, like.shape)


@lowers("ops.Full")
def full(b: Builder, operation: Any, fill_value: Any) -> Value:
    """A number, or an array that broadcasts, in a shape."""
    shape = operation.shape
    target = (shape,) if isinstance(shape, (int, Expression)) else tuple(shape)
    value = b.value(fill_value, str(operation.dtype or keras.config.floatx()))
    return b.broadcast(b.reshape(value, (1,) * (len(target) - value.rank) + value.shape), target)


@lowers("ops.Array")
def array(b: Builder, operation: Any, x: Any) -> Value:
    """Another dtype, if one is given."""
    return b.value(x, None if operation.dtype is None else str(operation.dtype))


@lowers("ops.View")
def view(b: Builder, operation: Any, x: Value) -> Value:
    """Integers of one width read as signed or not, which a cast that wraps around does."""
    dtype = str(operation.dtype or x.dtype)
    same = dtype.removeprefix("u") == x.dtype.removeprefix("u") and "int" in dtype
    if dtype != x.dtype and not same:
        raise ValueError(f"view of {x.dtype} as {dtype}: the formats cannot read bits as another")
    return b.cast(x, dtype)


@lowers("ops.Ndim", "ops.Size")
def count(b: Builder, operation: Any, x: Value) -> Value:
    """How many axes, or elements, there are."""
    if type(operation).__name__ == "Ndim":
        return b.constant(x.rank, "int32")
    size = product(x.shape)
    return b.constant(size, "int32") if isinstance(size, int) else b.emit(
        op.DimensionOf(size, "int32"))  # fmt: skip


@composes("Linspace")
def _linspace(operation: Any, start: Any, stop: Any) -> Any:
    """Numbers in a row from tensor to tensor; with the step between them, if it is asked for."""
    y, step = _evenly(operation, start, stop)
    return (y, step) if operation.retstep else y


@composes("Logspace", "Geomspace")
def _powers(operation: Any, start: Any, stop: Any) -> Any:
    """Numbers whose logarithms are in a row."""
    if type(operation).__name__ == "Logspace":
        return ops.power(float(operation.base), _evenly(operation, start, stop)[0])
    start, stop = as_float(start), as_float(stop)
    sign = ops.sign(start)
    y = ops.exp(_evenly(operation, ops.log(ops.abs(start)), ops.log(ops.abs(stop)))[0])
    return y * ops.expand_dims(sign, operation.axis)


def _evenly(operation: Any, start: Any, stop: Any) -> tuple[Any, Any]:
    start, stop = as_float(start), as_float(stop)
    gaps = max(1, operation.num - 1 if operation.endpoint else operation.num)
    step = (stop - start) / gaps
    rank = max(len(start.shape), len(stop.shape)) + 1
    axis = operation.axis % rank
    shape = [-1 if i == axis else 1 for i in range(rank)]
    part = np.reshape(np.arange(operation.num) / gaps, shape).astype(str(step.dtype))
    begin, end = ops.expand_dims(start, axis), ops.expand_dims(stop, axis)
    y = begin * (1.0 - part) + end * part
    return ops.cast(y, operation.dtype) if operation.dtype is not None else y, step


# Movements


@lowers("ops.Rearrange")
def rearrange(b: Builder, _: Any, tensor: Value, pattern: str, **axes_lengths: int) -> Value:
    """Axes by name: taken apart, put in another order, put together (as einops writes it)."""
    before, after = (
        [re.findall(r"\w+", group) for group in re.findall(r"\([^)]*\)|\w+", side)]
        for side in pattern.split("->")
    )
    sizes: dict[str, Dim] = dict(axes_lengths)
    for names, dim in zip(before, tensor.shape, strict=True):
        unknown = [name for name in names if name not in sizes]
        if len(unknown) > 1:
            raise ValueError(f"rearrange '{pattern}': the sizes of {unknown} are not given")
        known = product(sizes[name] for name in names if name in sizes)
        sizes.update(dict.fromkeys(unknown, quotient(dim, known)))
    flat = [name for names in before for name in names]
    apart = b.reshape(tensor, [sizes[name] for name in flat])
    moved = b.transpose(apart, [flat.index(name) for names in after for name in names])
    return b.reshape(moved, [product(sizes[name] for name in names) for names in after])


@lowers("ops.Roll")
def roll(b: Builder, operation: Any, x: Value) -> Value:
    """The end of each axis put before its beginning."""
    shift, axis = operation.shift, operation.axis
    if axis is None:
        return b.reshape(_rolled(b, b.reshape(x, (-1,)), int(np.sum(shift)), 0), x.shape)
    axes = [axis] if isinstance(axis, int) else list(axis)
    shifts = np.broadcast_to(np.asarray(shift).reshape(-1), (len(axes),))
    for one, amount in zip(axes, shifts, strict=True):
        x = _rolled(b, x, int(amount), one % x.rank)
    return x


def _rolled(b: Builder, x: Value, shift: int, axis: int) -> Value:
    size = x.shape[axis]
    if isinstance(size, int):
        end = shift % max(1, size)
        pieces = [b.slice(x, axis, size - end, end), b.slice(x, axis, 0, size - end)]
        return b.concat(pieces, axis) if end else x
    # A free axis may be shorter than what it is rolled by.
    places = b.emit(op.Range(-shift, 1, size, "int32"))
    wrapped = b.binary("mod", places, b.emit(op.DimensionOf(size, "int32")))
    return b.emit(op.Gather(axis), x, wrapped)


@composes("Rot90")
def _rot90(operation: Any, array: Any) -> Any:
    """Quarter turns."""
    turns, (first, second) = operation.k % 4, operation.axes
    if turns == 2:
        return ops.flip(array, (first, second))
    if turns == 1:
        return ops.swapaxes(ops.flip(array, second), first, second)
    return ops.flip(ops.swapaxes(array, first, second), second) if turns else array


@composes("Fliplr", "Flipud")
def _flip(operation: Any, x: Any) -> Any:
    return ops.flip(x, 1 if type(operation).__name__ == "Fliplr" else 0)


@composes("Hsplit", "Vsplit", "Dsplit")
def _split(operation: Any, x: Any) -> Any:
    axis = {"H": min(1, len(x.shape) - 1), "V": 0, "D": 2}[type(operation).__name__[0]]
    return ops.split(x, _places(operation.indices_or_sections), axis=axis)


@composes("ArraySplit")
def _array_split(operation: Any, x: Any) -> Any:
    """Into sections that need not be equal: the first ones are longer by one."""
    sections = operation.indices_or_sections
    if not isinstance(sections, int):
        return ops.split(x, _places(sections), axis=operation.axis)
    size = x.shape[operation.axis]
    lengths = [size // sections + (i < size % sections) for i in range(sections)]
    return ops.split(x, np.cumsum(lengths)[:-1].tolist(), axis=operation.axis)


def _places(sections: int | Sequence[int]) -> Any:
    return sections if isinstance(sections, int) else [int(place) for place in sections]


@composes("Meshgrid")
def _meshgrid(operation: Any, *x: Any) -> Any:
    flat = [ops.reshape(one, (-1,)) for one in x]
    swap = operation.indexing == "xy" and len(flat) > 1
    order = [1, 0, *range(2, len(flat))] if swap else list(range(len(flat)))
    shape = [ops.shape(flat[i])[0] for i in order]
    grids = []
    for index, one in enumerate(flat):
        place = order.index(index)
        column = ops.reshape(one, [-1 if i == place else 1 for i in range(len(flat))])
        grids.append(ops.broadcast_to(column, shape))
    return grids


@composes("UnravelIndex")
def _unravel_index(operation: Any, indices: Any) -> Any:
    results, rest = [], indices
    for size in reversed(operation.shape):
        results.append(ops.mod(rest, size))
        rest = ops.floor_divide(rest, size)
    return tuple(results[::-1])


@composes("Select")
def _select(_: Any, condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """The choice of the first condition that holds."""
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = ops.where(condition, choice, result)
    return result
