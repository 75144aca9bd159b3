"""Which function writes which graph operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from hornbeam.converter.tflite.context import Context, Tensor
from hornbeam.graph import Node
from hornbeam.graph.operations import Operation

__all__ = ["WRITERS", "NodeWriter", "writes"]

#: Emits the operators of one node and returns the tensors of its results.
NodeWriter: TypeAlias = Callable[[Context, Node], "Tensor | Sequence[Tensor]"]

#: The writer of each operation class; filled by the family modules as they are imported.
WRITERS: dict[type[Operation], NodeWriter] = {}


def writes(*operations: type[Operation]) -> Callable[[NodeWriter], NodeWriter]:
    """Register the decorated function as the writer of ``operations``."""

    def register(function: NodeWriter) -> NodeWriter:
        for operation in operations:
            WRITERS[operation] = function
        return function

    return register
