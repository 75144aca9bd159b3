"""Reductions, running sums, and values made of sizes."""

from __future__ import annotations

from typing import cast

from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.registry import writes
from hornbeam.graph import Node, Shape, TensorType
from hornbeam.graph.operations import Reduce

__all__ = ["reduce"]

_CODES = {
    "mean": "MEAN",
    "sum": "SUM",
    "max": "REDUCE_MAX",
    "min": "REDUCE_MIN",
    "prod": "REDUCE_PROD",
    "any": "REDUCE_ANY",
    "all": "REDUCE_ALL",
}


def reduce(ctx: Context, code: str, x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """One of the reductions of TFLite over ``axes``."""
    options = schema.ReducerOptionsT()
    options.keepDims = keepdims
    kept: Shape = tuple(
        1 if axis in axes else dim
        for axis, dim in enumerate(x.shape)
        if keepdims or axis not in axes
    )
    where = ctx.constant(axes, "int32")
    return ctx.emit(code, [x, where], TensorType(kept, x.dtype), options)


@writes(Reduce)
def write_reduce(ctx: Context, node: Node) -> Tensor:
    """MEAN, SUM, REDUCE_MAX and so on."""
    operation = cast(Reduce, node.operation)
    x = ctx.read(node.inputs[0])
    if not operation.axes:
        return x
    return reduce(ctx, _CODES[operation.function], x, operation.axes, operation.keepdims)
