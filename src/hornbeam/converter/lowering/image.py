"""Pictures: resizing."""

from __future__ import annotations

from typing import Any

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.errors import UnsupportedLayerError
from hornbeam.graph import Shape, Value
from hornbeam.graph import operations as op

__all__ = ["resize"]


@lowers("layers.Resizing", channels=True)
def resizing(b: Builder, layer: Any, x: Value) -> Value:
    """A picture of another size."""
    _plain(b, layer.crop_to_aspect_ratio, layer.pad_to_aspect_ratio, layer.antialias)
    return resize(b, x, (layer.height, layer.width), layer.interpolation)


@lowers("ops.Resize", channels=True)
def resize_operation(b: Builder, operation: Any, x: Value) -> Value:
    """``keras.ops.image.resize``."""
    o = operation
    _plain(b, o.crop_to_aspect_ratio, o.pad_to_aspect_ratio, o.antialias)
    if x.rank == 3:
        return b.reshape(
            resize(b, b.reshape(x, (1, *x.shape)), o.size, o.interpolation),
            (*o.size, x.shape[-1]),
        )
    return resize(b, x, o.size, o.interpolation)


def resize(b: Builder, x: Value, size: Shape, interpolation: Any) -> Value:
    """``[n, h, w, c]`` resampled with half-pixel centres."""
    if interpolation not in ("nearest", "bilinear"):
        raise UnsupportedLayerError(
            f"Cannot convert '{b.path}'",
            f"It resizes with interpolation='{interpolation}'",
            "Use 'nearest' or 'bilinear'",
        )
    if tuple(size) == x.shape[1:3]:
        return x
    return b.emit(op.Resize(tuple(size), interpolation), x)


def _plain(b: Builder, crop: bool, pad: bool, antialias: bool) -> None:
    for name, used in (
        ("crop_to_aspect_ratio", crop),
        ("pad_to_aspect_ratio", pad),
        ("antialias", antialias),
    ):
        if used:
            raise UnsupportedLayerError(
                f"Cannot convert '{b.path}'", f"It resizes with {name}=True", "Use False"
            )
