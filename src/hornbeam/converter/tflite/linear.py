"""Convolutions, dense layers and matrix products."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.registry import writes
from hornbeam.converter.tflite.rows import as_row, from_row
from hornbeam.converter.tflite.sizes import MOST_AXES, broadcast_to, insert_axis, reshape
from hornbeam.converter.tflite.windows import Window, enter
from hornbeam.errors import UnsupportedFormatError
from hornbeam.graph import Node, Shape, TensorType
from hornbeam.graph.dims import broadcast, product
from hornbeam.graph.operations import Conv, Dense, DepthwiseConv, MatMul, window_size

__all__ = ["bias_of", "convolve", "fully_connected", "transposed", "unsupported"]

#: From Keras's [h, w, in, out] to TFLite's [out, h, w, in].
_OHWI = (3, 0, 1, 2)
#: BATCH_MATMUL takes this many axes before the last two.
_BATCH_AXES = 3


def unsupported(node: Node, found: str, advice: str) -> UnsupportedFormatError:
    """The error for a node that this format cannot hold."""
    return UnsupportedFormatError("A TFLite file was asked for.", f"{node.path}: {found}", advice)


def bias_of(ctx: Context, node: Node, channels: int) -> Tensor:
    """The bias, or zeros where the node has none: XNNPACK wants one."""
    if len(node.inputs) > 2:
        return ctx.read(node.inputs[2])
    return ctx.constant(np.zeros(channels, np.float32))


def transposed(ctx: Context, x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """``x`` with its axes permuted; a permutation and its inverse cancel."""
    if axes == tuple(range(x.rank)):
        return x
    shape = tuple(x.shape[axis] for axis in axes)
    order = ctx.constant(axes, "int32")
    return ctx.emit("TRANSPOSE", [x, order], TensorType(shape, x.dtype), schema.TransposeOptionsT())


def slid(x: Tensor, window: Window, channels: Any) -> TensorType:
    """The type of the result when ``window`` slides over ``x``."""
    padding = window.padding
    pads = (padding,) * len(window.size) if isinstance(padding, str) else padding
    spatial = map(window_size, x.shape[1:-1], window.size, window.strides, pads)
    return TensorType((x.shape[0], *spatial, channels), x.dtype)


def _window(kernel: Shape, node: Node) -> Window:
    operation = cast("Conv | DepthwiseConv", node.operation)
    sizes = cast("tuple[int, ...]", kernel)
    dilated = tuple((k - 1) * d + 1 for k, d in zip(sizes, operation.dilation, strict=True))
    return Window(dilated, operation.strides, operation.padding)


@writes(Conv)
def conv(ctx: Context, node: Node) -> Tensor:
    """CONV_2D or CONV_3D; one spatial axis is two of which the first has size 1."""
    operation = cast(Conv, node.operation)
    x, kernel = ctx.read(node.inputs[0]), node.inputs[1]
    window = _window(kernel.shape[:-2], node)
    if operation.groups > 1 and kernel.shape[-2] == 1 and kernel.is_constant and x.rank < 5:
        return _depthwise(ctx, node, window, (*kernel.shape[:-2], kernel.shape[-1]))
    if x.rank == 5:
        return _conv_3d(ctx, node, window)
    return convolve(ctx, node, x, window)


def convolve(ctx: Context, node: Node, x: Tensor, window: Window) -> Tensor:
    """CONV_2D over one or two spatial axes."""
    operation = cast(Conv, node.operation)
    kernel, dilation = node.inputs[1], operation.dilation
    flat = x.rank == 3
    if flat:
        x, window, dilation = as_row(ctx, x), window.after_row(), (1, *dilation)
    type_ = slid(x, window, kernel.shape[-1])
    x, padding = enter(ctx, x, window)
    options = schema.Conv2DOptionsT()
    options.padding = padding
    options.strideH, options.strideW = window.strides
    options.dilationHFactor, options.dilationWFactor = dilation
    options.fusedActivationFunction = ctx.take_activation()
    weights = _ohwi(ctx, node)
    bias = bias_of(ctx, node, cast(int, kernel.shape[-1]))
    result = ctx.emit("CONV_2D", [x, weights, bias], type_, options)
    return from_row(ctx, result) if flat else result


def _ohwi(ctx: Context, node: Node) -> Tensor:
    kernel = node.inputs[1]
    if kernel.is_constant and kernel.rank == 4:
        return ctx.weight(kernel, _OHWI)
    if kernel.is_constant:
        width, depth, filters = kernel.array.shape
        return ctx.weight(kernel, (2, 0, 1), (filters, 1, width, depth))
    weights = ctx.read(kernel)
    if kernel.rank == 3:
        weights = insert_axis(ctx, weights, 0)
    return transposed(ctx, weights, _OHWI)


def _conv_3d(ctx: Context, node: Node, window: Window) -> Tensor:
    operation = cast(Conv, node.operation)
    if operation.groups != 1:
        raise unsupported(
            node,
            "TFLite has no grouped convolution over three axes.",
            "Write ONNX, or build the layer without groups.",
        )
    x, kernel = ctx.read(node.inputs[0]), ctx.read(node.inputs[1])
    type_ = slid(x, window, kernel.shape[-1])
    x, padding = enter(ctx, x, window)
    options = schema.Conv3DOptionsT()
    options.padding = padding
    options.strideD, options.strideH, options.strideW = window.strides
    dilation = operation.dilation
    options.dilationDFactor, options.dilationHFactor, options.dilationWFactor = dilation
    options.fusedActivationFunction = ctx.take_activation()
    bias = bias_of(ctx, node, cast(int, kernel.shape[-1]))
    return ctx.emit("CONV_3D", [x, kernel, bias], type_, options)


@writes(DepthwiseConv)
def depthwise_conv(ctx: Context, node: Node) -> Tensor:
    """DEPTHWISE_CONV_2D; its channels are those of Keras, multiplier varying fastest."""
    kernel = node.inputs[1]
    if not kernel.is_constant:
        raise unsupported(
            node,
            "the kernel of a depthwise convolution is computed at run time.",
            "Make the kernel a weight of the layer, or write ONNX.",
        )
    if kernel.rank == 5:
        raise unsupported(
            node, "TFLite has no depthwise convolution over three axes.", "Write ONNX."
        )
    channels = product(kernel.shape[-2:])
    return _depthwise(ctx, node, _window(kernel.shape[:-2], node), (*kernel.shape[:-2], channels))


def _depthwise(ctx: Context, node: Node, window: Window, shape: Shape) -> Tensor:
    operation = cast("Conv | DepthwiseConv", node.operation)
    x, dilation = ctx.read(node.inputs[0]), operation.dilation
    flat = x.rank == 3
    if flat:
        x, window, dilation = as_row(ctx, x), window.after_row(), (1, *dilation)
        shape = (1, *shape)
    channels = cast(int, shape[-1])
    type_ = slid(x, window, channels)
    options = schema.DepthwiseConv2DOptionsT()
    options.depthMultiplier = channels // x.shape[-1]
    x, options.padding = enter(ctx, x, window)
    options.strideH, options.strideW = window.strides
    options.dilationHFactor, options.dilationWFactor = dilation
    options.fusedActivationFunction = ctx.take_activation()
    weights = ctx.weight(node.inputs[1], shape=cast("tuple[int, ...]", (1, *shape)))
    bias = bias_of(ctx, node, channels)
    result = ctx.emit("DEPTHWISE_CONV_2D", [x, weights, bias], type_, options)
    return from_row(ctx, result) if flat else result


@writes(Dense)
def dense(ctx: Context, node: Node) -> Tensor:
    """FULLY_CONNECTED."""
    x, kernel = ctx.read(node.inputs[0]), node.inputs[1]
    if kernel.is_constant:
        weights = ctx.weight(kernel, (1, 0))
    else:
        weights = transposed(ctx, ctx.read(kernel), (1, 0))
    bias = bias_of(ctx, node, cast(int, kernel.shape[1]))
    return fully_connected(ctx, x, weights, bias)


def fully_connected(ctx: Context, x: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
    """``x @ weights.T + bias`` over the last axis of ``x``."""
    options = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = ctx.take_activation()
    options.keepNumDims = x.rank > 2
    shape = (*x.shape[:-1], weights.shape[0])
    if x.rank == 1 or x.rank > MOST_AXES:
        rows = product(x.shape[:-1])
        row = reshape(ctx, x, (rows, x.shape[-1]))
        options.keepNumDims = False
        type_ = TensorType((rows, weights.shape[0]), x.dtype)
        return reshape(
            ctx, ctx.emit("FULLY_CONNECTED", [row, weights, bias], type_, options), shape
        )
    return ctx.emit("FULLY_CONNECTED", [x, weights, bias], TensorType(shape, x.dtype), options)


@writes(MatMul)
def matmul(ctx: Context, node: Node) -> Tensor:
    """BATCH_MATMUL, or FULLY_CONNECTED where the right side is a constant matrix."""
    operation = cast(MatMul, node.operation)
    a, b = ctx.reads(node)
    right = node.inputs[1]
    if right.is_constant and right.rank == 2 and not operation.transpose_a and a.dtype == "float32":
        weights = ctx.weight(right, (0, 1) if operation.transpose_b else (1, 0))
        bias = ctx.constant(np.zeros(weights.shape[0], np.float32))
        return fully_connected(ctx, a, weights, bias)
    if a.dtype == "float32":
        return _batch_matmul(ctx, operation, a, b)
    # There is no integer kernel; float32 is exact up to 2**24.
    product_ = _batch_matmul(ctx, operation, ctx.cast(a, "float32"), ctx.cast(b, "float32"))
    return ctx.cast(product_, a.dtype)


def _batch_matmul(ctx: Context, operation: MatMul, a: Tensor, b: Tensor) -> Tensor:
    options = schema.BatchMatMulOptionsT()
    options.adjX, options.adjY = operation.transpose_a, operation.transpose_b
    rows = a.shape[-1 if operation.transpose_a else -2]
    columns = b.shape[-2 if operation.transpose_b else -1]
    batch = broadcast(a.shape[:-2], b.shape[:-2])
    shape = (*batch, rows, columns)
    if len(batch) > _BATCH_AXES:
        a, b = (
            reshape(
                ctx, broadcast_to(ctx, x, (*batch, *x.shape[-2:])), (product(batch), *x.shape[-2:])
            )
            for x in (a, b)
        )
        flat = TensorType((product(batch), rows, columns), a.dtype)
        return reshape(ctx, ctx.emit("BATCH_MATMUL", [a, b], flat, options), shape)
    return ctx.emit("BATCH_MATMUL", [a, b], TensorType(shape, a.dtype), options)
