"""The ONNX model around the graph: versions, metadata, weights, the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType

import onnx
from onnx import ModelProto, helper

import hornbeam
from hornbeam.converter.onnx import (
    bits,
    elementwise,
    linear,
    movement,
    pooling,
    recurrent,
    reduction,
    scatter,
)
from hornbeam.converter.onnx.assemble import emit_graph, graph_proto
from hornbeam.converter.onnx.serialize import save, tensor_proto
from hornbeam.converter.onnx.weights import Tensor
from hornbeam.errors import UnsupportedFormatError, UsageError
from hornbeam.graph import Graph

__all__ = ["DEFAULT_OPSET", "OLDEST_OPSET", "check_opset", "newest_opset", "to_model", "write"]

# Registered by being imported.
_FAMILIES = (bits, elementwise, linear, movement, pooling, recurrent, reduction, scatter)

OLDEST_OPSET = 13
#: The newest that onnxruntime 1.20, the oldest supported, runs; and the IR version it reads.
DEFAULT_OPSET = 21
_IR_VERSION = 10
_NOTHING: Mapping[str, str] = MappingProxyType({})


def newest_opset() -> int:
    """The newest opset that the installed onnx knows."""
    return int(onnx.defs.onnx_opset_version())


def write(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    opset: int = DEFAULT_OPSET,
    metadata: Mapping[str, str] = _NOTHING,
) -> None:
    """Write ``graph`` as an ONNX file, whole or not at all; the same graph gives the same bytes.

    ``opset`` is the version of the ONNX operators, from 13 to the newest that the installed onnx
    knows. ``metadata`` is stored under keys that begin with ``hornbeam.``. Weights of 1.8 GB and
    more go to a file of their own beside ``path``. Raises `UsageError` for an opset out of range,
    `UnsupportedFormatError` for what ONNX cannot hold, `OutputError` where nothing can be written.
    """
    model, tensors = _build(graph, opset, metadata)
    save(model, tensors, path)


def to_model(
    graph: Graph, *, opset: int = DEFAULT_OPSET, metadata: Mapping[str, str] = _NOTHING
) -> ModelProto:
    """The model that `write` writes, weights inside."""
    model, tensors = _build(graph, opset, metadata)
    model.graph.initializer.extend(map(tensor_proto, tensors))
    return model


def _build(
    graph: Graph, opset: int, metadata: Mapping[str, str]
) -> tuple[ModelProto, list[Tensor]]:
    """The model without its weights, and the weights."""
    check_opset(opset)
    _check_names(graph)
    emit = emit_graph(recurrent.with_loops(graph), opset)
    model = helper.make_model(
        graph_proto(emit),
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", opset)],
        producer_name="hornbeam",
        producer_version=hornbeam.__version__,
    )
    for key, text in metadata.items():
        model.metadata_props.add(key=f"hornbeam.{key}", value=text)
    return model, emit.weights.tensors


def check_opset(opset: int) -> None:
    """Raise `UsageError` for an opset that Hornbeam does not write."""
    if not OLDEST_OPSET <= opset <= newest_opset():
        raise UsageError(
            f"An ONNX file of opset {opset} was asked for",
            f"Hornbeam writes opsets {OLDEST_OPSET} to {newest_opset()} with onnx "
            f"{onnx.__version__}",
            f"Leave it out for {DEFAULT_OPSET}, which every supported onnxruntime runs",
        )


def _check_names(graph: Graph) -> None:
    inputs = {value.name: value for value in graph.inputs}
    for key, value in graph.outputs.items():
        if key in inputs and inputs[key] is not value:
            raise UnsupportedFormatError(
                f'The output "{key}" was to be written as ONNX',
                "An input has the same name, and in ONNX a name means one value",
                "Rename the layer that makes the output",
            )
