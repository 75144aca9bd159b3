"""``keras.ops.image``: pictures read at other places, between their elements."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from hornbeam.converter.lowering.compose import as_float, composes
from hornbeam.converter.lowering.ops_picture import size_axes
from hornbeam.converter.lowering.resample import KERNELS

__all__: list[str] = []


# Resampling at given places


@composes("MapCoordinates")
def _map_coordinates(operation: Any, inputs: Any, coordinates: Any) -> Any:
    mode = (operation.order, operation.fill_mode, operation.fill_value)
    coordinates = ops.convert_to_tensor(coordinates)
    places = [coordinates[i] for i in range(len(inputs.shape))]
    return _sampled(inputs, places, mode)


def _sampled(x: Any, places: list[Any], mode: tuple[int, str, float]) -> Any:
    """``x`` at the real-valued ``places`` along each axis: the nearest, or between neighbours.

    Sizes are known. Indices go into the flattened ``x``.
    """
    order, fill, value = mode
    sizes = [int(size) for size in x.shape]
    strides = [int(np.prod(sizes[i + 1 :], dtype=np.int64)) for i in range(len(sizes))]
    parts = []
    for place, size, stride in zip(places, sizes, strides, strict=True):
        choices = []
        for index, weight in _neighbours(as_float(place), order):
            inside = ops.logical_and(index >= 0, index < size)
            fixed = _inside(index, size, fill)
            choices.append((fixed * stride, weight, inside))
        parts.append(choices)
    flat, total = ops.reshape(x, (-1,)), None
    for corner in _corners(parts):
        index, weight, inside = corner
        term = ops.take(flat, index)
        if fill == "constant":
            term = ops.where(inside, term, ops.cast(value, x.dtype))
        if weight is not None:
            term = ops.cast(term, weight.dtype) * weight
        total = term if total is None else total + term
    if "int" in str(x.dtype) and order == 1:
        total = ops.round(total)
    return ops.cast(total, x.dtype)


def _neighbours(place: Any, order: int) -> list[tuple[Any, Any]]:
    if order == 0:
        return [(ops.cast(ops.round(place), "int32"), None)]
    low = ops.floor(place)
    upper = place - low
    index = ops.cast(low, "int32")
    return [(index, 1.0 - upper), (index + 1, upper)]


def _corners(parts: list[list[tuple[Any, Any, Any]]]) -> list[tuple[Any, Any, Any]]:
    """Every combination of neighbours: the sum of indices, the product of weights."""
    corners = parts[0]
    for choices in parts[1:]:
        corners = [
            (
                index + other_index,
                weight if other is None else other if weight is None else weight * other,
                ops.logical_and(inside, other_inside),
            )
            for index, weight, inside in corners
            for other_index, other, other_inside in choices
        ]
    return corners


def _inside(index: Any, size: int, fill: str) -> Any:
    """Indices outside folded back as the mode says."""
    if fill == "wrap":
        return ops.mod(index, size)
    if fill == "mirror":
        # ... 2 1 0 1 2 ...: the edge is not repeated.
        period = max(1, 2 * (size - 1))
        folded = ops.mod(index, period)
        return ops.minimum(folded, period - folded)
    if fill == "reflect":
        folded = ops.mod(index, 2 * size)
        return ops.minimum(folded, 2 * size - 1 - folded)
    return ops.clip(index, 0, size - 1)


def _batch_of(images: Any, operation: Any) -> Any:
    """Pictures ``[n, h, w, c]``."""
    images = ops.expand_dims(images, 0) if len(images.shape) == 3 else images
    first = operation.data_format == "channels_first"
    return ops.transpose(images, (0, 2, 3, 1)) if first else images


def _warped(operation: Any, images: Any, places: tuple[Any, Any], fill: tuple[str, float]) -> Any:
    """Each picture at ``places`` ``[n or 1, h * w]`` of rows and columns."""
    batch = _batch_of(images, operation)
    n, height, width, channels = ops.shape(batch)
    height, width = int(height), int(width)
    order = {"nearest": 0, "bilinear": 1}[operation.interpolation]
    parts = []
    for place, size, stride in zip(places, (height, width), (width, 1), strict=True):
        parts.append([
            (_inside(i, size, fill[0]) * stride, weight, ops.logical_and(i >= 0, i < size))
            for i, weight in _neighbours(place, order)
        ])  # fmt: skip
    flat, total = ops.reshape(batch, (n, height * width, channels)), None
    for index, weight, inside in _corners(parts):
        term = _rows(flat, index)
        if fill[0] == "constant":
            term = ops.where(ops.expand_dims(inside, -1), term, ops.cast(fill[1], batch.dtype))
        if weight is not None:
            term = ops.cast(term, weight.dtype) * ops.expand_dims(weight, -1)
        total = term if total is None else total + term
    y = ops.reshape(ops.cast(total, batch.dtype), (-1, height, width, channels))
    y = ops.transpose(y, (0, 3, 1, 2)) if operation.data_format == "channels_first" else y
    return ops.squeeze(y, 0) if len(images.shape) == 3 else y


def _rows(flat: Any, index: Any) -> Any:
    """``flat`` ``[n, places, c]`` at ``index`` ``[n, m]``, or at the same for all, ``[1, m]``."""
    if index.shape[0] == 1:
        return ops.take(flat, ops.reshape(index, (-1,)), axis=1)
    column = ops.expand_dims(index, -1)
    n, m = ops.shape(index)
    return ops.take_along_axis(flat, ops.broadcast_to(column, (n, m, flat.shape[-1])), axis=1)


def _grid(operation: Any, images: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Rows and columns of all places, ``[1, h * w]``."""
    axes = size_axes(operation, len(images.shape))
    height, width = (int(images.shape[axis]) for axis in axes)
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    return (rows.reshape(1, -1).astype(np.float32), columns.reshape(1, -1).astype(np.float32))


