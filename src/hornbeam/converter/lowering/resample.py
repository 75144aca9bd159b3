"""Resampling by matrices: along one axis of known size, every kernel is a constant matrix.

Row ``i`` holds the share of every source element in element ``i`` of the result: the kernel at the
distance between their centres, scaled so that the row adds up to 1, as JAX and TensorFlow do it
(``scale_and_translate``, with half-pixel centres). With antialiasing a kernel that makes something
smaller is as wide as what it stands for. Kernels: R. Keys, Cubic Convolution Interpolation for
Digital Image Processing, 1981 (a = -1/2); C. Duchon, Lanczos Filtering, 1979.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hornbeam.converter.lowering.builder import Builder
from hornbeam.graph import Value
from hornbeam.graph import operations as op
from hornbeam.graph.dims import known

__all__ = ["KERNELS", "along", "averages", "resampling"]

Matrix = npt.NDArray[np.float64]


def resampling(kernel: str, size: int, target: int, antialias: bool) -> Matrix:
    """The matrix ``[target, size]`` that resamples ``size`` elements to ``target``."""
    if kernel == "area":
        return averages(size, target)
    step = size / target
    width = max(step, 1.0) if antialias else 1.0
    centres = (np.arange(target) + 0.5) * step - 0.5
    distance = np.abs(centres[:, None] - np.arange(size)) / width
    return _normal(KERNELS[kernel](distance))


def averages(size: int, target: int) -> Matrix:
    """The matrix that takes the mean of what each element of the result covers."""
    edges = np.arange(target + 1) * (size / target)
    source = np.arange(size)
    covered = np.minimum(edges[1:, None], source + 1) - np.maximum(edges[:-1, None], source)
    return _normal(np.maximum(covered, 0.0))


def _normal(weights: Matrix) -> Matrix:
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float64)


def along(b: Builder, x: Value, axis: int, matrix: Matrix) -> Value:
    """``x`` with ``matrix`` applied along one axis, which is not the last."""
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    rest = 1
    for size in after:
        rest = rest * known(size, "a size of what is resampled")
    flat = b.reshape(x, (*before, x.shape[axis], rest))
    weights = b.constant(matrix, x.dtype)
    product = b.emit(op.MatMul(), *b.aligned(weights, flat))
    return b.reshape(product, (*before, matrix.shape[0], *after))


def _triangle(x: Matrix) -> Matrix:
    return np.maximum(0.0, 1.0 - x)


def _cubic(x: Matrix) -> Matrix:
    near = ((1.5 * x - 2.5) * x) * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return np.where(x < 1.0, near, np.where(x < 2.0, far, 0.0))


def _lanczos(radius: int) -> Callable[[Matrix], Matrix]:
    def kernel(x: Matrix) -> Matrix:
        return np.where(x <= radius, np.sinc(x) * np.sinc(x / radius), 0.0)

    return kernel


KERNELS: dict[str, Callable[[Matrix], Matrix]] = {
    "bilinear": _triangle,
    "bicubic": _cubic,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
