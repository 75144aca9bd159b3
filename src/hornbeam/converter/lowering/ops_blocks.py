"""``keras.ops`` that trade places for channels: blocks, patches, windows put down and picked up."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from hornbeam.converter.lowering.compose import composes

__all__: list[str] = []


def _pair(argument: Any) -> tuple[int, int]:
    if isinstance(argument, int):
        return argument, argument
    first, second = argument
    return int(first), int(second)


def _last(operation: Any, x: Any) -> Any:
    """The picture with its channels last."""
    return x if operation.data_format != "channels_first" else ops.transpose(x, (0, 2, 3, 1))


def _back(operation: Any, x: Any) -> Any:
    return x if operation.data_format != "channels_first" else ops.transpose(x, (0, 3, 1, 2))


@composes("DepthToSpace")
def _depth_to_space(operation: Any, x: Any) -> Any:
    block, first = int(operation.block_size), operation.data_format == "channels_first"
    n, h, w, c = ops.shape(_last(operation, x))
    out = int(c) // block**2
    if first:
        y = ops.reshape(x, (n, out, block, block, h, w))
        return ops.reshape(ops.transpose(y, (0, 1, 4, 2, 5, 3)), (n, out, h * block, w * block))
    y = ops.reshape(x, (n, h, w, block, block, out))
    return ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4, 5)), (n, h * block, w * block, out))


@composes("SpaceToDepth")
def _space_to_depth(operation: Any, x: Any) -> Any:
    block, first = int(operation.block_size), operation.data_format == "channels_first"
    n, h, w, c = ops.shape(_last(operation, x))
    h, w, out = h // block, w // block, int(c) * block**2
    if first:
        y = ops.reshape(x, (n, c, h, block, w, block))
        return ops.reshape(ops.transpose(y, (0, 1, 3, 5, 2, 4)), (n, out, h, w))
    y = ops.reshape(x, (n, h, block, w, block, c))
    return ops.reshape(ops.transpose(y, (0, 1, 3, 2, 4, 5)), (n, h, w, out))


@composes("Unfold")
def _unfold(operation: Any, x: Any) -> Any:
    """The windows of a picture ``[n, c, h, w]``, side by side: ``[n, c * window, windows]``."""
    (kh, kw), (dh, dw) = _pair(operation.kernel_size), _pair(operation.dilation)
    (ph, pw), (sh, sw) = _pair(operation.padding), _pair(operation.stride)
    if ph or pw:
        x = ops.pad(x, [(0, 0), (0, 0), (ph, ph), (pw, pw)])
    n, c, h, w = ops.shape(x)
    oh, ow = (h - dh * (kh - 1) - 1) // sh + 1, (w - dw * (kw - 1) - 1) // sw + 1
    pieces = [
        x[:, :, i * dh : i * dh + (oh - 1) * sh + 1 : sh, j * dw : j * dw + (ow - 1) * sw + 1 : sw]
        for i in range(kh)
        for j in range(kw)
    ]
    return ops.reshape(ops.stack(pieces, axis=2), (n, c * kh * kw, oh * ow))


@composes("Fold")
def _fold(operation: Any, x: Any) -> Any:
    """The windows added up where they lie: a transposed convolution, each channel by itself."""
    (kh, kw), (dh, dw) = _pair(operation.kernel_size), _pair(operation.dilation)
    (ph, pw), (sh, sw) = _pair(operation.padding), _pair(operation.stride)
    height, width = _pair(operation.output_size)
    n, size = ops.shape(x)[:2]
    channels = int(size) // (kh * kw)
    rows = (height + 2 * ph - dh * (kh - 1) - 1) // sh + 1
    columns = (width + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    windows = ops.transpose(ops.reshape(x, (n, channels * kh * kw, rows, columns)), (0, 2, 3, 1))
    y = None
    for i in range(kh):
        for j in range(kw):
            piece = windows[..., i * kw + j :: kh * kw]
            placed = _spread(piece, (sh, sw), (i * dh, j * dw), (height + 2 * ph, width + 2 * pw))
            y = placed if y is None else y + placed
    y = ops.transpose(y, (0, 3, 1, 2))
    return y[:, :, ph : ph + height, pw : pw + width]


def _spread(x: Any, strides: tuple[int, int], begin: tuple[int, int], size: tuple[int, int]) -> Any:
    """A picture with its points ``strides`` apart, from ``begin``, on zeros of ``size``."""
    n, rows, columns, channels = ops.shape(x)
    (sh, sw), (top, left), (height, width) = strides, begin, size
    x = ops.reshape(x, (n, rows, 1, columns, 1, channels))
    x = ops.pad(x, [(0, 0), (0, 0), (0, sh - 1), (0, 0), (0, sw - 1), (0, 0)])
    x = ops.reshape(x, (n, rows * sh, columns * sw, channels))
    x = x[:, : rows * sh - sh + 1, : columns * sw - sw + 1]
    bottom, right = height - top - int(x.shape[1]), width - left - int(x.shape[2])
    return ops.pad(x, [(0, 0), (top, bottom), (left, right), (0, 0)])


@composes("ExtractPatches")
def _extract_patches(operation: Any, images: Any) -> Any:
    """A convolution whose kernel picks one element of the window for each channel of the result."""
    size = tuple(operation.size)
    rank, dtype = len(size), str(images.dtype)
    alone = len(images.shape) == rank + 1
    images = ops.expand_dims(images, 0) if alone else images
    channels = int(images.shape[1 if operation.data_format == "channels_first" else -1])
    out = int(np.prod(size)) * channels
    kernel = np.eye(out).reshape((*size, channels, out)).astype(dtype)
    patches = ops.conv(
        images, kernel, strides=operation.strides or size, padding=operation.padding,
        dilation_rate=operation.dilation_rate, data_format=operation.data_format,
    )  # fmt: skip
    return ops.squeeze(patches, 0) if alone else patches
