"""A border of zeros becomes the padding of the convolution or pooling behind it."""

from __future__ import annotations

from hornbeam.converter.passes.edit import Neighbours
from hornbeam.graph import Graph, Node
from hornbeam.graph.operations import Clip, Conv, DepthwiseConv, Operation, Pad, Pool, Unary

__all__ = ["fold_pad"]

_NOT_NEGATIVE = {"relu", "relu6", "sigmoid", "hard_sigmoid", "exp", "softplus", "square", "abs"}


def fold_pad(graph: Graph) -> bool:
    """Fold each constant `Pad` of spatial axes into what reads it."""
    near = Neighbours(graph)
    changed = False
    for node in graph.nodes:
        if not isinstance(node.operation, (Conv, DepthwiseConv, Pool)):
            continue
        pad = near.sole_producer(node.inputs[0], Pad)
        if pad is None or not _foldable(near, pad, node.operation):
            continue
        assert isinstance(pad.operation, Pad)
        rank = len(pad.operation.paddings) - 2
        own = node.operation.padding
        before = ((0, 0),) * rank if isinstance(own, str) else own
        total = tuple(
            (a + c, b + d)
            for (a, b), (c, d) in zip(before, pad.operation.paddings[1:-1], strict=True)
        )
        near.become(node, _padded(node.operation, total), [pad.inputs[0], *node.inputs[1:]],
                    node.path)  # fmt: skip
        changed = True
    return changed


def _foldable(near: Neighbours, pad: Node, reader: Operation) -> bool:
    operation = pad.operation
    assert isinstance(operation, Pad)
    if operation.mode != "constant" or operation.value != 0.0:
        return False
    paddings = operation.paddings
    if paddings[0] != (0, 0) or paddings[-1] != (0, 0) or min(map(min, paddings)) < 0:
        return False
    if getattr(reader, "padding", "same") == "same":
        return False
    if isinstance(reader, Pool):
        # Padding never counts in a pooling window. Under a maximum, zeros make no difference
        # where nothing is negative and every window holds a real element.
        inside = all(
            max(pair) < size for pair, size in zip(paddings[1:-1], reader.pool_size, strict=True)
        )
        return reader.function == "max" and inside and _not_negative(near, pad)
    return True


def _not_negative(near: Neighbours, pad: Node) -> bool:
    producer = near.producer(pad.inputs[0])
    if producer is None:
        return False
    match producer.operation:
        case Unary(function=function):
            return function in _NOT_NEGATIVE
        case Clip(minimum=minimum):
            return minimum is not None and minimum >= 0
    return False


def _padded(operation: Operation, padding: tuple[tuple[int, int], ...]) -> Operation:
    match operation:
        case Conv(strides=strides, dilation=dilation, groups=groups):
            return Conv(strides, padding, dilation, groups)
        case DepthwiseConv(strides=strides, dilation=dilation):
            return DepthwiseConv(strides, padding, dilation)
        case Pool(function=function, pool_size=size, strides=strides):
            return Pool(function, size, strides, padding)
    raise TypeError(f"{operation} has no padding")
