"""Slices and splits, with sizes that may be free.

Bounds are counted from the front where they are numbers, from the back where that makes them so
("the last element" of a free axis is -1); only what is neither is computed at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.registry import writes
from hornbeam.converter.tflite.sizes import MOST_AXES, around, reshape, size_tensor
from hornbeam.graph import Dim, Node, Shape, TensorType
from hornbeam.graph.dims import ceil_div
from hornbeam.graph.operations import Slice, Split

__all__ = ["part", "sliced"]

#: XNNPACK splits into no more tensors than this.
_MOST_PARTS = 4
#: STRIDED_SLICE's own limit.
_MOST_SLICED = 5


@writes(Slice)
def write_slice(ctx: Context, node: Node) -> Tensor:
    """STRIDED_SLICE."""
    operation = cast(Slice, node.operation)
    x = ctx.read(node.inputs[0])
    return sliced(ctx, x, operation.begin, operation.sizes, operation.strides)


@writes(Split)
def split(ctx: Context, node: Node) -> list[Tensor]:
    """SPLIT into a few equal pieces; others are slices, which XNNPACK takes."""
    operation = cast(Split, node.operation)
    x, axis, sizes = ctx.read(node.inputs[0]), operation.axis, operation.sizes
    even = len(set(sizes)) == 1 and 1 < len(sizes) <= _MOST_PARTS
    if not even or x.dtype == "bool" or x.rank > MOST_AXES:
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        return [part(ctx, x, axis, *bounds) for bounds in zip(starts, sizes, strict=True)]
    options = schema.SplitOptionsT()
    options.numSplits = len(sizes)
    shape = (*x.shape[:axis], sizes[0], *x.shape[axis + 1 :])
    types = [TensorType(shape, x.dtype)] * len(sizes)
    return ctx.emit_all("SPLIT", [ctx.constant(axis, "int32"), x], types, options)


def part(ctx: Context, x: Tensor, axis: int, begin: Dim, size: Dim) -> Tensor:
    """The elements from ``begin`` on, ``size`` of them, along ``axis``."""
    begins: Shape = tuple(begin if i == axis else 0 for i in range(x.rank))
    sizes: Shape = tuple(size if i == axis else dim for i, dim in enumerate(x.shape))
    return sliced(ctx, x, begins, sizes, (1,) * x.rank)


def sliced(ctx: Context, x: Tensor, begin: Shape, sizes: Shape, strides: tuple[int, ...]) -> Tensor:
    """``sizes[i]`` elements of axis ``i``, from ``begin[i]`` on, ``strides[i]`` apart."""
    if sizes == x.shape and not any(begin) and all(stride > 0 for stride in strides):
        return x
    result = TensorType(sizes, x.dtype)
    if x.rank > _MOST_SLICED:
        for axis, limits in enumerate(zip(begin, sizes, strides, strict=True)):
            start, size, stride = limits
            line = around(ctx, x, axis)
            cut = (line.shape[0], size, line.shape[2])
            line = sliced(ctx, line, (0, start, 0), cut, (1, stride, 1))
            x = reshape(ctx, line, (*sizes[: axis + 1], *x.shape[axis + 1 :]))
        return x
    bounds = [_bounds(*axis) for axis in zip(x.shape, begin, sizes, strides, strict=True)]
    options = schema.StridedSliceOptionsT()
    options.beginMask = sum(bound.begin_open << i for i, bound in enumerate(bounds))
    options.endMask = sum(bound.end_open << i for i, bound in enumerate(bounds))
    inputs = [
        x,
        _vector(ctx, [bound.begin for bound in bounds]),
        _vector(ctx, [bound.end for bound in bounds]),
        ctx.constant(strides, "int32"),
    ]
    return ctx.emit("STRIDED_SLICE", inputs, result, options)


@dataclass(frozen=True)
class _Bounds:
    """What STRIDED_SLICE is told of one axis; an open bound is the end of the axis."""

    begin: Dim
    end: Dim
    begin_open: bool
    end_open: bool


def _bounds(dim: Dim, begin: Dim, size: Dim, stride: int) -> _Bounds:
    # How many elements there are from ``begin`` to the end of the axis.
    rest = ceil_div(dim - begin, stride) if stride > 0 else begin // -stride + 1
    end_open = size == rest
    end = begin + size * stride if size != 1 else begin + (1 if stride > 0 else -1)
    begin_open = begin == (0 if stride > 0 else dim - 1)
    return _Bounds(
        0 if begin_open else _near(begin, dim),
        0 if end_open else _near(end, dim),
        begin_open,
        end_open,
    )


def _near(index: Dim, dim: Dim) -> Dim:
    """``index`` from the back, where that is a number and from the front it is not."""
    from_back = index - dim
    if not isinstance(index, int) and isinstance(from_back, int) and from_back < 0:
        return from_back
    return index


def _vector(ctx: Context, entries: list[Dim]) -> Tensor:
    if ctx.known(entries):
        return ctx.constant(entries, "int32")
    options = schema.PackOptionsT()
    options.valuesCount, options.axis = len(entries), 0
    sizes = [size_tensor(ctx, entry) for entry in entries]
    return ctx.emit("PACK", sizes, TensorType((len(entries),), "int32"), options)
