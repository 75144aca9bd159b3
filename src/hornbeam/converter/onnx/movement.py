"""Shapes, slices, joins and look-ups."""

from __future__ import annotations

import numpy as np

from hornbeam.converter.onnx.dtypes import kernel_dtype
from hornbeam.converter.onnx.emitter import Emitter
from hornbeam.converter.onnx.freedom import Layout, flattens_into_dense
from hornbeam.converter.onnx.registry import writes
from hornbeam.graph import Dim, Node
from hornbeam.graph.operations import (
    Broadcast,
    Concat,
    Conv,
    DepthwiseConv,
    Gather,
    OneHot,
    Pad,
    Reshape,
    Resize,
    Reverse,
    Slice,
    Split,
    Tile,
    Transpose,
)
from hornbeam.graph.types import is_float

__all__: list[str] = []

# Where a slice goes on to the end, whatever the size.
_END = np.iinfo(np.int64).max
_BEGIN = np.iinfo(np.int64).min


@writes(Reshape)
def reshape(node: Node, emit: Emitter) -> str:
    """Reshape, from the memory order of the input to that of the result."""
    x, result = node.inputs[0], node.output
    source, name = emit.input_layout(), emit.input()
    if source is Layout.FIRST and flattens_into_dense(node, emit.near):
        emit.flattened_first[result] = tuple(d for d in x.shape[1:] if isinstance(d, int))
    before, after = emit.shape(x, source), emit.shape(result, emit.output_layout())
    if before == after:
        return name
    return emit("Reshape", name, emit.shapes.reshape_target(before, after))


@writes(Transpose)
def transpose(node: Node, emit: Emitter) -> str:
    """Transpose, with any change of memory layout before or after it taken in."""
    operation = node.operation
    assert isinstance(operation, Transpose)
    x, result = node.inputs[0], node.output
    source = emit.near.permutation(x, emit.input_layout())
    wanted = [operation.axes[axis] for axis in emit.near.permutation(result, emit.output_layout())]
    axes = [source.index(axis) for axis in wanted]
    name = emit.input()
    return name if axes == list(range(x.rank)) else emit("Transpose", name, perm=axes)


@writes(Broadcast)
def broadcast(node: Node, emit: Emitter) -> str:
    """Expand."""
    x, result = node.inputs[0], node.output
    if x.shape == result.shape:
        return emit.input()
    kind = kernel_dtype("Expand", x.dtype)
    name = emit.cast(emit.operand(0), x.dtype, kind)
    expanded = emit("Expand", name, emit.shapes.vector(emit.shape(result)))
    return emit.cast(expanded, kind, x.dtype)


@writes(Tile)
def tile(node: Node, emit: Emitter) -> str:
    """Tile."""
    operation, x = node.operation, node.inputs[0]
    assert isinstance(operation, Tile)
    kind = kernel_dtype("Tile", x.dtype)
    name = emit.cast(emit.input(), x.dtype, kind)
    tiled = emit("Tile", name, emit.integers(emit.ordered(operation.repeats)))
    return emit.cast(tiled, kind, x.dtype)


@writes(Concat)
def concat(node: Node, emit: Emitter) -> str:
    """Concat."""
    operation = node.operation
    assert isinstance(operation, Concat)
    names = [emit.input(index) for index in range(len(node.inputs))]
    return emit("Concat", *names, axis=emit.axis(operation.axis))


@writes(Slice)
def slice_(node: Node, emit: Emitter) -> str:
    """Slice along the axes that it cuts."""
    operation, x = node.operation, node.inputs[0]
    assert isinstance(operation, Slice)
    axes, begins, ends, steps = [], [], [], []
    items = zip(operation.begin, operation.sizes, operation.strides, x.shape, strict=True)
    for axis, (begin, size, stride, whole) in enumerate(items):
        if begin == 0 and stride == 1 and size == whole:
            continue
        axes.append(emit.axis(axis))
        begins.append(begin)
        ends.append(_slice_end(begin, size, stride, whole))
        steps.append(stride)
    if not axes:
        return emit.input()
    bounds = [emit.shapes.vector(tuple(begins)), emit.shapes.vector(tuple(ends))]
    steps_given = [] if set(steps) == {1} else [emit.integers(steps)]
    return emit("Slice", emit.input(), *bounds, emit.integers(axes), *steps_given)


def _slice_end(begin: Dim, size: Dim, stride: int, whole: Dim) -> Dim:
    """The end that ONNX wants: exclusive; the fixed one where the slice goes all the way."""
    if stride > 0:
        all_the_way = (whole - begin + (stride - 1)) // stride
        return _END if size == all_the_way else begin + (size - 1) * stride + 1
    if size == (begin + (-stride)) // (-stride):
        return _BEGIN
    # Counted from the back, so that "before the first" is not taken for "the last".
    return begin + (size - 1) * stride - 1 - whole


@writes(Split)
def split(node: Node, emit: Emitter) -> list[str]:
    """Split."""
    operation = node.operation
    assert isinstance(operation, Split)
    sizes = emit.integers(operation.sizes)
    names = [emit.input(), sizes]
    return emit.several("Split", names, len(node.outputs), axis=emit.axis(operation.axis))


