"""Activations that the operator before them can apply as it writes its result.

TFLite's convolutions, dense layers, pools and float arithmetic clamp their result for nothing.
(TANH is in the schema too, but neither XNNPACK nor most kernels apply it.)
"""

from __future__ import annotations

from ai_edge_litert import schema_py_generated as schema

from hornbeam.graph import Graph, Node
from hornbeam.graph.operations import (
    Affine,
    Binary,
    Clip,
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    Pool,
    Unary,
)
from hornbeam.graph.types import is_float

__all__ = ["fused_activations"]

_NONE = schema.ActivationFunctionType.NONE
_CARRIERS = (Affine, Conv, ConvTranspose, Dense, DepthwiseConv, Pool)
_ARITHMETIC = ("add", "subtract", "multiply", "divide")
_CLIPS = {
    (0.0, None): schema.ActivationFunctionType.RELU,
    (0.0, 6.0): schema.ActivationFunctionType.RELU6,
    (-1.0, 1.0): schema.ActivationFunctionType.RELU_N1_TO_1,
}
_FUNCTIONS = {
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}


def fused_activations(graph: Graph) -> dict[Node, tuple[Node, int]]:
    """For each node that takes an activation along: the activation's node and its code."""
    consumers = graph.consumers()
    found: dict[Node, tuple[Node, int]] = {}
    for node in graph.nodes:
        if not _carries(node) or graph.is_output(node.output):
            continue
        readers = consumers.get(node.output, [])
        if len(readers) == 1:
            activation = _activation(readers[0])
            if activation != _NONE:
                found[node] = (readers[0], activation)
    return found


def _carries(node: Node) -> bool:
    operation = node.operation
    if isinstance(operation, Binary):
        return operation.function in _ARITHMETIC and is_float(node.output.dtype)
    return isinstance(operation, _CARRIERS)


def _activation(node: Node) -> int:
    operation = node.operation
    # A quantized result has its own range between the two: they must stay apart.
    if any(value.quantization is not None for value in node.inputs):
        return int(_NONE)
    if isinstance(operation, Clip):
        return int(_CLIPS.get((operation.minimum, operation.maximum), _NONE))  # type: ignore[arg-type]
    if isinstance(operation, Unary):
        return int(_FUNCTIONS.get(operation.function, _NONE))
    return int(_NONE)
