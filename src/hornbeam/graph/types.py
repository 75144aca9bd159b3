"""What a value is: its shape, its Keras dtype and, once ranges are known, its quantization."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam.graph.dims import Dim, Shape, product

__all__ = ["Quantization", "TensorType", "is_float", "is_integer", "numpy_dtype"]


@dataclass(frozen=True)
class TensorType:
    """Shape (channels-last, symbolic where free) and Keras dtype name of a value."""

    shape: Shape
    dtype: str

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> Dim:
        """The number of elements."""
        return product(self.shape)

    def with_shape(self, shape: Shape) -> TensorType:
        """The same dtype in another shape."""
        return TensorType(tuple(shape), self.dtype)

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class Quantization:
    """Affine quantization of a value: ``real = scale * (stored - zero_point)``.

    ``scale`` and ``zero_point`` hold one number for the whole value, or one for each slice
    along ``axis``; ``dtype`` is the stored integer type.
    """

    dtype: str
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    axis: int | None = None


def numpy_dtype(dtype: str) -> np.dtype[Any]:
    """The numpy dtype of a Keras dtype name; strings are objects."""
    if dtype == "string":
        return np.dtype(object)
    if dtype in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4"):
        import ml_dtypes

        extended: np.dtype[Any] = np.dtype(getattr(ml_dtypes, dtype))
        return extended
    return np.dtype(dtype)


def is_float(dtype: str) -> bool:
    """Whether a Keras dtype name is a floating-point type."""
    return dtype.startswith(("float", "bfloat"))


def is_integer(dtype: str) -> bool:
    """Whether a Keras dtype name is an integer type, signed or not (bool is not)."""
    return dtype.startswith(("int", "uint"))
