"""Convolutions of every kind over 1, 2 and 3 spatial axes."""

from __future__ import annotations

from typing import Any

from hornbeam.converter.lowering.arguments import spread
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op

__all__ = ["transposed_cropping"]


@lowers("layers.Conv1D", "layers.Conv2D", "layers.Conv3D", channels=True)
def conv(b: Builder, layer: Any, x: Value) -> Value:
    """``activation(conv(x, kernel) + bias)``, grouped and dilated as asked."""
    rank = x.rank - 2
    x, padding = _causal(b, layer, x)
    operation = op.Conv(
        spread(layer.strides, rank), padding, spread(layer.dilation_rate, rank), layer.groups
    )
    y = b.emit(operation, x, b.value(layer.kernel, x.dtype), *b.weights(layer.bias))
    return b.activation(layer.activation, y)


@lowers("layers.DepthwiseConv1D", "layers.DepthwiseConv2D", channels=True)
def depthwise_conv(b: Builder, layer: Any, x: Value) -> Value:
    """``activation(depthwise(x, kernel) + bias)``."""
    rank = x.rank - 2
    operation = op.DepthwiseConv(
        spread(layer.strides, rank), layer.padding, spread(layer.dilation_rate, rank)
    )
    y = b.emit(operation, x, b.value(layer.kernel, x.dtype), *b.weights(layer.bias))
    return b.activation(layer.activation, y)


@lowers("layers.SeparableConv1D", "layers.SeparableConv2D", channels=True)
def separable_conv(b: Builder, layer: Any, x: Value) -> Value:
    """A depthwise convolution, then a pointwise one."""
    rank = x.rank - 2
    x, padding = _causal(b, layer, x)
    ones = (1,) * rank
    spatial = op.DepthwiseConv(
        spread(layer.strides, rank), padding, spread(layer.dilation_rate, rank)
    )
    y = b.emit(spatial, x, b.value(layer.depthwise_kernel, x.dtype))
    pointwise = b.value(layer.pointwise_kernel, x.dtype)
    y = b.emit(op.Conv(ones, "valid", ones), y, pointwise, *b.weights(layer.bias))
    return b.activation(layer.activation, y)


@lowers("layers.Conv1DTranspose", "layers.Conv2DTranspose", "layers.Conv3DTranspose", channels=True)
def conv_transpose(b: Builder, layer: Any, x: Value) -> Value:
    """``activation(conv_transpose(x, kernel) + bias)``."""
    rank = x.rank - 2
    kernel = b.value(layer.kernel, x.dtype)
    strides, dilation = spread(layer.strides, rank), spread(layer.dilation_rate, rank)
    extra = layer.output_padding
    cropping = transposed_cropping(
        kernel.array.shape[:rank],
        strides,
        dilation,
        layer.padding,
        None if extra is None else spread(extra, rank),
    )
    y = b.emit(op.ConvTranspose(strides, cropping, dilation), x, kernel, *b.weights(layer.bias))
    return b.activation(layer.activation, y)


def transposed_cropping(
    window: tuple[int, ...],
    strides: tuple[int, ...],
    dilation: tuple[int, ...],
    padding: str,
    output_padding: tuple[int, ...] | None,
) -> tuple[tuple[int, int], ...]:
    """What Keras cuts off the full transposed convolution, before and after each spatial axis.

    Source: ``keras/src/backend/common/backend_utils.py``, as its JAX and TensorFlow backends do it:
    "valid" is at least ``size * stride`` long, "same" exactly so, unless ``output_padding`` sets
    the length.
    """
    cropping = []
    for axis, (size, stride, rate) in enumerate(zip(window, strides, dilation, strict=True)):
        k = (size - 1) * rate + 1
        extra = None if output_padding is None else output_padding[axis]
        if padding == "valid":
            before, after = 0, -(max(stride - k, 0) if extra is None else extra)
        else:
            total = stride + k - 2 if extra is None else k + k % 2 - 2 + extra
            left = min(total // 2 + total % 2, k - 1)
            before, after = k - 1 - left, k - 1 - (total - left)
        cropping.append((before, after))
    return tuple(cropping)


def _causal(b: Builder, layer: Any, x: Value) -> tuple[Value, op.Padding]:
    """Causal padding is zeros before the first step; everything else is the operation's own."""
    if layer.padding != "causal":
        return x, layer.padding
    (window,), (dilation,) = layer.kernel_size, layer.dilation_rate
    return b.pad(x, [(0, 0), ((window - 1) * dilation, 0), (0, 0)]), "valid"
