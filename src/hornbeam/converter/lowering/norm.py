"""Normalizations: with stored statistics an affine map, with those of the input a reduction."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam.converter.lowering.arguments import axes_of
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op
from hornbeam.graph.dims import known

__all__ = ["affine", "layer_norm", "standardize"]


@lowers("layers.BatchNormalization")
def batch_normalization(b: Builder, layer: Any, x: Value) -> Value:
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta`` with the moving statistics."""

    def array(variable: Any) -> Any:
        return None if variable is None else np.float64(b.keras.variable(variable)[1])

    mean, variance = array(layer.moving_mean), array(layer.moving_variance)
    gamma, beta = array(layer.gamma), array(layer.beta)
    scale = (1.0 if gamma is None else gamma) / np.sqrt(variance + layer.epsilon)
    offset = (0.0 if beta is None else beta) - mean * scale
    # Keras computes half precision batch normalization in float32.
    wide = b.cast(x, "float32") if x.dtype in ("float16", "bfloat16") else x
    return b.cast(affine(b, wide, scale, offset, layer.axis), x.dtype)


def affine(b: Builder, x: Value, scale: Any, offset: Any, axis: int) -> Value:
    """``x * scale + offset`` along one axis."""
    axis %= x.rank
    last = [*(i for i in range(x.rank) if i != axis), axis]
    size = known(x.shape[axis], "the number of channels")
    vectors = [
        b.constant(np.broadcast_to(np.asarray(v, x.dtype), (size,)), x.dtype, f"{b.path}/{name}")
        for name, v in (("scale", scale), ("offset", offset))
    ]
    y = b.emit(op.Affine(), b.transpose(x, last), *vectors)
    return b.transpose(y, [last.index(i) for i in range(x.rank)])


@lowers("layers.LayerNormalization")
def layer_normalization(b: Builder, layer: Any, x: Value) -> Value:
    """Each sample by its own mean and variance over ``axis``."""
    if getattr(layer, "rms_scaling", False):
        return rms(b, x, layer.axis, layer.epsilon, layer.gamma)
    return layer_norm(b, x, layer.axis, layer.epsilon, (layer.gamma, layer.beta))


@lowers("layers.RMSNormalization")
def rms_normalization(b: Builder, layer: Any, x: Value) -> Value:
    """``x / sqrt(mean(x^2) + epsilon) * scale``."""
    return rms(b, x, layer.axis, layer.epsilon, layer.scale)


def rms(b: Builder, x: Value, axis: Any, epsilon: float, scale: Any) -> Value:
    """Zhang, Sennrich: Root Mean Square Layer Normalization, 2019."""
    axes = axes_of(axis, x.rank)
    wide = b.cast(x, "float32") if x.dtype in ("float16", "bfloat16") else x
    mean = b.reduce("mean", b.unary("square", wide), axes, keepdims=True)
    y = b.binary("multiply", wide, b.unary("rsqrt", b.binary("add", mean, epsilon)))
    # Keras multiplies as numpy broadcasts, from the last axis on, whichever axes were normalized.
    y = y if scale is None else b.binary("multiply", y, b.value(scale, y.dtype))
    return b.cast(y, x.dtype)


def layer_norm(b: Builder, x: Value, axis: Any, epsilon: float, weights: Any) -> Value:
    """Layer normalization over any axes; ``weights`` are scale and offset, both optional."""
    scale, offset = weights
    axes = axes_of(axis, x.rank)
    wide = b.cast(x, "float32") if x.dtype in ("float16", "bfloat16") else x
    if axes == (x.rank - 1,) and isinstance(x.shape[-1], int):
        vectors = [
            b.constant(np.full(x.shape[-1], fill), wide.dtype)
            if vector is None
            else b.reshape(b.value(vector, wide.dtype), (x.shape[-1],))
            for vector, fill in ((scale, 1.0), (offset, 0.0))
        ]
        return b.cast(b.emit(op.LayerNorm(epsilon), wide, *vectors), x.dtype)
    y = _scaled(b, standardize(b, wide, axes, epsilon), axes, scale, offset)
    return b.cast(y, x.dtype)


def standardize(b: Builder, x: Value, axes: Any, epsilon: float) -> Value:
    """``(x - mean) / sqrt(variance + epsilon)`` over ``axes``."""
    centred = b.binary("subtract", x, b.reduce("mean", x, axes, keepdims=True))
    variance = b.reduce("mean", b.unary("square", centred), axes, keepdims=True)
    return b.binary("multiply", centred, b.unary("rsqrt", b.binary("add", variance, epsilon)))


def _scaled(b: Builder, x: Value, axes: tuple[int, ...], scale: Any, offset: Any) -> Value:
    shape = tuple(x.shape[i] if i in axes else 1 for i in range(x.rank))
    if scale is not None:
        x = b.binary("multiply", x, b.reshape(b.value(scale, x.dtype), shape))
    if offset is not None:
        x = b.binary("add", x, b.reshape(b.value(offset, x.dtype), shape))
    return x


@lowers("layers.GroupNormalization")
def group_normalization(b: Builder, layer: Any, x: Value) -> Value:
    """Each group of channels of each sample by its own statistics (Wu, He, 2018)."""
    axis = layer.axis % x.rank
    channels = known(x.shape[axis], "the number of channels")
    groups = channels if layer.groups == -1 else layer.groups
    last = [*(i for i in range(x.rank) if i != axis), axis]
    wide = b.transpose(b.cast(x, "float32") if x.dtype in ("float16", "bfloat16") else x, last)
    grouped = b.reshape(wide, (*wide.shape[:-1], groups, channels // groups))
    over = (*range(1, wide.rank - 1), wide.rank)
    y = b.reshape(standardize(b, grouped, over, layer.epsilon), wide.shape)
    y = _scaled(b, y, (wide.rank - 1,), layer.gamma, layer.beta)
    return b.cast(b.transpose(y, [last.index(i) for i in range(x.rank)]), x.dtype)


@lowers("layers.UnitNormalization")
def unit_normalization(b: Builder, layer: Any, x: Value) -> Value:
    """``x / max(norm(x), sqrt(1e-12))`` over ``axis``."""
    square = b.reduce("sum", b.unary("square", x), axes_of(layer.axis, x.rank), keepdims=True)
    return b.binary("multiply", x, b.unary("rsqrt", b.binary("maximum", square, 1e-12)))
