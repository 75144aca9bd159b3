"""Pooling over windows and over everything."""

from __future__ import annotations

from typing import Any, Literal

from hornbeam.converter.lowering.arguments import float_result, spread
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op

__all__ = ["pool"]


@lowers("layers.MaxPooling1D", "layers.MaxPooling2D", "layers.MaxPooling3D", channels=True)
def max_pooling(b: Builder, layer: Any, x: Value) -> Value:
    """The maximum of each window."""
    return pool(b, "max", layer, x)


@lowers(
    "layers.AveragePooling1D", "layers.AveragePooling2D", "layers.AveragePooling3D", channels=True
)
def average_pooling(b: Builder, layer: Any, x: Value) -> Value:
    """The mean of each window, padding left out."""
    return pool(b, "average", layer, x)


def pool(b: Builder, function: Literal["max", "average"], layer: Any, x: Value) -> Value:
    """A pooling layer or operation with ``pool_size``, ``strides`` and ``padding``."""
    rank = x.rank - 2
    size = spread(layer.pool_size, rank)
    strides = size if layer.strides is None else spread(layer.strides, rank)
    return b.emit(op.Pool(function, size, strides, layer.padding), x)


@lowers("layers.GlobalAveragePooling1D", "layers.GlobalAveragePooling2D",
        "layers.GlobalAveragePooling3D")  # fmt: skip
def global_average_pooling(b: Builder, layer: Any, x: Value, mask: Value | None = None) -> Value:
    """The mean over all spatial axes; masked steps do not count."""
    axes = _spatial(layer, x)
    x = b.cast(x, float_result(x.dtype))
    if mask is None:
        return b.reduce("mean", x, axes, layer.keepdims)
    # Keras: sum(x * mask) / sum(mask), the mask widened over the features.
    wide = b.reshape(b.cast(mask, x.dtype), (*mask.shape, 1))
    if layer.data_format == "channels_first":
        wide = b.transpose(wide, (0, 2, 1))
    total = b.reduce("sum", b.binary("multiply", x, wide), axes, layer.keepdims)
    return b.binary("divide", total, b.reduce("sum", wide, axes, layer.keepdims))


@lowers("layers.GlobalMaxPooling1D", "layers.GlobalMaxPooling2D", "layers.GlobalMaxPooling3D")
def global_max_pooling(b: Builder, layer: Any, x: Value) -> Value:
    """The maximum over all spatial axes."""
    return b.reduce("max", x, _spatial(layer, x), layer.keepdims)


def _spatial(layer: Any, x: Value) -> range:
    return range(2, x.rank) if layer.data_format == "channels_first" else range(1, x.rank - 1)
