"""A sequence turned twice is as it was: what a bidirectional layer does with its second half."""

from __future__ import annotations

from hornbeam.graph import Graph, Value
from hornbeam.graph.operations import Reverse

__all__ = ["cancel_reverses"]


def cancel_reverses(graph: Graph) -> bool:
    """Let the readers of ``reverse(reverse(x))`` along the same axes read ``x``."""
    producers = graph.producers()
    same: dict[Value, Value] = {}
    for node in graph.nodes:
        before = producers.get(node.inputs[0]) if isinstance(node.operation, Reverse) else None
        if before is not None and before.operation == node.operation:
            same[node.output] = before.inputs[0]
    graph.substitute(same)
    return bool(same)
