"""``keras.ops`` of matrices and vectors without decompositions: triangles, diagonals, products."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.compose import as_float, composes, listed
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph.dims import known

__all__: list[str] = []


# Triangles and diagonals


@composes("Tril", "Triu")
def _triangle(operation: Any, x: Any) -> Any:
    """Zeros above, or below, a diagonal."""
    rows, columns = (ops.arange(size, dtype="int32") for size in ops.shape(x)[-2:])
    distance = columns - ops.expand_dims(rows, -1)
    lower = type(operation).__name__ == "Tril"
    keep = distance <= operation.k if lower else distance >= operation.k
    return ops.where(keep, x, ops.zeros((), x.dtype))


def _known(x: Any, axes: tuple[int, ...]) -> list[int]:
    return [int(x.shape[axis]) for axis in axes]


@composes("Diagonal")
def _diagonal(operation: Any, x: Any) -> Any:
    return _diagonal_of(x, operation.offset, operation.axis1, operation.axis2)


def _diagonal_of(x: Any, offset: int, axis1: int, axis2: int) -> Any:
    """Every (columns + 1)-th element of the flattened matrices."""
    x = ops.moveaxis(x, (axis1, axis2), (-2, -1))
    rows, columns = _known(x, (-2, -1))
    begin = offset if offset >= 0 else -offset * columns
    length = min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns)
    flat = ops.reshape(x, (*ops.shape(x)[:-2], rows * columns))
    places = begin + np.arange(max(0, length)) * (columns + 1)
    return ops.take(flat, places.astype("int32"), axis=-1)


@composes("Trace")
def _trace(operation: Any, x: Any) -> Any:
    offset, axes = operation.offset, (operation.axis1, operation.axis2)
    return ops.sum(_diagonal_of(x, offset, *axes), axis=-1)


@composes("Diag")
def _diag(operation: Any, x: Any) -> Any:
    if len(x.shape) == 2:
        return _diagonal_of(x, operation.k, 0, 1)
    return _matrix_of(x, operation.k)


@composes("Diagflat")
def _diagflat(operation: Any, x: Any) -> Any:
    return _matrix_of(ops.reshape(x, (-1,)), operation.k)


def _matrix_of(x: Any, k: int) -> Any:
    """A square matrix of zeros with ``x`` on its ``k``-th diagonal."""
    padded = ops.pad(x, [(max(0, -k), max(0, k))])
    size = ops.shape(padded)[0]
    rows = ops.expand_dims(ops.arange(size, dtype="int32"), -1)
    distance = ops.arange(size, dtype="int32") - rows
    return ops.where(ops.equal(distance, k), ops.expand_dims(padded, -1), ops.zeros((), x.dtype))


@lowers("ops.Vander")
def vander(b: Builder, operation: Any, x: Value) -> Value:
    """The powers of each number in a row, falling unless told otherwise."""
    count = operation.N
    if count is None:
        count = known(x.shape[0], "the number of powers")
    column = b.reshape(x, (x.shape[0], 1))
    powers = [b.broadcast(b.constant([[1]], x.dtype), column.shape)]
    for _ in range(count - 1):
        powers.append(b.binary("multiply", powers[-1], column))
    return b.concat(powers if operation.increasing else powers[::-1], 1)


# Products


def _alike(x1: Any, x2: Any) -> tuple[Any, Any]:
    x1, x2 = ops.convert_to_tensor(x1), ops.convert_to_tensor(x2)
    dtype = keras.backend.result_type(x1.dtype, x2.dtype)
    return ops.cast(x1, dtype), ops.cast(x2, dtype)


@composes("Outer")
def _outer(_: Any, x1: Any, x2: Any) -> Any:
    x1, x2 = (ops.reshape(x, (-1,)) for x in _alike(x1, x2))
    return ops.expand_dims(x1, 1) * x2


@composes("Kron")
def _kron(_: Any, x1: Any, x2: Any) -> Any:
    x1, x2 = _alike(x1, x2)
    rank = max(len(x1.shape), len(x2.shape))
    x1, x2 = (ops.reshape(x, (*(1,) * (rank - len(x.shape)), *ops.shape(x))) for x in (x1, x2))
    shape1, shape2 = ops.shape(x1), ops.shape(x2)
    wide1 = ops.reshape(x1, [size for dim in shape1 for size in (dim, 1)])
    wide2 = ops.reshape(x2, [size for dim in shape2 for size in (1, dim)])
    return ops.reshape(wide1 * wide2, [a * b for a, b in zip(shape1, shape2, strict=True)])


@composes("Cross")
def _cross(operation: Any, x1: Any, x2: Any) -> Any:
    """The vector product; vectors of two numbers lie in the plane."""
    x1, x2 = _alike(x1, x2)
    axis = getattr(operation, "axis", None)
    places = (operation.axisa, operation.axisb, operation.axisc) if axis is None else (axis,) * 3
    x1, x2 = ops.moveaxis(x1, places[0], -1), ops.moveaxis(x2, places[1], -1)
    flat = x1.shape[-1] == 2 and x2.shape[-1] == 2
    (a, b), (d, e) = ((x[..., 0], x[..., 1]) for x in (x1, x2))
    last = a * e - b * d
    if flat:
        return last
    c = x1[..., 2] if x1.shape[-1] == 3 else ops.zeros_like(a)
    f = x2[..., 2] if x2.shape[-1] == 3 else ops.zeros_like(d)
    return ops.moveaxis(ops.stack([b * f - c * e, c * d - a * f, last], axis=-1), -1, places[2])


@composes("Vdot")
def _vdot(_: Any, x1: Any, x2: Any) -> Any:
    return ops.matmul(*(ops.reshape(x, (-1,)) for x in _alike(x1, x2)))


@composes("Inner")
def _inner(_: Any, x1: Any, x2: Any) -> Any:
    x1, x2 = _alike(x1, x2)
    if not x1.shape or not x2.shape:
        return x1 * x2
    return ops.tensordot(x1, x2, axes=[[-1], [-1]])


@composes("Tensordot")
def _tensordot(operation: Any, x1: Any, x2: Any) -> Any:
    """One matrix product, the axes that are summed brought together."""
    x1, x2 = _alike(x1, x2)
    rank1, rank2 = len(x1.shape), len(x2.shape)
    axes = operation.axes
    if isinstance(axes, int):
        first, second = list(range(rank1 - axes, rank1)), list(range(axes))
    else:
        first, second = ([int(i)] if np.ndim(i) == 0 else list(i) for i in axes)
        first, second = [i % rank1 for i in first], [i % rank2 for i in second]
    kept1 = [i for i in range(rank1) if i not in first]
    kept2 = [i for i in range(rank2) if i not in second]
    shape1, shape2 = ops.shape(x1), ops.shape(x2)
    inner = int(np.prod([shape2[i] for i in second], dtype=np.int64))
    left = ops.reshape(ops.transpose(x1, [*kept1, *first]), (-1, inner))
    right = ops.reshape(ops.transpose(x2, [*second, *kept2]), (inner, -1))
    shape = [*(shape1[i] for i in kept1), *(shape2[i] for i in kept2)]
    return ops.reshape(ops.matmul(left, right), shape)


@composes("Correlate", known=(-1,))
def _correlate(operation: Any, x1: Any, x2: Any) -> Any:
    """A convolution that does not turn the shorter sequence around."""
    x1, x2 = (as_float(x) for x in _alike(x1, x2))
    size1, size2 = int(x1.shape[0]), int(x2.shape[0])
    swapped = size1 < size2
    long, short = (x2, x1) if swapped else (x1, x2)
    small = min(size1, size2)
    widths = {"valid": (0, 0), "full": (small - 1, small - 1),
              "same": (small // 2, small - 1 - small // 2)}  # fmt: skip
    before, after = widths[operation.mode]
    if swapped:
        before, after = after, before
    padded = ops.pad(long, [(before, after)])
    count = max(size1, size2) + before + after - small + 1
    places = np.arange(count)[:, None] + np.arange(small)[None, :]
    y = ops.matmul(ops.take(padded, places.astype("int32")), short)
    return ops.flip(y, 0) if swapped else y


@composes("Norm")
def _norm(operation: Any, x: Any) -> Any:
    """Of vectors, or of matrices where no singular value is asked for."""
    x = as_float(x)
    rank, order = len(x.shape), operation.ord
    options: dict[str, Any] = {"keepdims": operation.keepdims}
    if operation.axis is None and order is None:
        axes = list(range(rank))
    elif operation.axis is None:
        axes = list(range(rank))
        if rank > 2:
            raise ValueError("norm of a given order over more than two axes")
    else:
        given = operation.axis
        axes = [int(given) % rank] if isinstance(given, int) else [int(i) % rank for i in given]
    if order is None or (order == "fro" and len(axes) == 2):
        return ops.sqrt(ops.sum(ops.square(x), axis=listed(axes, rank), **options))
    if len(axes) == 1:
        return _vector_norm(x, order, axes[0], options)
    return _matrix_norm(x, order, axes, options)


def _vector_norm(x: Any, order: Any, axis: int, options: dict[str, Any]) -> Any:
    size = ops.abs(x)
    if order in (np.inf, -np.inf):
        return (ops.max if order > 0 else ops.min)(size, axis=axis, **options)
    if order == 0:
        return ops.sum(ops.cast(ops.not_equal(x, 0.0), x.dtype), axis=axis, **options)
    if order == 1:
        return ops.sum(size, axis=axis, **options)
    if order == 2:
        return ops.sqrt(ops.sum(ops.square(x), axis=axis, **options))
    return ops.power(ops.sum(ops.power(size, order), axis=axis, **options), 1.0 / order)


def _matrix_norm(x: Any, order: Any, axes: list[int], options: dict[str, Any]) -> Any:
    if order not in (1, -1, np.inf, -np.inf):
        raise ValueError(f"norm of order {order!r} of a matrix needs singular values")
    # Sums of columns for 1, of rows for infinity.
    inner, outer = axes if order in (1, -1) else axes[::-1]
    sums = ops.sum(ops.abs(x), axis=inner, keepdims=True)
    fold = ops.max if order > 0 else ops.min
    y = fold(sums, axis=outer, keepdims=True)
    return y if options["keepdims"] else ops.squeeze(y, listed(axes, len(x.shape)))
