"""Operations that multiply by weights: convolutions, dense layers, matrix products.

Kernels have Keras's own layouts. The optional last input of each weighted operation is its bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from hornbeam.graph.dims import Dim, Shape, broadcast, ceil_div
from hornbeam.graph.operations.base import Operation
from hornbeam.graph.types import TensorType

__all__ = [
    "Conv",
    "ConvTranspose",
    "Dense",
    "DepthwiseConv",
    "MatMul",
    "Padding",
    "slide",
    "window_size",
]

#: "same" and "valid" as in Keras, or explicit (before, after) for each spatial axis.
Padding: TypeAlias = Literal["same", "valid"] | tuple[tuple[int, int], ...]


def window_size(size: Dim, window: int, stride: int, pad: str | tuple[int, int]) -> Dim:
    """The number of positions of a sliding window (already dilated) over ``size`` elements."""
    if pad == "same":
        return ceil_div(size, stride)
    before, after = (0, 0) if isinstance(pad, str) else pad
    return (size + (before + after - window)) // stride + 1


def slide(
    shape: Shape, window: tuple[int, ...], strides: tuple[int, ...], padding: Padding
) -> Shape:
    """The spatial sizes left when a window slides over ``shape`` ``[n, *spatial, c]``."""
    pads = (padding,) * len(window) if isinstance(padding, str) else padding
    return tuple(
        window_size(size, k, s, p)
        for size, k, s, p in zip(shape[1:-1], window, strides, pads, strict=True)
    )


def _dilated(kernel: Shape, dilation: tuple[int, ...]) -> tuple[int, ...]:
    sizes = [k for k in kernel if isinstance(k, int)]
    return tuple((k - 1) * d + 1 for k, d in zip(sizes, dilation, strict=True))


@dataclass(frozen=True)
class Conv(Operation):
    """Convolution over 1, 2 or 3 spatial axes.

    Inputs: ``x`` ``[n, *spatial, c]``, kernel ``[*window, c / groups, filters]``, bias
    ``[filters]`` or none.
    """

    strides: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]
    groups: int = 1

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        x, kernel = inputs[:2]
        window = _dilated(kernel.shape[:-2], self.dilation)
        spatial = slide(x.shape, window, self.strides, self.padding)
        return (x.with_shape((x.shape[0], *spatial, kernel.shape[-1])),)


@dataclass(frozen=True)
class DepthwiseConv(Operation):
    """A convolution of each channel by itself.

    Inputs: ``x`` ``[n, *spatial, c]``, kernel ``[*window, c, multiplier]``, bias
    ``[c * multiplier]`` or none.
    """

    strides: tuple[int, ...]
    padding: Padding
    dilation: tuple[int, ...]

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        x, kernel = inputs[:2]
        window = _dilated(kernel.shape[:-2], self.dilation)
        spatial = slide(x.shape, window, self.strides, self.padding)
        return (x.with_shape((x.shape[0], *spatial, kernel.shape[-2] * kernel.shape[-1])),)


@dataclass(frozen=True)
class ConvTranspose(Operation):
    """The gradient of a convolution, used to enlarge.

    Inputs: ``x`` ``[n, *spatial, c]``, kernel ``[*window, filters, c]``, bias ``[filters]`` or
    none. ``cropping`` is what is cut off, before and after each spatial axis, from the full
    result of ``(size - 1) * stride + dilated window``; a negative number adds zeros instead.
    """

    strides: tuple[int, ...]
    cropping: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        x, kernel = inputs[:2]
        window = _dilated(kernel.shape[:-2], self.dilation)
        spatial = tuple(
            (size - 1) * s + k - before - after
            for size, k, s, (before, after) in zip(
                x.shape[1:-1], window, self.strides, self.cropping, strict=True
            )
        )
        return (x.with_shape((x.shape[0], *spatial, kernel.shape[-2])),)


@dataclass(frozen=True)
class Dense(Operation):
    """``x @ kernel + bias`` over the last axis.

    Inputs: ``x`` ``[..., k]``, constant kernel ``[k, n]``, bias ``[n]`` or none.
    """

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        x, kernel = inputs[:2]
        if x.shape[-1] != kernel.shape[0]:
            raise ValueError(f"Dense of {x} by a kernel {kernel}")
        return (x.with_shape((*x.shape[:-1], kernel.shape[1])),)


@dataclass(frozen=True)
class MatMul(Operation):
    """The matrix product of the last two axes, broadcasting the others.

    Inputs: ``a`` ``[..., m, k]`` and ``b`` ``[..., k, n]``, each with its last two axes swapped
    where ``transpose_a`` or ``transpose_b`` says so. Both have at least two axes.
    """

    transpose_a: bool = False
    transpose_b: bool = False

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        a, b = inputs
        rows, inner_a = a.shape[-2:][:: -1 if self.transpose_a else 1]
        inner_b, columns = b.shape[-2:][:: -1 if self.transpose_b else 1]
        if isinstance(inner_a, int) and isinstance(inner_b, int) and inner_a != inner_b:
            raise ValueError(f"matrix product of {a} and {b}")
        return (a.with_shape((*broadcast(a.shape[:-2], b.shape[:-2]), rows, columns)),)
