"""Pools, and layer normalization."""

from __future__ import annotations

from typing import cast

from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.converter.tflite.linear import slid
from hornbeam.converter.tflite.reduction import reduce
from hornbeam.converter.tflite.registry import writes
from hornbeam.converter.tflite.sizes import drop_axis, insert_axis, merged, reshape
from hornbeam.converter.tflite.windows import Window, enter
from hornbeam.graph import Node
from hornbeam.graph.operations import LayerNorm, Pool

#: The least float32, which every other number beats.
_LOWEST = -3.4028234663852886e38


@writes(Pool)
def pool(ctx: Context, node: Node) -> Tensor:
    """MAX_POOL_2D and AVERAGE_POOL_2D; over three axes, two of them and then the third."""
    operation = cast(Pool, node.operation)
    x = ctx.read(node.inputs[0])
    window = Window(operation.pool_size, operation.strides, operation.padding)
    code = "MAX_POOL_2D" if operation.function == "max" else "AVERAGE_POOL_2D"
    if x.rank == 3:
        return drop_axis(ctx, slide(ctx, code, insert_axis(ctx, x, 1), window.after_row()), 1)
    if x.rank == 5:
        return _pool_3d(ctx, code, x, window)
    return slide(ctx, code, x, window)


def slide(ctx: Context, code: str, x: Tensor, window: Window) -> Tensor:
    """A pool over two axes."""
    type_ = slid(x, window, x.shape[-1])
    x, padding = enter(ctx, x, window, _LOWEST)
    options = schema.Pool2DOptionsT()
    options.padding = padding
    options.strideH, options.strideW = window.strides
    options.filterHeight, options.filterWidth = window.size
    options.fusedActivationFunction = ctx.take_activation()
    return ctx.emit(code, [x], type_, options)


def _pool_3d(ctx: Context, code: str, x: Tensor, window: Window) -> Tensor:
    # A mean of means is the mean, because all means over (h, w) of one place have one count.
    activation, ctx.activation = ctx.activation, schema.ActivationFunctionType.NONE
    padding = window.padding
    plane = padding if isinstance(padding, str) else padding[1:]
    depth = padding if isinstance(padding, str) else (padding[0], (0, 0))
    flat = reshape(ctx, x, merged(x.shape, 0, 2))
    flat = slide(ctx, code, flat, Window(window.size[1:], window.strides[1:], plane))
    _, height, width, channels = flat.shape
    columns = reshape(ctx, flat, (*x.shape[:2], height * width, channels))
    ctx.activation = activation
    columns = slide(ctx, code, columns, Window((window.size[0], 1), (window.strides[0], 1), depth))
    return reshape(ctx, columns, (*columns.shape[:2], height, width, channels))


@writes(LayerNorm)
def layer_norm(ctx: Context, node: Node) -> Tensor:
    """The mean and variance of the centred values, as Keras computes them."""
    x, scale, offset = ctx.reads(node)
    axes = (x.rank - 1,)
    centred = ctx.binary("SUB", x, reduce(ctx, "MEAN", x, axes, True))
    variance = reduce(ctx, "MEAN", ctx.unary("SQUARE", centred), axes, True)
    epsilon = cast(LayerNorm, node.operation).epsilon
    inverse = ctx.unary("RSQRT", ctx.binary("ADD", variance, epsilon))
    scaled = ctx.binary("MUL", ctx.binary("MUL", centred, inverse), scale)
    return ctx.binary("ADD", scaled, offset)
