"""Operations that fold an axis, and those that make values out of sizes."""

from __future__ import annotations

import numpy as np

from hornbeam.converter.onnx.dtypes import kernel_dtype
from hornbeam.converter.onnx.emitter import Emitter
from hornbeam.converter.onnx.freedom import Layout
from hornbeam.converter.onnx.registry import writes
from hornbeam.graph import Node
from hornbeam.graph.operations import ArgReduce, Cumulate, DimensionOf, Range, Reduce, TopK

__all__: list[str] = []

_REDUCTIONS = {
    "mean": "ReduceMean", "sum": "ReduceSum", "max": "ReduceMax", "min": "ReduceMin",
    "prod": "ReduceProd", "any": "ReduceMax", "all": "ReduceMin",
}  # fmt: skip
_GLOBAL_POOLS = {"mean": "GlobalAveragePool", "max": "GlobalMaxPool"}


@writes(Reduce)
def reduce(node: Node, emit: Emitter) -> str:
    """One of the Reduce operators, or a global pool where it is one."""
    operation, x = node.operation, node.inputs[0]
    assert isinstance(operation, Reduce)
    if not operation.axes:
        return emit.input()
    is_global = operation.axes == tuple(range(1, x.rank - 1)) and emit.layout is Layout.FIRST
    if is_global and operation.function in _GLOBAL_POOLS and x.dtype.startswith("float"):
        op_type = _GLOBAL_POOLS[operation.function]
        kind = kernel_dtype(op_type, x.dtype)
        result = emit(op_type, emit.cast(emit.input(), x.dtype, kind))
        if not operation.keepdims:
            result = emit("Flatten", result, axis=1)
        return emit.cast(result, kind, x.dtype)
    op_type = _REDUCTIONS[operation.function]
    kind = kernel_dtype(op_type, x.dtype)
    if x.dtype == "bool":
        kind = "int32"  # uint8 would do for any and all, but has fewer kernels
    name = emit.cast(emit.input(), x.dtype, kind)
    axes = sorted(emit.axis(axis) for axis in operation.axes)
    result = _reduced(emit, op_type, name, axes, operation.keepdims)
    return emit.cast(result, kind, x.dtype)


def _reduced(emit: Emitter, op_type: str, x: str, axes: list[int], keepdims: bool) -> str:
    # The axes became an input in opset 18, and for ReduceSum in 13.
    if emit.opset >= 18 or op_type == "ReduceSum":
        return emit(op_type, x, emit.integers(axes), keepdims=int(keepdims))
    return emit(op_type, x, axes=axes, keepdims=int(keepdims))


@writes(ArgReduce)
def arg_reduce(node: Node, emit: Emitter) -> str:
    """ArgMax or ArgMin, whose int64 becomes the graph's int32."""
    operation, x = node.operation, node.inputs[0]
    assert isinstance(operation, ArgReduce)
    op_type = "ArgMax" if operation.function == "max" else "ArgMin"
    name = emit.cast(emit.input(), x.dtype, kernel_dtype(op_type, x.dtype))
    axis = emit.axis(operation.axis)
    result = emit(op_type, name, axis=axis, keepdims=int(operation.keepdims))
    return emit.cast(result, "int64", "int32")


@writes(Cumulate)
def cumulate(node: Node, emit: Emitter) -> str:
    """CumSum."""
    operation, x = node.operation, node.inputs[0]
    assert isinstance(operation, Cumulate)
    kind = kernel_dtype("CumSum", x.dtype)
    result = emit(
        "CumSum",
        emit.cast(emit.input(), x.dtype, kind),
        emit.constant(np.asarray(emit.axis(operation.axis)), "int64"),
        exclusive=int(operation.exclusive),
        reverse=int(operation.reverse),
    )
    return emit.cast(result, kind, x.dtype)


@writes(TopK)
def top_k(node: Node, emit: Emitter) -> list[str]:
    """TopK, whose int64 indices become the graph's int32."""
    operation, x = node.operation, node.inputs[0]
    assert isinstance(operation, TopK)
    kind = kernel_dtype("TopK", x.dtype)
    name = emit.cast(emit.input(), x.dtype, kind)
    values, indices = emit.several("TopK", [name, emit.shapes.vector((operation.k,))], 2)
    return [emit.cast(values, kind, x.dtype), emit.cast(indices, "int64", "int32")]


@writes(DimensionOf)
def dimension_of(node: Node, emit: Emitter) -> str:
    """A free size, as a scalar."""
    operation = node.operation
    assert isinstance(operation, DimensionOf)
    return emit.cast(emit.shapes.scalar(operation.dim), "int64", operation.dtype)


@writes(Range)
def range_(node: Node, emit: Emitter) -> str:
    """Range in int64; a constant where the length is known."""
    operation = node.operation
    assert isinstance(operation, Range)
    start, step, length = operation.start, operation.step, operation.length
    if isinstance(length, int):
        return emit.constant(start + step * np.arange(length), operation.dtype)
    limit = emit.shapes.scalar(start + length * step)
    first, stride = (emit.constant(np.asarray(n), "int64") for n in (start, step))
    return emit.cast(emit("Range", first, limit, stride), "int64", operation.dtype)
