"""``keras.ops.image``: colours, borders, filters and likeness of pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from hornbeam.converter.lowering.compose import as_float, composes

__all__ = ["size_axes"]


def _channels(operation: Any) -> int:
    return -3 if operation.data_format == "channels_first" else -1


def _planes(operation: Any, images: Any) -> list[Any]:
    axis = _channels(operation)
    return [ops.squeeze(plane, axis) for plane in ops.split(images, 3, axis=axis)]


@composes("RGBToGrayscale")
def _grayscale(operation: Any, images: Any) -> Any:
    """Weights of ITU-R BT.601, as Keras rounds them."""
    axis = _channels(operation)
    if images.shape[axis] == 1:
        return images
    weights = np.array([0.2989, 0.5870, 0.1140], np.float32)
    x = as_float(images)
    weights = weights.reshape((3, 1, 1)) if axis == -3 else weights
    y = ops.sum(x * ops.cast(weights, x.dtype), axis=axis, keepdims=True)
    return ops.cast(y, images.dtype)


@composes("RGBToHSV")
def _rgb_to_hsv(operation: Any, images: Any) -> Any:
    """Smith, Color gamut transform pairs, 1978."""
    epsilon = float(np.finfo("float32" if images.dtype == "bfloat16" else str(images.dtype)).eps)
    images = ops.where(ops.abs(images) < epsilon, 0.0, images)
    r, g, b = _planes(operation, images)
    value = ops.maximum(ops.maximum(r, g), b)
    chroma = value - ops.minimum(ops.minimum(r, g), b)
    bright, coloured = value > 0.0, chroma > 0.0
    saturation = ops.where(bright, chroma / ops.where(bright, value, 1.0), 0.0)
    norm = (1.0 / 6.0) / ops.where(coloured, chroma, 1.0)
    hue = ops.where(ops.equal(value, g), norm * (b - r) + 2.0 / 6.0, norm * (r - g) + 4.0 / 6.0)
    hue = ops.where(ops.equal(value, r), norm * (g - b), hue)
    hue = ops.where(coloured, hue, 0.0) + ops.cast(hue < 0.0, hue.dtype)
    return ops.stack([hue, saturation, value], axis=_channels(operation))


@composes("HSVToRGB")
def _hsv_to_rgb(operation: Any, images: Any) -> Any:
    hue, saturation, value = _planes(operation, images)
    place = (hue - ops.floor(hue)) * 6.0
    shades = (
        ops.clip(ops.abs(place - 3.0) - 1.0, 0.0, 1.0),
        ops.clip(2.0 - ops.abs(place - 2.0), 0.0, 1.0),
        ops.clip(2.0 - ops.abs(place - 4.0), 0.0, 1.0),
    )
    white = 1.0 - saturation
    return ops.stack([value * (white + saturation * shade) for shade in shades],
                     axis=_channels(operation))  # fmt: skip


# Borders


def size_axes(operation: Any, rank: int) -> tuple[int, int]:
    """Which axes are height and width."""
    return (
        (rank - 2, rank - 1) if operation.data_format == "channels_first" else (rank - 3, rank - 2)
    )


def _borders(operation: Any, images: Any, kind: str) -> list[tuple[int, int, Any]]:
    """(axis, before, after) of height and width; one of the two may follow from the target."""
    sign = 1 if kind == "padding" else -1
    shape, result = ops.shape(images), []
    sides = (("top", "bottom", "height"), ("left", "right", "width"))
    for axis, (first, last, name) in zip(size_axes(operation, len(shape)), sides, strict=True):
        before = getattr(operation, f"{first}_{kind}")
        after = getattr(operation, f"{last}_{kind}")
        target = getattr(operation, f"target_{name}")
        if before is None:
            before = sign * (target - shape[axis]) - after
        if after is None:
            after = sign * (target - shape[axis]) - before
        result.append((axis, before, after))
    return result


@composes("PadImages")
def _pad_images(operation: Any, images: Any) -> Any:
    widths = [(0, 0)] * len(images.shape)
    for axis, before, after in _borders(operation, images, "padding"):
        widths[axis] = (before, after)
    return ops.pad(images, widths)


@composes("CropImages")
def _crop_images(operation: Any, images: Any) -> Any:
    kept = [slice(None)] * len(images.shape)
    for axis, before, after in _borders(operation, images, "cropping"):
        kept[axis] = slice(before, ops.shape(images)[axis] - after)
    return images[tuple(kept)]


# Filters


def _gaussian(size: int, sigma: float) -> npt.NDArray[Any]:
    shape = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / sigma) ** 2)
    return np.asarray(shape / shape.sum())


def _filtered(images: Any, kernel: npt.NDArray[Any], padding: str, data_format: str) -> Any:
    """Each channel by itself, through one or several filters ``[h, w, filters]``."""
    alone = len(images.shape) == 3
    images = ops.expand_dims(images, 0) if alone else images
    channels = int(images.shape[1 if data_format == "channels_first" else -1])
    weights = np.repeat(kernel[:, :, None, :], channels, axis=2).astype(str(images.dtype))
    y = ops.depthwise_conv(images, weights, padding=padding, data_format=data_format)
    return ops.squeeze(y, 0) if alone else y


@composes("GaussianBlur")
def _gaussian_blur(operation: Any, images: Any) -> Any:
    across, down = (int(size) for size in operation.kernel_size)
    sigma = [float(s) for s in operation.sigma]
    # Keras's kernel is [height, width] = [second size, first size].
    kernel = np.outer(_gaussian(down, sigma[1]), _gaussian(across, sigma[0]))
    return _filtered(images, kernel[:, :, None], "same", operation.data_format)


@composes("SobelEdges")
def _sobel_edges(operation: Any, images: Any) -> Any:
    """Sobel's filters down and across, along a new last axis."""
    across = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float64)
    edges = [
        _filtered(images, kernel[:, :, None], "same", operation.data_format)
        for kernel in (across.T, across)
    ]
    return ops.stack(edges, axis=-1)


@composes("SSIM")
def _ssim(operation: Any, image1: Any, image2: Any) -> Any:
    """Wang, Bovik, Sheikh, Simoncelli: Image quality assessment, 2004."""
    dtype = image1.dtype
    alone, channels_first = len(image1.shape) == 3, operation.data_format == "channels_first"
    x, y = (as_float(image) for image in (image1, image2))
    if alone:
        x, y = ops.expand_dims(x, 0), ops.expand_dims(y, 0)
    if channels_first:
        x, y = ops.transpose(x, (0, 2, 3, 1)), ops.transpose(y, (0, 2, 3, 1))
    line = _gaussian(int(operation.filter_size), float(operation.filter_sigma))
    kernel = np.outer(line, line)[:, :, None]

    def blurred(picture: Any) -> Any:
        return _filtered(picture, kernel, "valid", "channels_last")

    c1, c2 = ((k * operation.max_val) ** 2 for k in (operation.k1, operation.k2))
    mean_x, mean_y = blurred(x), blurred(y)
    square_x, square_y, both = mean_x * mean_x, mean_y * mean_y, mean_x * mean_y
    spread = blurred(x * x) - square_x + (blurred(y * y) - square_y)
    shared = blurred(x * y) - both
    likeness = (
        (2.0 * both + c1) * (2.0 * shared + c2) / ((square_x + square_y + c1) * (spread + c2))
    )
    y = ops.mean(likeness, axis=(1, 2, 3))
    return ops.cast(ops.squeeze(y, 0) if alone else y, dtype)
