"""Writes the nodes of a graph in turn, whether it is the whole model or the body of a loop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.tflite.context import Context, Operator, Tensor
from hornbeam.converter.tflite.fusion import fused_activations
from hornbeam.converter.tflite.registry import WRITERS
from hornbeam.errors import UnsupportedFormatError
from hornbeam.graph import Graph, Node

__all__ = ["NO_ACTIVATION", "alive", "write_nodes"]

NO_ACTIVATION = schema.ActivationFunctionType.NONE
_ACTIVATIONS = {
    schema.ActivationFunctionType.RELU: "RELU",
    schema.ActivationFunctionType.RELU6: "RELU6",
    schema.ActivationFunctionType.RELU_N1_TO_1: "RELU_N1_TO_1",
}


def write_nodes(ctx: Context, graph: Graph) -> None:
    """Emit the operators of every node; its inputs must be bound to tensors."""
    fused = fused_activations(graph)
    done: set[Node] = set()
    for node in graph.nodes:
        if node in done:
            continue
        follower, activation = fused.get(node, (None, NO_ACTIVATION))
        results = _emit_node(ctx, node, activation)
        last = node if follower is None else follower
        if follower is not None:
            done.add(follower)
        for value, tensor in zip(last.outputs, results, strict=True):
            ctx.bind(value, tensor)


def _emit_node(ctx: Context, node: Node, activation: int) -> Sequence[Tensor]:
    writer = WRITERS.get(type(node.operation))
    if writer is None:
        raise UnsupportedFormatError(
            "A TFLite file was asked for.",
            f"{node.path}: TFLite has no way to write {node.operation}.",
            "Write ONNX, or take the layer out of the model.",
        )
    ctx.start(node, activation)
    results = writer(ctx, node)
    results = [results] if isinstance(results, Tensor) else list(results)
    left = ctx.take_activation()
    if left != NO_ACTIVATION:
        results = [ctx.unary(_ACTIVATIONS[left], tensor) for tensor in results]
    return results


def alive(operators: list[Operator], outputs: Iterable[Tensor]) -> list[Operator]:
    """The operators that the outputs depend on; their tensors get their final names."""
    needed = set(outputs)
    kept: list[Operator] = []
    for operator in reversed(operators):
        if needed.isdisjoint(operator.outputs):
            continue
        needed.update(tensor for tensor in operator.inputs if tensor is not None)
        kept.append(operator)
    kept.reverse()
    counts: dict[str, int] = {}
    for operator in kept:
        for tensor in operator.outputs:
            if tensor.name.startswith("?"):
                stem = tensor.name[1:]
                counts[stem] = counts.get(stem, 0) + 1
                tensor.name = f"{stem}_{counts[stem]}" if counts[stem] > 1 else stem
    return kept
