"""Layers that change shapes: flatten, permute, repeat, crop, pad, enlarge."""

from __future__ import annotations

from typing import Any

from hornbeam.converter.lowering.arguments import pairs, spread
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.image import resize
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op
from hornbeam.graph.dims import product, quotient

__all__: list[str] = []


@lowers("layers.Flatten")
def flatten(b: Builder, layer: Any, x: Value) -> Value:
    """``[n, ...]`` as ``[n, elements]``; channels-first inputs are turned first, as in Keras."""
    if layer.data_format == "channels_first" and x.rank > 2:
        x = b.transpose(x, (0, *range(2, x.rank), 1))
    return b.reshape(x, (x.shape[0], product(x.shape[1:])))


@lowers("layers.Reshape")
def reshape(b: Builder, layer: Any, x: Value) -> Value:
    """``[n, ...]`` as ``[n, *target_shape]``."""
    target = [-1 if size is None else size for size in layer.target_shape]
    if -1 in target:
        known = product(size for size in target if size != -1)
        target[target.index(-1)] = quotient(product(x.shape[1:]), known)
    return b.reshape(x, (x.shape[0], *target))


@lowers("layers.Permute")
def permute(b: Builder, layer: Any, x: Value) -> Value:
    """The axes after the batch in another order."""
    return b.transpose(x, (0, *layer.dims))


@lowers("layers.RepeatVector")
def repeat_vector(b: Builder, layer: Any, x: Value) -> Value:
    """``[n, features]`` as ``[n, repeats, features]``."""
    batch, features = x.shape
    return b.broadcast(b.reshape(x, (batch, 1, features)), (batch, layer.n, features))


@lowers("layers.Cropping1D", "layers.Cropping2D", "layers.Cropping3D", channels=True)
def cropping(b: Builder, layer: Any, x: Value) -> Value:
    """A border cut off each spatial axis."""
    for axis, (before, after) in enumerate(pairs(layer.cropping, x.rank - 2), start=1):
        x = b.slice(x, axis, before, x.shape[axis] - before - after)
    return x


@lowers("layers.ZeroPadding1D", "layers.ZeroPadding2D", "layers.ZeroPadding3D", channels=True)
def zero_padding(b: Builder, layer: Any, x: Value) -> Value:
    """A border of zeros around each spatial axis."""
    return b.pad(x, [(0, 0), *pairs(layer.padding, x.rank - 2), (0, 0)])


@lowers("layers.UpSampling1D", "layers.UpSampling3D", channels=True)
def up_sampling(b: Builder, layer: Any, x: Value) -> Value:
    """Each step repeated."""
    for axis, times in enumerate(spread(layer.size, x.rank - 2), start=1):
        x = repeat(b, x, axis, times)
    return x


@lowers("layers.UpSampling2D", channels=True)
def up_sampling_2d(b: Builder, layer: Any, x: Value) -> Value:
    """A picture enlarged by whole factors."""
    size = tuple(dim * times for dim, times in zip(x.shape[1:3], layer.size, strict=True))
    return resize(b, x, size, layer.interpolation)


def repeat(b: Builder, x: Value, axis: int, times: int) -> Value:
    """Each slice along ``axis`` repeated ``times`` times in place."""
    if times == 1:
        return x
    before, after = x.shape[: axis + 1], x.shape[axis + 1 :]
    wide = b.reshape(x, (*before, 1, *after))
    tiled = b.emit(op.Tile((*(1 for _ in before), times, *(1 for _ in after))), wide)
    return b.reshape(tiled, (*before[:-1], before[-1] * times, *after))
