"""``x[key]``: numbers, slices, ellipsis, new axes, and tensors of indices, by numpy's rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.ops_scatter import from_front, take_places
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Dim, Expression, Value
from hornbeam.graph import operations as op
from hornbeam.graph.dims import broadcast

__all__: list[str] = []


@lowers("ops.GetItem")
def get_item(b: Builder, _: Any, x: Value, key: Any) -> Value:
    """First what slices and numbers do, then the new axes, then the tensors together."""
    keys = _spelled_out(key, x.rank)
    tensors = any(_is_array(k) for k in keys)
    begins: list[Dim] = []
    sizes: list[Dim] = []
    steps: list[int] = []
    shape: list[Dim] = []
    places: list[tuple[int, Any]] = []
    dims = iter(x.shape)
    for k in keys:
        if k is None:
            shape.append(1)
            continue
        dim = next(dims)
        begin, size, step = (0, dim, 1) if _is_array(k) else _block(k, dim)
        if _is_array(k):
            places.append((len(shape), k))
        elif tensors and not isinstance(k, slice):
            # Among tensors, a number is a tensor, too: it decides where their axes go.
            places.append((len(shape), 0))
        if isinstance(k, slice) or _is_array(k) or tensors:
            shape.append(size)
        begins, sizes, steps = [*begins, begin], [*sizes, size], [*steps, step]
    if any(begins) or tuple(sizes) != x.shape or set(steps) - {1}:
        x = b.emit(op.Slice(tuple(begins), tuple(sizes), tuple(steps)), x)
    return _taken(b, b.reshape(x, shape), places)


def _is_array(k: Any) -> bool:
    return isinstance(k, Value) or (not isinstance(k, (slice, Expression)) and np.ndim(k) > 0)


def _spelled_out(key: Any, rank: int) -> list[Any]:
    """One key for each axis, and None for each new one; a constant mask as the places it names."""
    keys: list[Any] = []
    for k in key if isinstance(key, (tuple, list)) else [key]:
        if isinstance(k, Value) and k.is_constant and k.dtype == "bool":
            k = k.array
        if isinstance(k, Value) and k.dtype == "bool":
            raise ValueError("a mask as an index: the length of the result depends on the data")
        is_mask = not isinstance(k, (Value, slice)) and np.asarray(k).dtype == bool and np.ndim(k)
        keys.extend(np.nonzero(np.asarray(k)) if is_mask else [k])
    if not any(k is Ellipsis for k in keys):
        keys.append(Ellipsis)
    at = next(i for i, k in enumerate(keys) if k is Ellipsis)
    taken = sum(k is not None and k is not Ellipsis for k in keys)
    keys[at : at + 1] = [slice(None)] * (rank - taken)
    return keys


def _taken(b: Builder, x: Value, places: Sequence[tuple[int, Any]]) -> Value:
    """Elements by tensors that broadcast to one shape.

    It stands where the first of them stood, or in front, if something stands between them.
    """
    if not places:
        return x
    axes = [axis for axis, _ in places]
    ids = [from_front(b, indices, x.shape[axis]) for axis, indices in places]
    if len(places) == 1:
        return b.emit(op.Gather(axes[0]), x, ids[0])
    together = axes == list(range(axes[0], axes[0] + len(axes)))
    others = [i for i in range(x.rank) if i not in axes]
    shape = broadcast(*(value.shape for value in ids))
    ids = [b.broadcast(b.cast(value, "int32"), shape) for value in _of_rank(b, ids, len(shape))]
    y = take_places(b, b.transpose(x, [*axes, *others]), ids)
    if not together or axes[0] == 0:
        return y
    new = len(shape)
    before = list(range(new, new + axes[0]))
    after = list(range(new + axes[0], y.rank))
    return b.transpose(y, [*before, *range(new), *after])


def _of_rank(b: Builder, values: Sequence[Value], rank: int) -> list[Value]:
    return [b.reshape(v, (1,) * (rank - v.rank) + v.shape) for v in values]


def _block(k: Any, dim: Dim) -> tuple[Dim, Dim, int]:
    """Begin, number of elements and step of a number or a slice."""
    if isinstance(k, slice):
        return _span(k, dim)
    place = k if isinstance(k, Expression) else int(k)
    return (dim + place if isinstance(place, int) and place < 0 else place), 1, 1


def _span(k: slice, dim: Dim) -> tuple[Dim, Dim, int]:
    step = 1 if k.step is None else int(k.step)
    if isinstance(dim, int) and all(v is None or isinstance(v, int) for v in (k.start, k.stop)):
        span = range(dim)[k]
        return span.start if len(span) else 0, len(span), step
    if step < 0:
        if k.start is not None or k.stop is not None:
            raise ValueError("a reversed part of an axis of free size has no lowering")
        return dim - 1, -(dim // step), step
    begin, stop = (_from_front(v, dim, default) for v, default in ((k.start, 0), (k.stop, dim)))
    return begin, (stop - begin + (step - 1)) // step, step


def _from_front(place: Dim | None, dim: Dim, default: Dim) -> Dim:
    if place is None:
        return default
    return dim + place if isinstance(place, int) and place < 0 else place
