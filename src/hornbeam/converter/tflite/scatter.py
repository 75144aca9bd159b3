"""Writing to places known at run time: as segments of a sequence.

SCATTER_ND can only add to zeros. So the places become numbers of rows, the rows of the old value
and those that come new stand one behind the other, and each row of the result is what its segment
of them comes to: their sum, their largest, or the last.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.movement import concatenated
from hornbeam.converter.tflite.registry import writes
from hornbeam.converter.tflite.sizes import reshape, size_tensor
from hornbeam.converter.tflite.slices import part
from hornbeam.graph import Dim, Node, TensorType
from hornbeam.graph.dims import product
from hornbeam.graph.operations import Scatter

__all__: list[str] = []

_CODES = {
    "add": "UNSORTED_SEGMENT_SUM",
    "multiply": "UNSORTED_SEGMENT_PROD",
    "max": "UNSORTED_SEGMENT_MAX",
    "min": "UNSORTED_SEGMENT_MIN",
    "update": "UNSORTED_SEGMENT_MAX",
}
_OPTIONS = {
    "UNSORTED_SEGMENT_SUM": schema.UnsortedSegmentSumOptionsT,
    "UNSORTED_SEGMENT_PROD": schema.UnsortedSegmentProdOptionsT,
    "UNSORTED_SEGMENT_MAX": schema.UnsortedSegmentMaxOptionsT,
    "UNSORTED_SEGMENT_MIN": schema.UnsortedSegmentMinOptionsT,
}


@writes(Scatter)
def scatter(ctx: Context, node: Node) -> Tensor:
    """UNSORTED_SEGMENT_SUM and its like; for an update, the last row that each place gets."""
    function = cast(Scatter, node.operation).function
    x, indices, updates = ctx.reads(node)
    depth = cast(int, indices.shape[1])
    count, new = product(x.shape[:depth]), indices.shape[0]
    rest = x.shape[depth:]
    rows = _row_numbers(ctx, indices, x.shape[:depth])
    segments = concatenated(ctx, [_numbers(ctx, count), rows], 0)
    old = reshape(ctx, x, (count, *rest))
    if function == "update":
        places = _numbers(ctx, count + new)
        last = _segment(ctx, function, places, segments, count)
        kind = TensorType((count, *rest), x.dtype)
        options = schema.GatherOptionsT()
        both = concatenated(ctx, [old, updates], 0)
        return reshape(ctx, ctx.emit("GATHER", [both, last], kind, options), x.shape)
    stored = "float32" if x.dtype == "float32" else "int32"
    both = concatenated(ctx, [ctx.cast(old, stored), ctx.cast(updates, stored)], 0)
    result = _segment(ctx, function, both, segments, count)
    if stored == "float32" and function in ("max", "min"):
        # The kernels begin at the largest number that there is, not at infinity.
        end = (-1 if function == "max" else 1) * float(np.finfo(np.float32).max)
        infinite = ctx.constant(np.copysign(np.inf, end), "float32")
        inputs = [ctx.compare("EQUAL", result, end), infinite, result]
        result = ctx.emit("SELECT_V2", inputs, result.type, schema.SelectV2OptionsT())
    return reshape(ctx, ctx.cast(result, x.dtype), x.shape)


def _segment(ctx: Context, function: str, data: Tensor, segments: Tensor, count: Dim) -> Tensor:
    code = _CODES[function]
    inputs = [data, segments, size_tensor(ctx, count)]
    return ctx.emit(
        code, inputs, TensorType((count, *data.shape[1:]), data.dtype), _OPTIONS[code]()
    )


def _row_numbers(ctx: Context, indices: Tensor, shape: tuple[Dim, ...]) -> Tensor:
    """Each place ``[n, k]`` as one number ``[n]``."""
    indices = ctx.cast(indices, "int32")
    total: Tensor | None = None
    for axis in range(len(shape)):
        column = reshape(ctx, part(ctx, indices, 1, axis, 1), (indices.shape[0],))
        stride = product(shape[axis + 1 :])
        if stride != 1:
            column = ctx.binary("MUL", column, size_tensor(ctx, stride))
        total = column if total is None else ctx.binary("ADD", total, column)
    assert total is not None
    return total


def _numbers(ctx: Context, length: Dim) -> Tensor:
    if isinstance(length, int):
        return ctx.constant(np.arange(length), "int32")
    zero, one = ctx.constant(0, "int32"), ctx.constant(1, "int32")
    kind = TensorType((length,), "int32")
    return ctx.emit("RANGE", [zero, size_tensor(ctx, length), one], kind, schema.RangeOptionsT())