@writes(Reverse)
def reverse(node: Node, emit: Emitter) -> str:
    """Slice with steps of -1."""
    operation = node.operation
    assert isinstance(operation, Reverse)
    axes = [emit.axis(axis) for axis in operation.axes]
    if not axes:
        return emit.input()
    return emit.reversed(emit.input(), axes)


@writes(Pad)
def pad(node: Node, emit: Emitter) -> str:
    """Pad; the symmetric mode, which ONNX does not have, edge by edge from reversed slices."""
    operation, x = node.operation, node.inputs[0]
    assert isinstance(operation, Pad)
    paddings = emit.ordered(operation.paddings)
    if operation.mode == "symmetric":
        return _symmetric(emit, paddings)
    kind = kernel_dtype("Pad", x.dtype)
    amounts = emit.integers([before for before, _ in paddings] + [after for _, after in paddings])
    fill = []
    if operation.mode == "constant" and (operation.value != 0 or _fused_wrongly(node, emit)):
        fill = [emit.constant(np.asarray(operation.value or -0.0), kind)]
    name = emit.cast(emit.input(), x.dtype, kind)
    return emit.cast(emit("Pad", name, amounts, *fill, mode=operation.mode), kind, x.dtype)


def _fused_wrongly(node: Node, emit: Emitter) -> bool:
    """Whether onnxruntime (1.18 to 1.31 at least) might take these zeros for a pool's own padding.

    Its PadFusion makes a Pad of zeros part of the MaxPool or AveragePool after it, where padding
    never counts. It looks for bytes that are all zero, so minus zero keeps it away.
    """
    readers = emit.near.readers.get(node.output, [])
    by_convolutions = all(isinstance(r.operation, Conv | DepthwiseConv) for r in readers)
    return is_float(node.output.dtype) and not by_convolutions


def _symmetric(emit: Emitter, paddings: list[tuple[int, int]]) -> str:
    result = emit.input()
    for axis, (before, after) in enumerate(paddings):
        pieces = [result]
        axes = emit.integers([axis])
        if before:
            edge = emit("Slice", result, emit.integers([0]), emit.integers([before]), axes)
            pieces.insert(0, emit.reversed(edge, [axis]))
        if after:
            edge = emit("Slice", result, emit.integers([-after]), emit.integers([_END]), axes)
            pieces.append(emit.reversed(edge, [axis]))
        if len(pieces) > 1:
            result = emit("Concat", *pieces, axis=axis)
    return result


@writes(Gather)
def gather(node: Node, emit: Emitter) -> str:
    """Gather; indices are int32 or int64."""
    operation, indices = node.operation, node.inputs[1]
    assert isinstance(operation, Gather)
    kind = indices.dtype if indices.dtype in ("int32", "int64") else "int64"
    where = emit.cast(emit.value(indices, Layout.LAST), indices.dtype, kind)
    return emit("Gather", emit.input(), where, axis=emit.axis(operation.axis))


@writes(OneHot)
def one_hot(node: Node, emit: Emitter) -> str:
    """A comparison with 0, 1, 2…: OneHot would take -1 for the last class."""
    operation, indices = node.operation, node.inputs[0]
    assert isinstance(operation, OneHot)
    kind = kernel_dtype("Equal", indices.dtype)
    name = emit.cast(emit.value(indices, Layout.LAST), indices.dtype, kind)
    column = emit("Unsqueeze", name, emit.integers([indices.rank]))
    classes = emit.constant(np.arange(operation.depth), kind)
    return emit.cast(emit("Equal", column, classes), "bool", operation.dtype)


@writes(Resize)
def resize(node: Node, emit: Emitter) -> str:
    """Resize with half-pixel centres; by whole factors, nearest is a plain repetition."""
    operation, x = node.operation, node.inputs[0]
    assert isinstance(operation, Resize)
    kind = kernel_dtype("Resize", x.dtype)
    name = emit.cast(emit.input(), x.dtype, kind)
    factors = [_factor(new, old) for new, old in zip(operation.size, x.shape[1:3], strict=True)]
    known = [factor for factor in factors if factor is not None]
    if len(known) == 2:
        sizes = [emit.constant(np.asarray([1, 1, *known], np.float32), "float32")]
    else:
        shape = (x.shape[0], x.shape[-1], *operation.size)
        sizes = ["", emit.shapes.vector(shape)]
    modes = {
        "mode": "nearest" if operation.interpolation == "nearest" else "linear",
        "coordinate_transformation_mode": "half_pixel",
    }
    if operation.interpolation == "nearest":
        whole = len(known) == 2
        modes["coordinate_transformation_mode"] = "asymmetric" if whole else "half_pixel"
        modes["nearest_mode"] = "floor" if whole else "round_prefer_ceil"
    return emit.cast(emit("Resize", name, "", *sizes, **modes), kind, x.dtype)


def _factor(new: Dim, old: Dim) -> int | None:
    """How many times larger ``new`` is, where that is a whole number."""
    if isinstance(new, int) and isinstance(old, int):
        return new // old if new % old == 0 else None
    if isinstance(new, int) or isinstance(old, int):
        return None
    for factor in range(1, 17):
        if new == old * factor:
            return factor
    return None
