"""A graph through all its writers, and what they emitted as protocol buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from onnx import GraphProto, NodeProto, ValueInfoProto, helper

from hornbeam.converter.onnx.dtypes import onnx_dtype
from hornbeam.converter.onnx.emitter import Emitter, Step
from hornbeam.converter.onnx.layout import choose_layouts
from hornbeam.converter.onnx.registry import writer_for
from hornbeam.graph import Graph, Value

__all__ = ["emit_graph", "graph_proto"]


def emit_graph(
    graph: Graph,
    opset: int,
    around: Emitter | None = None,
    known: Mapping[Value, str] | None = None,
) -> Emitter:
    """Write every node of ``graph``; ``around`` and ``known`` are for the body of a loop."""
    emit = Emitter(graph, choose_layouts(graph), opset, around, known)
    for node in graph.nodes:
        emit.begin(node)
        results = writer_for(node)(node, emit)
        emit.bind([results] if isinstance(results, str) else results)
    emit.finish()
    return emit


def graph_proto(emit: Emitter) -> GraphProto:
    """What was emitted, without initializers."""
    graph = emit.graph
    return helper.make_graph(
        [_node_proto(step) for step in emit.steps],
        graph.name or "model",
        _value_infos(emit.input_names, graph.inputs),
        _value_infos(emit.output_names, list(graph.outputs.values())),
    )


def _node_proto(step: Step) -> NodeProto:
    node = NodeProto(op_type=step.op_type, name=step.name, input=step.inputs, output=step.outputs)
    attributes = dict(step.attributes)
    if step.body is not None:
        attributes["body"] = graph_proto(step.body)
    for key in sorted(attributes):
        node.attribute.append(helper.make_attribute(key, attributes[key]))
    return node


def _value_infos(names: Sequence[str], values: Sequence[Value]) -> list[ValueInfoProto]:
    return [_value_info(name, value) for name, value in zip(names, values, strict=True)]


def _value_info(name: str, value: Value) -> ValueInfoProto:
    dims: list[Any] = [dim if isinstance(dim, int) else str(dim) for dim in value.shape]
    return helper.make_tensor_value_info(name, onnx_dtype(value.dtype), dims)
