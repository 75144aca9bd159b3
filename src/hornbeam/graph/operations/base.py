"""What every operation is: a frozen dataclass that knows the types of its results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from hornbeam.graph.types import TensorType

if TYPE_CHECKING:
    from hornbeam.graph.graph import Graph

__all__ = ["Operation"]


class Operation(ABC):
    """One step of computation, with its static arguments as dataclass fields."""

    @abstractmethod
    def infer(self, *inputs: TensorType) -> tuple[TensorType, ...]:
        """The types of the results, from those of the inputs; `ValueError` if they do not fit."""

    @property
    def label(self) -> str:
        """A short name for node names and reports."""
        return type(self).__name__

    @property
    def bodies(self) -> tuple[Graph, ...]:
        """The graphs that the operation runs, which see nothing but their inputs."""
        return ()
