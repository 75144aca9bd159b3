"""Pooling windows, and layer normalization."""

from __future__ import annotations

import numpy as np

from hornbeam.converter.onnx.dtypes import kernel_dtype
from hornbeam.converter.onnx.emitter import Emitter
from hornbeam.converter.onnx.freedom import Layout
from hornbeam.converter.onnx.linear import pads
from hornbeam.converter.onnx.registry import writes
from hornbeam.graph import Node
from hornbeam.graph.operations import LayerNorm, Pool

__all__: list[str] = []


@writes(Pool)
def pool(node: Node, emit: Emitter) -> str:
    """MaxPool, or AveragePool that does not count padding."""
    operation, x = node.operation, node.inputs[0]
    assert isinstance(operation, Pool)
    op_type = "MaxPool" if operation.function == "max" else "AveragePool"
    kind = kernel_dtype(op_type, x.dtype)
    result = emit(
        op_type,
        emit.cast(emit.input(), x.dtype, kind),
        kernel_shape=list(operation.pool_size),
        strides=list(operation.strides),
        **pads(x.shape[1:-1], operation.pool_size, operation.strides, operation.padding),
    )
    return emit.cast(result, kind, x.dtype)


@writes(LayerNorm)
def layer_norm(node: Node, emit: Emitter) -> str:
    """LayerNormalization; before opset 17 the pattern that onnxruntime fuses into one."""
    operation, dtype = node.operation, node.inputs[0].dtype
    assert isinstance(operation, LayerNorm)
    kind = kernel_dtype("LayerNormalization", dtype)
    names = [emit.value(value, Layout.LAST) for value in node.inputs]
    x, scale, offset = (emit.cast(name, dtype, kind) for name in names)
    if emit.opset >= 17:
        result = emit("LayerNormalization", x, scale, offset, axis=-1, epsilon=operation.epsilon)
        return emit.cast(result, kind, dtype)
    centred = emit("Sub", x, emit("ReduceMean", x, axes=[-1]))
    squares = emit("Pow", centred, emit.constant(np.asarray(2.0), kind))
    variance = emit("ReduceMean", squares, axes=[-1])
    shifted = emit("Add", variance, emit.constant(np.asarray(operation.epsilon), kind))
    normal = emit("Div", centred, emit("Sqrt", shifted))
    return emit.cast(emit("Add", emit("Mul", normal, scale), offset), kind, dtype)
