"""Reshapes, transposes and casts that undo or repeat each other disappear."""

from __future__ import annotations

from hornbeam.converter.passes.edit import Neighbours
from hornbeam.graph import Graph, Node, Value
from hornbeam.graph.operations import Cast, Reduce, Reshape, Transpose

__all__ = ["simplify_reshapes"]


def simplify_reshapes(graph: Graph) -> bool:
    """Merge chains of `Reshape` and of `Transpose`; keep the axes that a reshape would restore."""
    near = Neighbours(graph)
    changed = False
    unchanged: dict[Value, Value] = {}
    for node in graph.nodes:
        x = node.inputs[0] if node.inputs else None
        match node.operation:
            case Reshape(shape=shape) if x is not None and x.shape == shape:
                unchanged[node.output] = x
            case Reshape():
                changed |= _merge_reshape(near, node) or _keep_axes(near, node)
            case Transpose():
                changed |= _merge_transpose(near, node)
                if node.operation == Transpose(tuple(range(node.output.rank))):
                    unchanged[node.output] = node.inputs[0]
            case Cast(dtype=dtype) if x is not None and x.dtype == dtype:
                unchanged[node.output] = x
    graph.substitute(unchanged)
    return changed or bool(unchanged)


def _merge_reshape(near: Neighbours, node: Node) -> bool:
    before = near.producer(node.inputs[0])
    if before is None or not isinstance(before.operation, Reshape):
        return False
    near.become(node, node.operation, list(before.inputs), node.path)
    return True


def _keep_axes(near: Neighbours, node: Node) -> bool:
    """``reshape(mean(x))`` to the shape with the reduced axes kept: a reduction that keeps them."""
    before = near.sole_producer(node.inputs[0], Reduce)
    if before is None or not isinstance(before.operation, Reduce) or before.operation.keepdims:
        return False
    reduce, (x,) = before.operation, before.inputs
    kept = tuple(1 if i in reduce.axes else dim for i, dim in enumerate(x.shape))
    if node.output.shape != kept:
        return False
    near.become(node, Reduce(reduce.function, reduce.axes, keepdims=True), [x], before.path)
    return True


def _merge_transpose(near: Neighbours, node: Node) -> bool:
    before = near.producer(node.inputs[0])
    operation = node.operation
    if before is None or not isinstance(before.operation, Transpose):
        return False
    assert isinstance(operation, Transpose)
    axes = tuple(before.operation.axes[axis] for axis in operation.axes)
    near.become(node, Transpose(axes), list(before.inputs), node.path)
    return True
