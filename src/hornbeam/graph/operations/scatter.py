"""Writing to places that are only known when the graph runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hornbeam.graph.operations.base import Operation
from hornbeam.graph.types import TensorType

__all__ = ["Scatter"]


@dataclass(frozen=True)
class Scatter(Operation):
    """``x`` with ``updates`` put, or combined with what is there, at ``indices``.

    Inputs: ``x``; integer ``indices`` ``[n, k]``, each row a place along the first ``k`` axes of
    ``x``, in range and not negative; ``updates`` ``[n, *x.shape[k:]]``. Where one place is named
    twice, ``update`` keeps the last and the others combine them all.
    """

    function: Literal["update", "add", "multiply", "max", "min"]

    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        x, indices, updates = inputs
        depth = indices.shape[-1]
        if indices.rank != 2 or not isinstance(depth, int) or not 0 < depth <= x.rank:
            raise ValueError(f"places {indices} in {x}")
        if updates.shape != (indices.shape[0], *x.shape[depth:]) or updates.dtype != x.dtype:
            raise ValueError(f"{updates} does not fit {indices} in {x}")
        return (x,)

    @property
    def label(self) -> str:
        return f"scatter_{self.function}"
