"""Pooling windows and the normalization that engines have a kernel for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hornbeam.graph.operations.base import Operation
from hornbeam.graph.operations.linear import Padding, slide
from hornbeam.graph.types import TensorType

__all__ = ["LayerNorm", "Pool"]


@dataclass(frozen=True)
class Pool(Operation):
    """The maximum or average of a window that slides over 1, 2 or 3 spatial axes.

    Padding never counts: it is minus infinity for ``max`` and left out of the mean for
    ``average``, as in Keras. Input ``x`` ``[n, *spatial, c]``.
    """

    function: Literal["max", "average"]
    pool_size: tuple[int, ...]
    strides: tuple[int, ...]
    padding: Padding

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        (x,) = inputs
        spatial = slide(x.shape, self.pool_size, self.strides, self.padding)
        return (x.with_shape((x.shape[0], *spatial, x.shape[-1])),)

    @property
    def label(self) -> str:
        return f"{self.function}_pool"


@dataclass(frozen=True)
class LayerNorm(Operation):
    """``(x - mean) / sqrt(variance + epsilon) * scale + offset`` over the last axis.

    Inputs: ``x`` ``[..., c]``, ``scale`` ``[c]``, ``offset`` ``[c]``.
    Ba, Kiros, Hinton: Layer Normalization, 2016.
    """

    epsilon: float

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        return inputs[:1]