def _column(x: Any, index: int) -> Any:
    return x[:, index : index + 1]


@composes("AffineTransform")
def _affine_transform(operation: Any, images: Any, transform: Any) -> Any:
    """Six numbers for each picture take a place of the result to one of the input."""
    rows, columns = _grid(operation, images)
    transform = as_float(transform)
    t = ops.expand_dims(transform, 0) if len(transform.shape) == 1 else transform
    x = _column(t, 0) * columns + _column(t, 1) * rows + _column(t, 2)
    y = _column(t, 3) * columns + _column(t, 4) * rows + _column(t, 5)
    return _warped(operation, images, (y, x), (operation.fill_mode, float(operation.fill_value)))


@composes("PerspectiveTransform")
def _perspective_transform(operation: Any, images: Any, start_points: Any, end_points: Any) -> Any:
    """The homography that takes four points to four points, solved for in the file if need be."""
    rows, columns = _grid(operation, images)
    start, end = (as_float(points) for points in (start_points, end_points))
    if len(start.shape) == 2:
        start, end = ops.expand_dims(start, 0), ops.expand_dims(end, 0)
    sx, sy, ex, ey = start[..., 0], start[..., 1], end[..., 0], end[..., 1]
    zero, one = ops.zeros_like(ex), ops.ones_like(ex)
    upper = ops.stack([ex, ey, one, zero, zero, zero, -sx * ex, -sx * ey], axis=-1)
    lower = ops.stack([zero, zero, zero, ex, ey, one, -sy * ex, -sy * ey], axis=-1)
    matrix = ops.concatenate([upper, lower], axis=1)
    target = ops.expand_dims(ops.concatenate([sx, sy], axis=-1), -1)
    t = ops.squeeze(ops.solve(matrix, target), -1)
    scale = _column(t, 6) * columns + _column(t, 7) * rows + 1.0
    x = (_column(t, 0) * columns + _column(t, 1) * rows + _column(t, 2)) / scale
    y = (_column(t, 3) * columns + _column(t, 4) * rows + _column(t, 5)) / scale
    return _warped(operation, images, (y, x), ("constant", float(operation.fill_value)))


# Resampling along whole axes


@composes("ScaleAndTranslate")
def _scale_and_translate(
    operation: Any, images: Any, output_shape: Any, scale: Any, translation: Any
) -> Any:
    """A product with a matrix of weights along each axis, as jax.image computes it."""
    scales, shifts = (np.asarray(ops.convert_to_numpy(v), np.float64).reshape(-1)
                      for v in (scale, translation))  # fmt: skip
    y = images
    for axis, s, t in zip(operation.spatial_dims, scales, shifts, strict=True):
        place = int(axis) % len(images.shape)
        sizes = int(images.shape[place]), int(output_shape[place])
        weights = _weights(sizes, (s, t), operation.method, bool(operation.antialias))
        y = ops.moveaxis(ops.matmul(ops.moveaxis(y, place, -1), weights.astype(str(y.dtype))),
                         -1, place)  # fmt: skip
    return y


def _weights(
    sizes: tuple[int, int], move: tuple[float, float], method: str, antialias: bool
) -> npt.NDArray[Any]:
    """``[from, to]``: how much of each element of the input each of the result gets."""
    size, wanted = sizes
    scale, shift = move
    stretch = max(1.0 / scale, 1.0) if antialias else 1.0
    sample = (np.arange(wanted) + 0.5) / scale - shift / scale - 0.5
    distance = np.abs(sample[None, :] - np.arange(size)[:, None]) / stretch
    name = method if method.startswith("lanczos") else "bicubic" if "cub" in method else "bilinear"
    weights = KERNELS[name](distance)
    total = weights.sum(axis=0, keepdims=True)
    weights = np.where(np.abs(total) > 1000.0 * np.finfo(np.float32).eps,
                       weights / np.where(total != 0, total, 1), 0.0)  # fmt: skip
    inside = (sample >= -0.5) & (sample <= size - 0.5)
    return np.where(inside[None, :], weights, 0.0)
