"""Pools, and layer normalization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.linear import slid
from hornbeam.converter.tflite.reduction import reduce
from hornbeam.converter.tflite.registry import writes
from hornbeam.converter.tflite.rows import as_row, from_row, pointwise
from hornbeam.converter.tflite.sizes import reshape, shape_tensor
from hornbeam.converter.tflite.windows import Window, enter, is_builtin, pad
from hornbeam.graph import Node, TensorType
from hornbeam.graph.operations import LayerNorm, Pool

#: The least float32, which every other number beats.
LOWEST = -3.4028234663852886e38
_NEVER_NEGATIVE = ("RELU", "RELU6", "LOGISTIC", "EXP", "ABS", "SQUARE", "SOFTMAX")


@writes(Pool)
def pool(ctx: Context, node: Node) -> Tensor:
    """MAX_POOL_2D and AVERAGE_POOL_2D; over three axes, two of them and then the third."""
    operation = cast(Pool, node.operation)
    x = ctx.read(node.inputs[0])
    window = Window(operation.pool_size, operation.strides, operation.padding)
    code = "MAX_POOL_2D" if operation.function == "max" else "AVERAGE_POOL_2D"
    if x.rank == 3:
        return from_row(ctx, slide(ctx, code, as_row(ctx, x), window.after_row()))
    if x.rank == 5:
        return _pool_3d(ctx, code, x, window)
    return slide(ctx, code, x, window)


def slide(ctx: Context, code: str, x: Tensor, window: Window) -> Tensor:
    """A pool over two axes."""
    if window.size == (1, 1) and x.quantization is None:
        return _picked(ctx, x, window)
    if code == "AVERAGE_POOL_2D" and not is_builtin(x, window):
        return _average_of_present(ctx, x, window)
    type_ = slid(x, window, x.shape[-1])
    options = schema.Pool2DOptionsT()
    # XNNPACK pads with zeros only, which lose to whatever is not negative.
    x, options.padding = enter(ctx, x, window, 0.0 if _never_negative(ctx, x) else LOWEST)
    options.strideH, options.strideW = window.strides
    options.filterHeight, options.filterWidth = window.size
    options.fusedActivationFunction = ctx.take_activation()
    return ctx.emit(code, [x], type_, options)


def _never_negative(ctx: Context, x: Tensor) -> bool:
    maker = ctx.makers.get(x)
    if maker is None or x.quantization is not None:
        return False
    kinds = schema.ActivationFunctionType
    activation = getattr(maker.options, "fusedActivationFunction", kinds.NONE)
    return activation in (kinds.RELU, kinds.RELU6) or maker.code in _NEVER_NEGATIVE


def _average_of_present(ctx: Context, x: Tensor, window: Window) -> Tensor:
    """An average that leaves out padding which "same" cannot express.

    The average with zeros for padding, divided by the same average of ones.
    """
    activation, ctx.activation = ctx.activation, schema.ActivationFunctionType.NONE
    pads = ((0, 0), *cast("tuple[tuple[int, int], ...]", window.padding), (0, 0))
    inner = replace(window, padding="valid")
    average = slide(ctx, "AVERAGE_POOL_2D", pad(ctx, x, pads), inner)
    shape = (1, *x.shape[1:-1], 1)
    ones = ctx.emit(
        "FILL",
        [shape_tensor(ctx, shape), ctx.constant(1, "float32")],
        TensorType(shape, "float32"),
        schema.FillOptionsT(),
    )
    if ctx.known(shape):
        ones = ctx.constant(np.ones(cast("tuple[int, ...]", shape), np.float32))
    share = slide(ctx, "AVERAGE_POOL_2D", pad(ctx, ones, pads), inner)
    ctx.activation = activation
    options = schema.DivOptionsT()
    options.fusedActivationFunction = ctx.take_activation()
    return ctx.binary("DIV", average, share, options)


def _picked(ctx: Context, x: Tensor, window: Window) -> Tensor:
    """A pool of single elements; XNNPACK has that only as a convolution of each by 1."""
    if window.strides == (1, 1):
        return x
    channels = cast(int, x.shape[-1])
    type_ = slid(x, window, channels)
    options = schema.DepthwiseConv2DOptionsT()
    options.depthMultiplier = 1
    x, options.padding = enter(ctx, x, window, LOWEST)
    options.strideH, options.strideW = window.strides
    options.fusedActivationFunction = ctx.take_activation()
    ones = ctx.constant(np.ones((1, 1, 1, channels), np.float32))
    zeros = ctx.constant(np.zeros(channels, np.float32))
    return ctx.emit("DEPTHWISE_CONV_2D", [x, ones, zeros], type_, options)


def _pool_3d(ctx: Context, code: str, x: Tensor, window: Window) -> Tensor:
    # A mean of means is the mean, because all means over (h, w) of one place have one count.
    activation, ctx.activation = ctx.activation, schema.ActivationFunctionType.NONE
    padding = window.padding
    plane = padding if isinstance(padding, str) else padding[1:]
    depth = padding if isinstance(padding, str) else (padding[0], (0, 0))
    flat = reshape(ctx, x, (x.shape[0] * x.shape[1], *x.shape[2:]))
    flat = slide(ctx, code, flat, Window(window.size[1:], window.strides[1:], plane))
    _, height, width, channels = flat.shape
    columns = reshape(ctx, flat, (*x.shape[:2], height * width, channels))
    ctx.activation = activation
    columns = slide(ctx, code, columns, Window((window.size[0], 1), (window.strides[0], 1), depth))
    return reshape(ctx, columns, (*columns.shape[:2], height, width, channels))


@writes(LayerNorm)
@pointwise
def layer_norm(ctx: Context, node: Node, inputs: Sequence[Tensor]) -> Tensor:
    """The mean and variance of the centred values, as Keras computes them."""
    x, scale, offset = inputs
    axes = (x.rank - 1,)
    centred = ctx.binary("SUB", x, reduce(ctx, "MEAN", x, axes, True))
    variance = reduce(ctx, "MEAN", ctx.unary("SQUARE", centred), axes, True)
    epsilon = cast(LayerNorm, node.operation).epsilon
    inverse = ctx.unary("RSQRT", ctx.binary("ADD", variance, epsilon))
    scaled = ctx.binary("MUL", ctx.binary("MUL", centred, inverse), scale)
    return ctx.binary("ADD", scaled, offset)
