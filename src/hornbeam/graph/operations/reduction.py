"""Operations that fold an axis, and those that make values out of sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hornbeam.graph.dims import Dim, Shape
from hornbeam.graph.operations.base import Operation
from hornbeam.graph.types import TensorType

__all__ = ["ArgReduce", "Cumulate", "DimensionOf", "Range", "Reduce", "TopK"]


def _folded(shape: Shape, axes: tuple[int, ...], keepdims: bool) -> Shape:
    if keepdims:
        return tuple(1 if i in axes else dim for i, dim in enumerate(shape))
    return tuple(dim for i, dim in enumerate(shape) if i not in axes)


@dataclass(frozen=True)
class Reduce(Operation):
    """``function`` over ``axes`` (not negative, ascending)."""

    function: Literal["mean", "sum", "max", "min", "prod", "any", "all"]
    axes: tuple[int, ...]
    keepdims: bool

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (x,) = inputs
        return (x.with_shape(_folded(x.shape, self.axes, self.keepdims)),)

    @property
    def label(self) -> str:
        return f"reduce_{self.function}"


@dataclass(frozen=True)
class ArgReduce(Operation):
    """The index (int32) of the first largest or smallest element along ``axis``."""

    function: Literal["max", "min"]
    axis: int
    keepdims: bool

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (x,) = inputs
        return (TensorType(_folded(x.shape, (self.axis,), self.keepdims), "int32"),)

    @property
    def label(self) -> str:
        return f"arg{self.function}"


@dataclass(frozen=True)
class Cumulate(Operation):
    """The running sum along ``axis``."""

    axis: int
    reverse: bool = False
    exclusive: bool = False

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        return inputs


@dataclass(frozen=True)
class TopK(Operation):
    """The ``k`` largest elements along the last axis, descending, and their indices (int32)."""

    k: Dim

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (x,) = inputs
        shape = (*x.shape[:-1], self.k)
        return TensorType(shape, x.dtype), TensorType(shape, "int32")


@dataclass(frozen=True)
class DimensionOf(Operation):
    """The run-time value of a free ``dim`` as a scalar; no inputs."""

    dim: Dim
    dtype: str

    def infer(self, *_: TensorType) -> tuple[TensorType, ...]:
        return (TensorType((), self.dtype),)


@dataclass(frozen=True)
class Range(Operation):
    """``start, start + step, …``: ``length`` numbers of ``dtype``; no inputs."""

    start: int
    step: int
    length: Dim
    dtype: str

    def infer(self, *_: TensorType) -> tuple[TensorType, ...]:
        return (TensorType((self.length,), self.dtype),)
