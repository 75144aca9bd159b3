"""Reshapes, slices, joins, look-ups."""

from __future__ import annotations

from typing import cast

from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.linear import transposed
from hornbeam.converter.tflite.registry import writes
from hornbeam.converter.tflite.sizes import reshape
from hornbeam.converter.tflite.windows import pad
from hornbeam.graph import Dim, Node, TensorType
from hornbeam.graph.operations import Concat, Pad, Reshape, Transpose


@writes(Reshape)
def write_reshape(ctx: Context, node: Node) -> Tensor:
    """RESHAPE."""
    return reshape(ctx, ctx.read(node.inputs[0]), cast(Reshape, node.operation).shape)


@writes(Transpose)
def write_transpose(ctx: Context, node: Node) -> Tensor:
    """TRANSPOSE."""
    return transposed(ctx, ctx.read(node.inputs[0]), cast(Transpose, node.operation).axes)


@writes(Concat)
def concat(ctx: Context, node: Node) -> Tensor:
    """CONCATENATION."""
    inputs, axis = ctx.reads(node), cast(Concat, node.operation).axis
    return concatenated(ctx, inputs, axis)


def concatenated(ctx: Context, inputs: list[Tensor], axis: int) -> Tensor:
    """The tensors joined along ``axis``."""
    if len(inputs) == 1:
        return inputs[0]
    options = schema.ConcatenationOptionsT()
    options.axis = axis
    total: Dim = 0
    for x in inputs:
        total = x.shape[axis] + total
    first = inputs[0]
    shape = (*first.shape[:axis], total, *first.shape[axis + 1 :])
    return ctx.emit("CONCATENATION", inputs, TensorType(shape, first.dtype), options)


@writes(Pad)
def write_pad(ctx: Context, node: Node) -> Tensor:
    """PAD and PADV2."""
    operation = cast(Pad, node.operation)
    return pad(ctx, ctx.read(node.inputs[0]), operation.paddings, operation.value)
