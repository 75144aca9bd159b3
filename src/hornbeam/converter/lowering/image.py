"""Pictures: resizing and cropping, and what turns up only in training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.converter.lowering.resample import KERNELS, along, resampling
from hornbeam.errors import UnsupportedLayerError
from hornbeam.graph import Shape, Value
from hornbeam.graph import operations as op
from hornbeam.graph.types import is_float

__all__ = ["resize"]


#: The way back from ``[n, h, w, c]``.
_Back: TypeAlias = Callable[[Value], Value]


@dataclass(frozen=True)
class _Way:
    """How a picture comes to its new size."""

    interpolation: str
    antialias: bool = False
    crop: bool = False
    #: The number around a picture that is made as wide, or as high, as the target's shape asks.
    pad: float | None = None


@lowers("layers.Resizing")
def resizing(b: Builder, layer: Any, x: Any) -> Value:
    """A picture of another size."""
    return _resized(b, layer, _alone(b, x), (layer.height, layer.width))


@lowers("ops.Resize")
def resize_operation(b: Builder, operation: Any, x: Value) -> Value:
    """``keras.ops.image.resize``."""
    return _resized(b, operation, x, tuple(operation.size))


def _resized(b: Builder, options: Any, x: Value, size: Shape) -> Value:
    pad = float(options.fill_value) if options.pad_to_aspect_ratio else None
    way = _Way(
        options.interpolation, bool(options.antialias), bool(options.crop_to_aspect_ratio), pad
    )
    picture, back = _channels_last(b, x, options.data_format)
    return back(_to_size(b, picture, size, way))


@lowers("layers.CenterCrop")
def center_crop(b: Builder, layer: Any, x: Any) -> Value:
    """The middle of a picture; of a smaller one as much as has the shape, enlarged."""
    x = b.cast(_alone(b, x), str(layer.compute_dtype))
    picture, back = _channels_last(b, x, layer.data_format)
    height, width = _known(b, picture, "cutting out its middle")
    if height < layer.height or width < layer.width:
        size = (layer.height, layer.width)
        return back(_to_size(b, picture, size, _Way("bilinear", crop=True)))
    picture = b.slice(picture, 1, (height - layer.height) // 2, layer.height)
    return back(b.slice(picture, 2, (width - layer.width) // 2, layer.width))


def _to_size(b: Builder, x: Value, size: Shape, way: _Way) -> Value:
    """``[n, h, w, c]`` in another size; integers are rounded, and stay in their range."""
    if way.crop:
        x = _cropped(b, x, *cast("tuple[int, int]", size))
    elif way.pad is not None:
        x = _padded(b, x, cast("tuple[int, int]", size), way.pad)
    if is_float(x.dtype) or way.interpolation == "nearest":
        return resize(b, x, size, way.interpolation, antialias=way.antialias)
    wide = resize(b, b.cast(x, "float32"), size, way.interpolation, antialias=way.antialias)
    limits = np.iinfo(x.dtype)
    bounded = b.emit(op.Clip(float(limits.min), float(limits.max)), b.unary("round", wide))
    return b.cast(bounded, x.dtype)


def resize(
    b: Builder, x: Value, size: Shape, interpolation: str, *, antialias: bool = False
) -> Value:
    """``[n, h, w, c]`` resampled with half-pixel centres."""
    size = tuple(size)
    if size == x.shape[1:3]:
        return x
    if interpolation == "nearest":
        return b.emit(op.Resize(size, "nearest"), x)
    shrinks = any(
        not (isinstance(a, int) and isinstance(z, int) and z >= a)
        for a, z in zip(x.shape[1:3], size, strict=True)
    )
    if interpolation == "bilinear" and not (antialias and shrinks):
        return b.emit(op.Resize(size, "bilinear"), x)
    if interpolation not in KERNELS and interpolation != "area":
        raise UnsupportedLayerError(
            f"Cannot convert '{b.path}'",
            f"It resizes with interpolation='{interpolation}', which Keras does not describe",
            "Use 'nearest', 'bilinear', 'bicubic', 'area', 'lanczos3' or 'lanczos5'",
        )
    return _by_matrices(b, x, cast("tuple[int, int]", size), interpolation, antialias)


def _by_matrices(
    b: Builder, x: Value, size: tuple[int, int], interpolation: str, antialias: bool
) -> Value:
    what = f"resizing with interpolation='{interpolation}'" + (", antialias=True" * antialias)
    sizes = _known(b, x, what)
    # The axis that shrinks most goes first: the other then has less to do.
    for axis in sorted((0, 1), key=lambda i: size[i] / sizes[i]):
        if size[axis] != sizes[axis]:
            matrix = resampling(interpolation, sizes[axis], size[axis], antialias)
            x = along(b, x, axis + 1, matrix)
    return x


def _cropped(b: Builder, x: Value, height: int, width: int) -> Value:
    """The middle of a picture in the shape of ``height`` by ``width``, by Keras's rounding."""
    own_height, own_width = _known(b, x, "crop_to_aspect_ratio")
    rows = max(min(own_height, int(own_width * height / width)), 1)
    columns = max(min(own_width, int(own_height * width / height)), 1)
    x = b.slice(x, 1, (own_height - rows) // 2, rows)
    return b.slice(x, 2, (own_width - columns) // 2, columns)


def _padded(b: Builder, x: Value, size: tuple[int, int], fill: float) -> Value:
    """A border on both sides, as Keras makes it: above and below, or else left and right."""
    height, width = _known(b, x, "pad_to_aspect_ratio")
    rows = (max(height, int(width * size[0] / size[1])) - height) // 2
    columns = 0 if rows else (max(width, int(height * size[1] / size[0])) - width) // 2
    return b.pad(x, [(0, 0), (rows, rows), (columns, columns), (0, 0)], fill)


def _alone(b: Builder, x: Any) -> Value:
    if isinstance(x, Value):
        return x
    raise UnsupportedLayerError(
        f"Cannot convert '{b.path}'",
        "It takes a dictionary of pictures and boxes, for which Keras knows no shape in a model",
        "Give it the pictures alone; boxes belong to the preparation of training data",
    )


def _known(b: Builder, x: Value, what: str) -> tuple[int, int]:
    height, width = x.shape[1:3]
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    raise UnsupportedLayerError(
        f"Cannot convert '{b.path}' ({what})",
        f"What it computes depends on the size of the picture, and that is free: {x.shape}",
        "Give the model's input a fixed height and width",
    )


def _channels_last(b: Builder, x: Value, data_format: str | None) -> tuple[Value, _Back]:
    """A picture or a batch of them as ``[n, h, w, c]``, and the way back."""
    first = data_format == "channels_first"
    single = x.rank == 3
    batch = b.reshape(x, (1, *x.shape)) if single else x
    picture = b.transpose(batch, (0, 2, 3, 1)) if first else batch

    def back(y: Value) -> Value:
        y = b.transpose(y, (0, 3, 1, 2)) if first else y
        return b.reshape(y, y.shape[1:]) if single else y

    return picture, back


@lowers(
    "layers.Equalization",
    "layers.MixUp",
    "layers.RandomBrightness",
    "layers.RandomColorDegeneration",
    "layers.RandomColorJitter",
    "layers.RandomContrast",
    "layers.RandomCrop",
    "layers.RandomGrayscale",
    "layers.RandomHue",
    "layers.RandomInvert",
    "layers.RandomPosterization",
    "layers.RandomSaturation",
)
def only_in_training(_: Builder, __: Any, data: Any) -> Any:
    """The pictures, boxes and labels as they are: not even RandomCrop crops at inference."""
    return data


@lowers(
    "layers.AugMix",
    "layers.CutMix",
    "layers.RandAugment",
    "layers.RandomElasticTransform",
    "layers.RandomErasing",
    "layers.RandomFlip",
    "layers.RandomGaussianBlur",
    "layers.RandomPerspective",
    "layers.RandomRotation",
    "layers.RandomSharpness",
    "layers.RandomShear",
    "layers.RandomTranslation",
    "layers.RandomZoom",
    "layers.Solarization",
)
def only_a_cast(b: Builder, layer: Any, data: Any) -> Any:
    """The same, in floats."""
    if isinstance(data, dict):
        return {**data, "images": b.cast(data["images"], str(layer.compute_dtype))}
    return b.cast(data, str(layer.compute_dtype))
