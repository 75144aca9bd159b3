"""Operations that move elements without computing: shapes, slices, joins, look-ups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hornbeam.graph.dims import Dim, Shape, broadcast, evaluate, is_known, product, symbols
from hornbeam.graph.operations.base import Operation
from hornbeam.graph.types import TensorType

__all__ = [
    "Broadcast",
    "Concat",
    "Gather",
    "OneHot",
    "Pad",
    "Reshape",
    "Resize",
    "Reverse",
    "Slice",
    "Split",
    "Tile",
    "Transpose",
]


@dataclass(frozen=True)
class Reshape(Operation):
    """The same elements in the same order, in another shape (written out; no -1)."""

    shape: Shape

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (x,) = inputs
        if not _may_equal(product(self.shape), x.size):
            raise ValueError(f"{x} cannot become the shape {self.shape}")
        return (x.with_shape(self.shape),)


@dataclass(frozen=True)
class Transpose(Operation):
    """Axis ``i`` of the result is axis ``axes[i]`` of the input."""

    axes: tuple[int, ...]

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (x,) = inputs
        if sorted(self.axes) != list(range(x.rank)):
            raise ValueError(f"axes {self.axes} do not permute {x}")
        return (x.with_shape(tuple(x.shape[axis] for axis in self.axes)),)


@dataclass(frozen=True)
class Broadcast(Operation):
    """The input repeated along its axes of size 1 (and new leading ones) to fill ``shape``."""

    shape: Shape

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (x,) = inputs
        broadcast(x.shape, self.shape)
        return (x.with_shape(self.shape),)


@dataclass(frozen=True)
class Tile(Operation):
    """The input repeated ``repeats[i]`` times along axis ``i``."""

    repeats: tuple[int, ...]

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (x,) = inputs
        return (x.with_shape(tuple(d * n for d, n in zip(x.shape, self.repeats, strict=True))),)


@dataclass(frozen=True)
class Concat(Operation):
    """The inputs joined along ``axis`` (not negative)."""

    axis: int

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        total: Dim = 0
        for x in inputs:
            total = x.shape[self.axis] + total
        shape = inputs[0].shape
        return (inputs[0].with_shape((*shape[: self.axis], total, *shape[self.axis + 1 :])),)


@dataclass(frozen=True)
class Slice(Operation):
    """Elements ``begin[i]``, ``begin[i] + strides[i]``, … of axis ``i``: ``sizes[i]`` of them.

    ``begin`` counts from the front; strides are not zero and may be negative.
    """

    begin: Shape
    sizes: Shape
    strides: tuple[int, ...]

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (x,) = inputs
        if len(self.sizes) != x.rank:
            raise ValueError(f"a slice of {len(self.sizes)} axes of {x}")
        return (x.with_shape(self.sizes),)


@dataclass(frozen=True)
class Split(Operation):
    """The input cut along ``axis`` into pieces of the given ``sizes``."""

    axis: int
    sizes: tuple[int, ...]

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (x,) = inputs
        if not _may_equal(sum(self.sizes), x.shape[self.axis]):
            raise ValueError(f"{x} cannot be split into {self.sizes} along axis {self.axis}")
        return tuple(
            x.with_shape((*x.shape[: self.axis], size, *x.shape[self.axis + 1 :]))
            for size in self.sizes
        )


@dataclass(frozen=True)
class Pad(Operation):
    """The input with ``paddings[i]`` = (before, after) elements added along axis ``i``.

    Modes: ``constant`` (filled with ``value``), ``reflect`` (edge not repeated), ``symmetric``
    (edge repeated), ``edge``.
    """

    paddings: tuple[tuple[int, int], ...]
    mode: Literal["constant", "reflect", "symmetric", "edge"] = "constant"
    value: float = 0.0

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (x,) = inputs
        pairs = zip(x.shape, self.paddings, strict=True)
        return (x.with_shape(tuple(d + before + after for d, (before, after) in pairs)),)


@dataclass(frozen=True)
class Reverse(Operation):
    """The input with the order of elements reversed along ``axes``."""

    axes: tuple[int, ...]

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        return inputs


@dataclass(frozen=True)
class Gather(Operation):
    """``x[..., indices, ...]`` at ``axis``; inputs ``x`` and integer ``indices``, any shape.

    Indices lie in range and are not negative.
    """

    axis: int = 0

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        x, indices = inputs
        before, after = x.shape[: self.axis], x.shape[self.axis + 1 :]
        return (x.with_shape((*before, *indices.shape, *after)),)


@dataclass(frozen=True)
class OneHot(Operation):
    """1 at the position of each index along a new last axis of ``depth``, 0 elsewhere."""

    depth: int
    dtype: str

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        return (TensorType((*inputs[0].shape, self.depth), self.dtype),)


@dataclass(frozen=True)
class Resize(Operation):
    """The spatial axes of ``[n, h, w, c]`` resampled to ``size``, with half-pixel centres.

    ``nearest`` takes the source at ``floor((i + 0.5) * scale)``, as JAX and TensorFlow do.
    """

    size: Shape
    interpolation: Literal["nearest", "bilinear"]

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (x,) = inputs
        return (x.with_shape((x.shape[0], *self.size, x.shape[-1])),)


def _may_equal(a: Dim, b: Dim) -> bool:
    """Whether two sizes can be equal: compared at a few sizes where they are not the same."""
    if a == b:
        return True
    if is_known(a) and is_known(b):
        return False
    names = sorted(symbols(a) | symbols(b))
    return any(
        evaluate(a, dict.fromkeys(names, n)) == evaluate(b, dict.fromkeys(names, n))
        for n in range(1, 65)
    )
