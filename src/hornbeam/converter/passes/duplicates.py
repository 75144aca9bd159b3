"""Two nodes that compute the same thing from the same values become one."""

from __future__ import annotations

from hornbeam.graph import Graph, Node, Value
from hornbeam.graph.operations import Operation

__all__ = ["merge_duplicates"]


def merge_duplicates(graph: Graph) -> bool:
    """Keep the first of each set of equal nodes (masks are computed by every layer that asks)."""
    first: dict[tuple[Operation, tuple[int, ...]], Node] = {}
    same: dict[Value, Value] = {}
    for node in graph.nodes:
        inputs = tuple(id(same.get(value, value)) for value in node.inputs)
        kept = first.setdefault((node.operation, inputs), node)
        if kept is not node:
            same.update(zip(node.outputs, kept.outputs, strict=True))
    graph.substitute(same)
    return bool(same)
