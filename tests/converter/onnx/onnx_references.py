"""What the windowed operations compute, by jax's general convolution and window reductions."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import numpy as np
import numpy.typing as npt

from hornbeam.graph import operations as op

Array = npt.NDArray[Any]
Reference = Callable[..., Array]

_SPATIAL = "DHW"


def _numbers(rank: int) -> tuple[str, str, str]:
    spatial = _SPATIAL[3 - rank :]
    return f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"


def _pads(padding: op.Padding) -> Any:
    return padding.upper() if isinstance(padding, str) else padding


def _convolved(
    x: Array, kernel: Array, operation: op.Conv | op.DepthwiseConv, groups: int
) -> Array:
    return np.asarray(
        jax.lax.conv_general_dilated(
            x,
            kernel,
            operation.strides,
            _pads(operation.padding),
            rhs_dilation=operation.dilation,
            dimension_numbers=_numbers(x.ndim - 2),
            feature_group_count=groups,
        )
    )


def conv(operation: op.Conv) -> Reference:
    def reference(x: Array, kernel: Array, bias: Any = 0) -> Array:
        return _convolved(x, kernel, operation, operation.groups) + bias

    return reference


def depthwise(operation: op.DepthwiseConv) -> Reference:
    def reference(x: Array, kernel: Array, bias: Any = 0) -> Array:
        *window, channels, multiplier = kernel.shape
        grouped = kernel.reshape(*window, 1, channels * multiplier)
        return _convolved(x, grouped, operation, channels) + bias

    return reference


def conv_transpose(operation: op.ConvTranspose) -> Reference:
    """By the definition: each element adds its share of the kernel; then cropping, then bias."""

    def reference(x: Array, kernel: Array, bias: Any = 0) -> Array:
        *window, filters, _ = kernel.shape
        sizes = [
            (n - 1) * s + (k - 1) * d + 1
            for n, s, k, d in zip(
                x.shape[1:-1], operation.strides, window, operation.dilation, strict=True
            )
        ]
        full = np.zeros((len(x), *sizes, filters))
        for place in np.ndindex(*x.shape[1:-1]):
            where = tuple(
                slice(i * s, i * s + (k - 1) * d + 1, d)
                for i, s, k, d in zip(
                    place, operation.strides, window, operation.dilation, strict=True
                )
            )
            share = np.tensordot(x[(slice(None), *place)], kernel, ([1], [-1]))
            full[(slice(None), *where)] += share
        for axis, (before, after) in enumerate(operation.cropping, 1):
            amounts = [(0, 0)] * full.ndim
            amounts[axis] = (max(-before, 0), max(-after, 0))
            full = np.pad(full, amounts)
            kept = range(max(before, 0), full.shape[axis] - max(after, 0))
            full = np.take(full, kept, axis)
        return full + bias

    return reference


def pool(operation: op.Pool) -> Reference:
    def reference(x: Array) -> Array:
        window, strides = (1, *operation.pool_size, 1), (1, *operation.strides, 1)
        padding = operation.padding
        pads = padding.upper() if isinstance(padding, str) else ((0, 0), *padding, (0, 0))
        if operation.function == "max":
            return np.asarray(jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, strides, pads))
        total = jax.lax.reduce_window(x, 0.0, jax.lax.add, window, strides, pads)
        ones = np.ones_like(x)
        return np.asarray(
            total / jax.lax.reduce_window(ones, 0.0, jax.lax.add, window, strides, pads)
        )

    return reference


def resize_nearest(size: Sequence[int]) -> Reference:
    def reference(x: Array) -> Array:
        for axis, new in enumerate(size, 1):
            places = np.floor((np.arange(new) + 0.5) * x.shape[axis] / new).astype(int)
            x = np.take(x, places, axis)
        return x

    return reference


def resize_bilinear(size: Sequence[int]) -> Reference:
    """Half-pixel centres, no antialiasing, the edge repeated: as TensorFlow and Keras do."""

    def reference(x: Array) -> Array:
        for axis, new in enumerate(size, 1):
            old = x.shape[axis]
            places = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
            low = np.floor(places).astype(int)
            high = np.minimum(low + 1, old - 1)
            share = (places - low).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
            x = np.take(x, low, axis) * (1 - share) + np.take(x, high, axis) * share
        return x

    return reference
