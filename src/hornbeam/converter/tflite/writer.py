"""Walks a graph and writes it as a TFLite file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hornbeam.converter.files import replacing
from hornbeam.converter.tflite import (
    bits,
    elementwise,
    linear,
    movement,
    pooling,
    recurrent,
    reduction,
    scatter,
    slices,
    transposed_conv,
)
from hornbeam.converter.tflite.context import Context, Operator, Tensor
from hornbeam.converter.tflite.flatfile import FlatFile, pack
from hornbeam.converter.tflite.sizes import copied
from hornbeam.converter.tflite.streaming import Streamed
from hornbeam.converter.tflite.tensors import boundary_dtype
from hornbeam.converter.tflite.walk import NO_ACTIVATION, alive, write_nodes
from hornbeam.graph import Graph, Value
from hornbeam.graph.dims import evaluate

__all__ = ["to_bytes", "write"]

#: Importing a family registers its writers.
FAMILIES = (
    bits, elementwise, linear, movement, pooling, recurrent, reduction, scatter, slices,
    transposed_conv,
)  # fmt: skip


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
    pieces = _packed(graph, metadata)
    with replacing(path) as temporary, Path(temporary).open("wb") as file:
        file.writelines(pieces)


def to_bytes(graph: Graph, *, metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of the TFLite file for ``graph``; the same graph gives the same bytes."""
    return b"".join(_packed(graph, metadata))


def _packed(graph: Graph, metadata: Mapping[str, str] | None) -> Streamed:
    """The file for ``graph``, in pieces.

    The signature ``serving_default`` has the names of the graph's inputs and outputs. The file's
    metadata entry ``hornbeam`` is a JSON object of ``metadata`` and of ``operators``, a JSON list
    of the Keras path of each operator.
    """
    ctx = Context(graph)
    for value in graph.inputs:
        ctx.add_input(value)
    write_nodes(ctx, graph)
    outputs = _outputs(ctx)
    operators = alive(ctx.operators, outputs.values())
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


def _outputs(ctx: Context) -> dict[str, Tensor]:
    """The outputs by name, each a tensor of its own, in the model's own dtype."""
    outputs: dict[str, Tensor] = {}
    producers = ctx.graph.producers()
    for name, value in ctx.graph.outputs.items():
        if value in producers:
            ctx.start(producers[value], NO_ACTIVATION)
        tensor = ctx.read(value)
        if value.quantization is None:
            tensor = ctx.cast(tensor, boundary_dtype(value.dtype))
        elsewhere = (*outputs.values(), *ctx.inputs.values())
        if tensor.data is not None or any(tensor is other for other in elsewhere):
            tensor = copied(ctx, tensor)
        if tensor.name.startswith("?"):
            tensor.name = value.name if value.name not in ctx.graph.outputs else name
        outputs[name] = tensor
    return outputs


def _metadata(metadata: Mapping[str, str], operators: list[Operator]) -> bytes:
    paths = json.dumps([operator.path for operator in operators], separators=(",", ":"))
    entries = {**metadata, "operators": paths}
    text = json.dumps(entries, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def placeholders(graph: Graph) -> dict[str, int]:
    """A size for each free symbol at which every value has elements.

    The shapes in a file with free sizes hold these until an input is resized; 1 where it can be.
    """
    values: set[Value] = set()
    graphs = [graph]
    while graphs:
        part = graphs.pop()
        values |= {*part.inputs, *(value for node in part.nodes for value in node.outputs)}
        graphs += [body for node in part.nodes for body in node.operation.bodies]
    dims: set[Any] = {dim for value in values for dim in value.shape if not isinstance(dim, int)}
    for exponent in range(12):
        sizes = {name: 2**exponent if axis else 1 for name, (_, axis) in graph.symbols.items()}
        if all(evaluate(dim, sizes) > 0 for dim in dims):
            return sizes
    return dict.fromkeys(graph.symbols, 1)
