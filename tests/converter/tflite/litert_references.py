"""What the graph's operations mean, in numpy and JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from hornbeam.graph.operations import Conv, ConvTranspose, DepthwiseConv, Pad, Pool, Slice

Array = npt.NDArray[Any]


def _pads(x: Array, padding: Any, window: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """(before, after) of each spatial axis, "same" as TensorFlow defines it."""
    pads = []
    for i, (size, k, stride) in enumerate(zip(x.shape[1:-1], window, strides, strict=True)):
        if padding == "same":
            total = max((-(-size // stride) - 1) * stride + k - size, 0)
            pads.append((total // 2, total - total // 2))
        else:
            pads.append((0, 0) if padding == "valid" else padding[i])
    return np.array(pads)


def _windows(
    x: Array, window: tuple[int, ...], strides: tuple[int, ...], padding: Any, fill: float = 0.0
) -> Array:
    """[n, *places, c, *window]: what the window sees at each place."""
    pads = [(0, 0), *_pads(x, padding, window, strides), (0, 0)]
    padded = np.pad(x, pads, constant_values=fill)
    spatial = tuple(range(1, x.ndim - 1))
    seen = np.lib.stride_tricks.sliding_window_view(padded, window, spatial)
    return seen[(slice(None), *(slice(None, None, stride) for stride in strides))]


def _convolved(
    x: Array, kernel: Array, strides: tuple[int, ...], padding: Any, dilation: tuple[int, ...]
) -> Array:
    sizes = zip(kernel.shape[:-2], dilation, strict=True)
    window = tuple((k - 1) * d + 1 for k, d in sizes)
    seen = _windows(x.astype(np.float64), window, strides, padding)
    seen = seen[(..., *(slice(None, None, d) for d in dilation))]
    depth, filters = kernel.shape[-2:]
    groups = x.shape[-1] // depth
    parts = [
        np.tensordot(
            seen[(..., slice(g * depth, (g + 1) * depth), *[slice(None)] * len(window))],
            kernel[..., g * filters // groups : (g + 1) * filters // groups],
            ([*range(-len(window), 0), -len(window) - 1], [*range(len(window)), len(window)]),
        )
        for g in range(groups)
    ]
    return np.concatenate(parts, -1)


def conv(operation: Conv | DepthwiseConv) -> Callable[..., Array]:
    """A convolution; depthwise ones are grouped by channel."""

    def reference(x: Array, kernel: Array, bias: Array | float = 0.0) -> Array:
        if isinstance(operation, DepthwiseConv):
            kernel = kernel.reshape(*kernel.shape[:-2], 1, -1)
        settings = (operation.strides, operation.padding, operation.dilation)
        return (_convolved(x, kernel, *settings) + bias).astype(np.float32)

    return reference


def conv_transpose(operation: ConvTranspose) -> Callable[..., Array]:
    """Zeros between the elements, then a convolution with the kernel turned around."""

    def reference(x: Array, kernel: Array, bias: Array | float = 0.0) -> Array:
        rank = x.ndim - 2
        spread = [(n - 1) * s + 1 for n, s in zip(x.shape[1:-1], operation.strides, strict=True)]
        sparse = np.zeros((x.shape[0], *spread, x.shape[-1]), np.float64)
        sparse[(slice(None), *(slice(None, None, s) for s in operation.strides))] = x
        dilated = zip(kernel.shape[:-2], operation.dilation, strict=True)
        reaches = [(k - 1) * d for k, d in dilated]
        turned = np.flip(kernel, tuple(range(rank))).swapaxes(-1, -2)
        full = _convolved(
            sparse, turned, (1,) * rank, [(reach, reach) for reach in reaches], operation.dilation
        )
        added = [(max(-b, 0), max(-a, 0)) for b, a in operation.cropping]
        full = np.pad(full, [(0, 0), *added, (0, 0)])
        cut = [slice(max(b, 0), -max(a, 0) or None) for b, a in operation.cropping]
        return (full[(slice(None), *cut)] + bias).astype(np.float32)

    return reference


def pool(operation: Pool) -> Callable[[Array], Array]:
    """A window's maximum, or the mean of what is not padding."""

    def reference(x: Array) -> Array:
        settings = (operation.pool_size, operation.strides, operation.padding)
        axes = tuple(range(-len(operation.pool_size), 0))
        if operation.function == "max":
            return _windows(x, *settings, fill=-np.inf).max(axes)
        total = _windows(x.astype(np.float64), *settings).sum(axes)
        count = _windows(np.ones_like(x), *settings).sum(axes)
        return (total / count).astype(np.float32)

    return reference


def pad(operation: Pad) -> Callable[[Array], Array]:
    """Numpy's own padding."""

    def reference(x: Array) -> Array:
        if operation.mode == "constant":
            return np.pad(x, operation.paddings, constant_values=operation.value)
        return np.pad(x, operation.paddings, mode=operation.mode)

    return reference


def take(operation: Slice, sizes: Callable[[Array], tuple[int, ...]]) -> Callable[[Array], Array]:
    """Elements picked one axis at a time; ``sizes`` gives begin and size for given input."""

    def reference(x: Array) -> Array:
        numbers = sizes(x)
        begins, counts = numbers[: x.ndim], numbers[x.ndim :]
        for axis, stride in enumerate(operation.strides):
            x = np.take(x, begins[axis] + stride * np.arange(counts[axis]), axis)
        return x

    return reference


def softmax(axis: int) -> Callable[[Array], Array]:
    """Softmax in float64."""

    def reference(x: Array) -> Array:
        x = x.astype(np.float64)
        powers = np.exp(x - x.max(axis, keepdims=True))
        return (powers / powers.sum(axis, keepdims=True)).astype(np.float32)

    return reference


def resize(size: tuple[int, int], method: str) -> Callable[[Array], Array]:
    """JAX's resampling, which Keras uses under JAX."""

    def reference(x: Array) -> Array:
        shape = (x.shape[0], *size, x.shape[-1])
        return np.asarray(jax.image.resize(x, shape, method, antialias=False))

    return reference


def layer_norm(epsilon: float) -> Callable[..., Array]:
    """The formula, in float64."""

    def reference(x: Array, scale: Array, offset: Array) -> Array:
        x = x.astype(np.float64)
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return ((x - mean) / np.sqrt(variance + epsilon) * scale + offset).astype(np.float32)

    return reference
