"""Activations that were written out in arithmetic get their names back."""

from __future__ import annotations

import numpy as np

from hornbeam.converter.passes.edit import Neighbours
from hornbeam.graph import Graph, Node, Value
from hornbeam.graph.operations import Binary, Unary

__all__ = ["fuse_activations"]


def fuse_activations(graph: Graph) -> bool:
    """Find hard_sigmoid in ``relu6(x + 3) / 6``, silu in ``x * sigmoid(x)``, and their like."""
    near = Neighbours(graph)
    changed = False
    for node in graph.nodes:
        if isinstance(node.operation, Binary):
            changed |= _hard_sigmoid(near, node) or _gated(near, node)
    return changed


def _hard_sigmoid(near: Neighbours, node: Node) -> bool:
    found = _with_number(node, "multiply", 1 / 6) or _with_number(node, "divide", 6.0)
    relu6 = near.sole_producer(found, Unary) if found else None
    if relu6 is None or relu6.operation != Unary("relu6"):
        return False
    shift = near.sole_producer(relu6.inputs[0], Binary)
    x = _with_number(shift, "add", 3.0) if shift else None
    if x is None:
        return False
    near.become(node, Unary("hard_sigmoid"), [x], node.path)
    return True


def _gated(near: Neighbours, node: Node) -> bool:
    if node.operation != Binary("multiply"):
        return False
    for x, gate in (node.inputs, node.inputs[::-1]):
        producer = near.sole_producer(gate, Unary)
        if producer is None or producer.inputs[0] is not x:
            continue
        if producer.operation == Unary("sigmoid"):
            near.become(node, Unary("silu"), [x], node.path)
            return True
        if producer.operation == Unary("hard_sigmoid"):
            near.become(node, Unary("hard_silu"), [x], node.path)
            return True
    return False


def _with_number(node: Node, function: str, number: float) -> Value | None:
    """The operand of ``function`` beside a constant that is ``number`` everywhere."""
    if not isinstance(node.operation, Binary) or node.operation.function != function:
        return None
    operands = [(node.inputs[0], node.inputs[1])]
    if function != "divide":
        operands.append((node.inputs[1], node.inputs[0]))
    for x, constant in operands:
        if constant.data is not None and np.allclose(constant.data, number, rtol=1e-6, atol=0):
            return x
    return None
