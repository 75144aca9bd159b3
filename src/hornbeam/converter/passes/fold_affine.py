"""Affine maps folded into the weights beside them: batch normalization costs nothing any more.

After a weighted operation, ``(x @ k + b) * s + t = x @ (k * s) + (b * s + t)``. Before one,
``(x * s + t) @ k = x @ (s * k) + t @ k``, where padding would bring zeros that are not ``t``, only
with ``t = 0``. Two affine maps in a row are one.
Jacob et al., Quantization and Training of Neural Networks, 2018, section 3.2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hornbeam.converter.passes.edit import Neighbours
from hornbeam.graph import Graph, Node, Value
from hornbeam.graph.operations import Affine, Conv, ConvTranspose, Dense, DepthwiseConv
from hornbeam.graph.types import numpy_dtype

__all__ = ["fold_affine"]

Array = npt.NDArray[Any]
_WEIGHTED = (Conv, ConvTranspose, Dense, DepthwiseConv)


def fold_affine(graph: Graph) -> bool:
    """Fold every `Affine` that has a weighted operation or another `Affine` on one side."""
    near = Neighbours(graph)
    changed = False
    for node in graph.nodes:
        if isinstance(node.operation, Affine):
            changed |= _into_previous(graph, near, node)
        elif isinstance(node.operation, _WEIGHTED):
            changed |= _from_previous(graph, near, node)
    return changed


def _into_previous(graph: Graph, near: Neighbours, node: Node) -> bool:
    x, scale, offset = node.inputs
    before = near.sole_producer(x, Affine, *_WEIGHTED)
    if before is None or not all(value.is_constant for value in before.inputs[1:]):
        return False
    s, t = _wide(scale), _wide(offset)
    source, weights, *bias = before.inputs
    old = _wide(before.inputs[2]) if bias else 0.0
    kernel = graph.constant(
        f"{before.path}/kernel", _product(weights, _by_output(before, s)), x.dtype
    )
    shift = _constant(graph, f"{before.path}/bias", old * s + t, x.dtype)
    near.become(node, before.operation, [source, kernel, shift], before.path)
    return True


def _by_output(node: Node, scale: Array) -> Array:
    """A number for each output channel, in the shape in which it scales the kernel."""
    if isinstance(node.operation, ConvTranspose):
        return scale[:, None]
    if isinstance(node.operation, DepthwiseConv):
        return scale.reshape(node.inputs[1].array.shape[-2:])
    return scale


def _product(kernel: Value, factor: Array) -> Array:
    """The kernel times ``factor`` in double precision, without a copy of it in that precision."""
    product = np.empty_like(kernel.array)
    np.multiply(kernel.array, factor, out=product, casting="same_kind")
    return product


def _from_previous(graph: Graph, near: Neighbours, node: Node) -> bool:
    operation = node.operation
    before = near.sole_producer(node.inputs[0], Affine)
    if before is None or not all(value.is_constant for value in node.inputs[1:]):
        return False
    x, scale, offset = before.inputs
    s, t = _wide(scale), _wide(offset)
    grouped = isinstance(operation, Conv) and operation.groups > 1
    if grouped or isinstance(operation, ConvTranspose):
        return False
    if t.any() and getattr(operation, "padding", "valid") != "valid":
        return False
    scaled = _product(node.inputs[1], s[:, None])
    # What the constant part becomes: summed over the window, and over the channels unless each
    # is by itself.
    part = node.inputs[1].array * t[:, None]
    if isinstance(operation, DepthwiseConv):
        shift = part.sum(axis=tuple(range(part.ndim - 2))).reshape(-1)
    else:
        shift = part.sum(axis=tuple(range(part.ndim - 1)))
    bias = (_wide(node.inputs[2]) if len(node.inputs) > 2 else 0.0) + shift
    dtype = node.output.dtype
    values = [
        graph.constant(f"{node.path}/kernel", scaled, dtype),
        _constant(graph, f"{node.path}/bias", bias, dtype),
    ]
    near.become(node, operation, [x, *values], node.path)
    return True


def _wide(value: Value) -> Array:
    return value.array.astype(np.float64)


def _constant(graph: Graph, name: str, array: Array, dtype: str) -> Value:
    return graph.constant(name, array.astype(numpy_dtype(dtype)), dtype)
