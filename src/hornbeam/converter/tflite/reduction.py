"""Reductions, running sums, and values made of sizes."""

from __future__ import annotations

from typing import cast

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.registry import writes
from hornbeam.converter.tflite.sizes import MOST_AXES, around, insert_axis, reshape, size_tensor
from hornbeam.converter.tflite.tensors import storage_dtype
from hornbeam.graph import Node, Shape, TensorType
from hornbeam.graph.operations import ArgReduce, Cumulate, DimensionOf, Range, Reduce, TopK

__all__ = ["REDUCTIONS", "reduce"]

#: Each function of `Reduce`.
REDUCTIONS = {
    "mean": "MEAN",
    "sum": "SUM",
    "max": "REDUCE_MAX",
    "min": "REDUCE_MIN",
    "prod": "REDUCE_PROD",
    "any": "REDUCE_ANY",
    "all": "REDUCE_ALL",
}
_BOOL_CODES = {"max": "REDUCE_ANY", "min": "REDUCE_ALL"}


def reduce(ctx: Context, code: str, x: Tensor, axes: tuple[int, ...], keepdims: bool) -> Tensor:
    """One of the reductions of TFLite over ``axes``."""
    options = schema.ReducerOptionsT()
    options.keepDims = keepdims
    kept: Shape = tuple(
        1 if axis in axes else dim
        for axis, dim in enumerate(x.shape)
        if keepdims or axis not in axes
    )
    if x.rank > MOST_AXES:
        for axis in axes:
            shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
            x = reshape(ctx, reduce(ctx, code, around(ctx, x, axis), (1,), True), shape)
        return reshape(ctx, x, kept)
    where = ctx.constant(axes, "int32")
    return ctx.emit(code, [x, where], TensorType(kept, x.dtype), options)


@writes(Reduce)
def write_reduce(ctx: Context, node: Node) -> Tensor:
    """MEAN, SUM, REDUCE_MAX and so on."""
    operation = cast(Reduce, node.operation)
    x = ctx.read(node.inputs[0])
    if not operation.axes:
        return x
    codes = {**REDUCTIONS, **_BOOL_CODES} if x.dtype == "bool" else REDUCTIONS
    return reduce(ctx, codes[operation.function], x, operation.axes, operation.keepdims)


@writes(ArgReduce)
def arg_reduce(ctx: Context, node: Node) -> Tensor:
    """ARG_MAX and ARG_MIN, which drop the axis."""
    operation = cast(ArgReduce, node.operation)
    x = ctx.read(node.inputs[0])
    if x.dtype == "int64":
        x = ctx.cast(x, "int32")
    largest = operation.function == "max"
    options = schema.ArgMaxOptionsT() if largest else schema.ArgMinOptionsT()
    options.outputType = schema.TensorType.INT32
    shape = (*x.shape[: operation.axis], *x.shape[operation.axis + 1 :])
    axis = ctx.constant(operation.axis, "int32")
    code = "ARG_MAX" if largest else "ARG_MIN"
    result = ctx.emit(code, [x, axis], TensorType(shape, "int32"), options)
    return insert_axis(ctx, result, operation.axis) if operation.keepdims else result


@writes(Cumulate)
def cumulate(ctx: Context, node: Node) -> Tensor:
    """CUMSUM."""
    operation = cast(Cumulate, node.operation)
    x = ctx.read(node.inputs[0])
    options = schema.CumsumOptionsT()
    options.exclusive, options.reverse = operation.exclusive, operation.reverse
    return ctx.emit("CUMSUM", [x, ctx.constant(operation.axis, "int32")], x.type, options)


@writes(TopK)
def top_k(ctx: Context, node: Node) -> list[Tensor]:
    """TOPK_V2."""
    k = cast(TopK, node.operation).k
    x = ctx.read(node.inputs[0])
    shape = (*x.shape[:-1], k)
    types = [TensorType(shape, x.dtype), TensorType(shape, "int32")]
    return ctx.emit_all("TOPK_V2", [x, size_tensor(ctx, k)], types, schema.TopKV2OptionsT())


@writes(DimensionOf)
def dimension_of(ctx: Context, node: Node) -> Tensor:
    """Arithmetic on sizes read off the inputs."""
    operation = cast(DimensionOf, node.operation)
    return ctx.cast(size_tensor(ctx, operation.dim), storage_dtype(operation.dtype))


@writes(Range)
def write_range(ctx: Context, node: Node) -> Tensor:
    """A constant, or RANGE up to a free size."""
    operation = cast(Range, node.operation)
    start, step, length = operation.start, operation.step, operation.length
    dtype = storage_dtype(operation.dtype)
    if isinstance(length, int):
        return ctx.constant(np.arange(length) * step + start, dtype)
    limit = size_tensor(ctx, length * step + start)
    inputs = [ctx.constant(start, "int32"), limit, ctx.constant(step, "int32")]
    numbers = ctx.emit("RANGE", inputs, TensorType((length,), "int32"), schema.RangeOptionsT())
    return ctx.cast(numbers, dtype)
