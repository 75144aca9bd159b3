"""A constant added behind a reshaped Dense moves in front of the reshape, where it is a bias."""

from __future__ import annotations

from hornbeam.converter.passes.edit import Neighbours
from hornbeam.graph import Graph, Node
from hornbeam.graph.operations import Binary, Dense, Reshape

__all__ = ["fold_bias"]


def fold_bias(graph: Graph) -> bool:
    """``reshape(x @ k) + c`` becomes ``reshape(x @ k + c)`` where ``c`` spans the split axes.

    That is what a projection to several attention heads looks like.
    """
    near = Neighbours(graph)
    changed = False
    for node in graph.nodes:
        match node.operation:
            case Binary(function="add") if node.inputs[1].is_constant:
                changed |= _move(graph, near, node)
    return changed


def _move(graph: Graph, near: Neighbours, node: Node) -> bool:
    value, constant = node.inputs
    reshape = near.sole_producer(value, Reshape)
    dense = near.sole_producer(reshape.inputs[0], Dense) if reshape else None
    if reshape is None or dense is None or len(dense.inputs) > 2:
        return False
    lead = dense.output.rank - 1
    if value.shape[:lead] != dense.output.shape[:-1]:
        return False
    tail = value.shape[lead:]
    squeezed = constant.array.reshape(-1)
    own = (1,) * (value.rank - constant.rank) + constant.array.shape
    if any(size != 1 for size in own[:lead]) or own[lead:] != tail:
        return False
    bias = graph.constant(f"{dense.path}/bias", squeezed, constant.dtype)
    near.become(dense, dense.operation, [*dense.inputs, bias], dense.path)
    near.become(node, reshape.operation, [dense.output], node.path)
    return True
