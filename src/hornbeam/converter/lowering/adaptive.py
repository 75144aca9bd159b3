"""Adaptive pooling: so many windows as asked for, as evenly spread as whole elements allow.

Window ``i`` of ``n`` over ``size`` elements goes from ``floor(i * size / n)`` to
``ceil((i + 1) * size / n)``. Where ``n`` divides ``size`` that is a plain pool. Else the windows
overlap: their means are one constant matrix an axis, their maxima those of gathered elements.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.converter.lowering.resample import along
from hornbeam.errors import UnsupportedLayerError
from hornbeam.graph import Value
from hornbeam.graph import operations as op

__all__: list[str] = []


@lowers(
    "layers.AdaptiveAveragePooling1D",
    "layers.AdaptiveAveragePooling2D",
    "layers.AdaptiveAveragePooling3D",
    "ops.AdaptiveAveragePool",
    channels=True,
)
def adaptive_average_pool(b: Builder, operation: Any, inputs: Value) -> Value:
    """The mean of each window."""
    return _pool(b, "average", operation, inputs)


@lowers(
    "layers.AdaptiveMaxPooling1D",
    "layers.AdaptiveMaxPooling2D",
    "layers.AdaptiveMaxPooling3D",
    "ops.AdaptiveMaxPool",
    channels=True,
)
def adaptive_max_pool(b: Builder, operation: Any, inputs: Value) -> Value:
    """The maximum of each window."""
    return _pool(b, "max", operation, inputs)


def _pool(b: Builder, function: Literal["max", "average"], operation: Any, x: Value) -> Value:
    asked = operation.output_size
    counts = (asked,) * (x.rank - 2) if isinstance(asked, int) else tuple(asked)
    if all(count == 1 for count in counts):
        return b.reduce(
            "max" if function == "max" else "mean", x, range(1, x.rank - 1), keepdims=True
        )
    sizes = _known(b, x)
    if all(size % count == 0 for size, count in zip(sizes, counts, strict=True)):
        window = tuple(size // count for size, count in zip(sizes, counts, strict=True))
        return b.emit(op.Pool(function, window, window, "valid"), x)
    for axis, (size, count) in enumerate(zip(sizes, counts, strict=True), start=1):
        if function == "average":
            x = along(b, x, axis, _means(size, count))
        else:
            x = _maxima(b, x, axis, count)
    return x


def _windows(size: int, count: int) -> list[range]:
    return [range(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _means(size: int, count: int) -> npt.NDArray[np.float64]:
    matrix = np.zeros((count, size))
    for row, window in enumerate(_windows(size, count)):
        matrix[row, window.start : window.stop] = 1.0 / len(window)
    return matrix


def _maxima(b: Builder, x: Value, axis: int, count: int) -> Value:
    """The maximum of each window along one axis; short windows name their last element twice."""
    windows = _windows(_known(b, x)[axis - 1], count)
    longest = max(map(len, windows))
    chosen = [[min(w.start + i, w.stop - 1) for i in range(longest)] for w in windows]
    taken = b.emit(op.Gather(axis), x, b.constant(np.array(chosen).reshape(-1), "int32"))
    split = b.reshape(taken, (*x.shape[:axis], count, longest, *x.shape[axis + 1 :]))
    return b.reduce("max", split, axis + 1, keepdims=False)


def _known(b: Builder, x: Value) -> tuple[int, ...]:
    sizes = tuple(size for size in x.shape[1:-1] if isinstance(size, int))
    if len(sizes) == x.rank - 2:
        return sizes
    raise UnsupportedLayerError(
        f"Cannot convert '{b.path}' (adaptive pooling)",
        f"Where its windows lie depends on the size of its input, and that is free: {x.shape}",
        "Give the model's input a fixed size, or pool globally",
    )
