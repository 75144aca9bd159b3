"""Which function writes which operation.

A writer is a small function ``(node, emit) -> name or names of the results``, registered with
``@writes(Operation)``. It reads its inputs with ``emit.input(0)``, adds ONNX nodes with
``emit("Relu", x)``, and knows nothing of its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias, TypeVar

from hornbeam.converter.onnx.emitter import Emitter
from hornbeam.errors import UnsupportedFormatError
from hornbeam.graph import Node
from hornbeam.graph.operations import Operation

__all__ = ["Writer", "writer_for", "writers", "writes"]

Writer: TypeAlias = Callable[[Node, Emitter], "str | Sequence[str]"]
_W = TypeVar("_W", bound=Writer)
_WRITERS: dict[type[Operation], Writer] = {}


def writes(*operations: type[Operation]) -> Callable[[_W], _W]:
    """Register the function below as the writer of these operations."""

    def register(function: _W) -> _W:
        _WRITERS.update(dict.fromkeys(operations, function))
        return function

    return register


def writers() -> dict[type[Operation], Writer]:
    """All writers."""
    return dict(_WRITERS)


def writer_for(node: Node) -> Writer:
    """The writer of a node's operation."""
    writer = _WRITERS.get(type(node.operation))
    if writer is None:
        raise UnsupportedFormatError(
            f"{node.path or 'The model'} was to be written as ONNX",
            f"There is no writer for {type(node.operation).__name__}",
            "Please report this: every operation should have one",
        )
    return writer
