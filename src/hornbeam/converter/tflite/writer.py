"""Walks a graph and writes it as a TFLite file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from hornbeam.converter.files import replacing
from hornbeam.converter.tflite import (
    elementwise,
    linear,
    movement,
    pooling,
    reduction,
    slices,
    transposed_conv,
)
from hornbeam.converter.tflite.context import Context, Operator, Tensor
from hornbeam.converter.tflite.flatfile import FlatFile, pack
from hornbeam.converter.tflite.fusion import fused_activations
from hornbeam.converter.tflite.registry import WRITERS
from hornbeam.converter.tflite.tensors import boundary_dtype
from hornbeam.errors import UnsupportedFormatError
from hornbeam.graph import Graph, Node
from hornbeam.graph.dims import evaluate

__all__ = ["to_bytes", "write"]

#: Importing a family registers its writers.
FAMILIES = (elementwise, linear, movement, pooling, reduction, slices, transposed_conv)

_NONE = schema.ActivationFunctionType.NONE
_ACTIVATIONS = {
    schema.ActivationFunctionType.RELU: "RELU",
    schema.ActivationFunctionType.RELU6: "RELU6",
    schema.ActivationFunctionType.RELU_N1_TO_1: "RELU_N1_TO_1",
}


def write(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write ``graph`` as a TFLite file at ``path``, whole or not at all.

    ``metadata`` is stored with the file. Errors: `UnsupportedFormatError` where TFLite cannot hold
    the model, `OutputError` where the file cannot be written.
    """
    contents = to_bytes(graph, metadata=metadata)
    with replacing(path) as temporary, Path(temporary).open("wb") as file:
        file.write(contents)


def to_bytes(graph: Graph, *, metadata: Mapping[str, str] | None = None) -> memoryview:
    """The bytes of the TFLite file for ``graph``; the same graph gives the same bytes.

    The signature ``serving_default`` has the names of the graph's inputs and outputs. The file's
    metadata entry ``hornbeam`` is a JSON object of ``metadata`` and of ``operators``, a JSON list
    of the Keras path of each operator.
    """
    ctx = Context(graph)
    for value in graph.inputs:
        ctx.add_input(value)
    fused = fused_activations(graph)
    done: set[Node] = set()
    for node in graph.nodes:
        if node in done:
            continue
        follower, activation = fused.get(node, (None, _NONE))
        results = _emit_node(ctx, node, activation)
        last = node if follower is None else follower
        if follower is not None:
            done.add(follower)
        for value, tensor in zip(last.outputs, results, strict=True):
            ctx.bind(value, tensor)
    outputs = _outputs(ctx)
    operators = _alive(ctx.operators, outputs)
    return pack(
        FlatFile(
            name=graph.name,
            inputs={value.name: ctx.inputs[value] for value in graph.inputs},
            outputs=outputs,
            operators=operators,
            sizes=placeholders(graph),
            metadata={"hornbeam": _metadata(metadata or {}, operators)},
        )
    )


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
    if left != _NONE:
        results = [ctx.unary(_ACTIVATIONS[left], tensor) for tensor in results]
    return results


def _outputs(ctx: Context) -> dict[str, Tensor]:
    """The outputs by name, each a tensor of its own, in the model's own dtype."""
    outputs: dict[str, Tensor] = {}
    producers = ctx.graph.producers()
    for name, value in ctx.graph.outputs.items():
        if value in producers:
            ctx.start(producers[value], _NONE)
        tensor = ctx.read(value)
        if value.quantization is None:
            tensor = ctx.cast(tensor, boundary_dtype(value.dtype))
        elsewhere = (*outputs.values(), *ctx.inputs.values())
        if tensor.data is not None or any(tensor is other for other in elsewhere):
            tensor = _copy(ctx, tensor)
        if tensor.name.startswith("?"):
            tensor.name = value.name if value.name not in ctx.graph.outputs else name
        outputs[name] = tensor
    return outputs


def _copy(ctx: Context, x: Tensor) -> Tensor:
    """The same elements in a tensor of its own."""
    # A reshape is the copy that runs for every dtype; its shape must be one that is known.
    shape = [dim if isinstance(dim, int) else -1 for dim in x.shape]
    if shape.count(-1) <= 1:
        return ctx.emit("RESHAPE", [x, ctx.constant(shape, "int32")], x.type)
    options = schema.ConcatenationOptionsT()
    return ctx.emit("CONCATENATION", [x], x.type, options)


def _alive(operators: list[Operator], outputs: Mapping[str, Tensor]) -> list[Operator]:
    """The operators that the outputs depend on; their tensors get their final names."""
    needed = set(outputs.values())
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


def _metadata(metadata: Mapping[str, str], operators: list[Operator]) -> bytes:
    paths = json.dumps([operator.path for operator in operators], separators=(",", ":"))
    entries = {**metadata, "operators": paths}
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def placeholders(graph: Graph) -> dict[str, int]:
    """A size for each free symbol at which every value has elements.

    The shapes in a file with free sizes hold these until an input is resized; 1 where it can be.
    """
    values = {*graph.inputs, *(value for node in graph.nodes for value in node.outputs)}
    dims: set[Any] = {dim for value in values for dim in value.shape if not isinstance(dim, int)}
    for exponent in range(12):
        sizes = {name: 2**exponent if axis else 1 for name, (_, axis) in graph.symbols.items()}
        if all(evaluate(dim, sizes) > 0 for dim in dims):
            return sizes
    return dict.fromkeys(graph.symbols, 1)
