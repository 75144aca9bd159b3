"""Arithmetic on the bits of integers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hornbeam.graph.dims import broadcast
from hornbeam.graph.operations.base import Operation
from hornbeam.graph.types import TensorType, is_integer

__all__ = ["Bitwise"]


@dataclass(frozen=True)
class Bitwise(Operation):
    """``function(a, b)`` bit by bit, with broadcasting; both are integers of one dtype."""

    function: Literal["and", "or", "xor"]

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        a, b = inputs
        if a.dtype != b.dtype or not is_integer(a.dtype):
            raise ValueError(f"bitwise {self.function} of {a.dtype} and {b.dtype}")
        return (TensorType(broadcast(a.shape, b.shape), a.dtype),)

    @property
    def label(self) -> str:
        return f"bitwise_{self.function}"
