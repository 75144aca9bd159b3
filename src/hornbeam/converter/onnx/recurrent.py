"""Recurrent layers: the engine's own where it can do them, else loops.

ONNX's LSTM, GRU and RNN walk over ``[time, batch, features]``, and know padding at the end but no
other mask. A masked layer, or one with an activation that ONNX does not have there, is taken apart
into a `Scan` before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from hornbeam.converter.onnx.assemble import emit_graph
from hornbeam.converter.onnx.dtypes import kernel_dtype
from hornbeam.converter.onnx.emitter import Emitter
from hornbeam.converter.onnx.freedom import Layout
from hornbeam.converter.onnx.registry import writes
from hornbeam.graph import Graph, Node, TensorType, Value
from hornbeam.graph.operations import (
    Elu,
    Gru,
    LeakyRelu,
    Lstm,
    Operation,
    Recurrence,
    Reshape,
    Scan,
    SimpleRnn,
    Unary,
)

__all__ = ["with_loops"]

#: The ONNX operator, and where its gates are among Keras's (its LSTM: input, output, forget, cell).
_OPERATORS: dict[type[Operation], tuple[str, list[int]]] = {
    Lstm: ("LSTM", [0, 3, 1, 2]),
    Gru: ("GRU", [0, 1, 2]),
    SimpleRnn: ("RNN", [0]),
}
_ACTIVATIONS: dict[str, tuple[str, float, float]] = {
    "tanh": ("Tanh", 0, 0),
    "sigmoid": ("Sigmoid", 0, 0),
    "relu": ("Relu", 0, 0),
    "softsign": ("Softsign", 0, 0),
    "softplus": ("Softplus", 0, 0),
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5),
}
#: Activations that take an alpha, and those that take a beta too.
_WITH_ALPHA = ("Affine", "Elu", "HardSigmoid", "LeakyRelu")
_WITH_BETA = ("Affine", "HardSigmoid")


def with_loops(graph: Graph) -> Graph:
    """``graph``, or a copy of it where recurrences that ONNX does not have are loops."""
    if all(_is_native(node) for node in graph.nodes):
        return graph
    nodes: list[Node] = []
    for node in graph.nodes:
        nodes += [node] if _is_native(node) else _loop(node)
    return replace(graph, nodes=nodes)


def _is_native(node: Node) -> bool:
    operation = node.operation
    if not isinstance(operation, Recurrence):
        return True
    known = all(_activation(function) for function in _functions(operation))
    constant = all(value.is_constant for value in node.inputs[1:4])
    return known and constant and not operation.steps.masked


def _functions(operation: Recurrence) -> list[Operation | None]:
    """The activations, in ONNX's order."""
    if isinstance(operation, Lstm):
        return [operation.recurrent_activation, operation.activation, operation.activation]
    if isinstance(operation, Gru):
        return [operation.recurrent_activation, operation.activation]
    return [operation.activation]


def _activation(function: Operation | None) -> tuple[str, float, float] | None:
    """The name, alpha and beta by which ONNX knows an activation."""
    match function:
        case None:
            return "Affine", 1, 0
        case Unary(function=name):
            return _ACTIVATIONS.get(name)
        case LeakyRelu(negative_slope=slope):
            return "LeakyRelu", slope, 0
        case Elu(alpha=alpha):
            return "Elu", alpha, 0
    return None


def _loop(node: Node) -> Iterator[Node]:
    """The nodes of the loop that does what ``node`` does, on the node's own values."""
    from hornbeam.converter.loops import as_loop  # brings Keras in, where the model came from

    loop = as_loop(node)
    dynamic = [value for value in node.inputs if not value.is_constant]
    new: dict[Value, Value] = dict(zip(loop.inputs, dynamic, strict=True))
    twice: list[Node] = []
    for value, wanted in zip(loop.outputs.values(), node.outputs, strict=True):
        if value in new:
            twice.append(Node(Reshape(wanted.shape), [new[value]], [wanted], node.path))
        new.setdefault(value, wanted)
    for inner in loop.nodes:
        inputs = [new.get(value, value) for value in inner.inputs]
        outputs = [new.get(value, value) for value in inner.outputs]
        yield Node(inner.operation, inputs, outputs, node.path)
    yield from twice


@writes(Lstm, Gru, SimpleRnn)
def recurrence(node: Node, emit: Emitter) -> list[str]:
    """LSTM, GRU or RNN, between transposes to and from time-major order."""
    operation = node.operation
    assert isinstance(operation, Recurrence)
    op_type, order = _OPERATORS[type(operation)]
    dtype = node.inputs[0].dtype
    kind = kernel_dtype(op_type, dtype)
    x = emit("Transpose", emit.cast(emit.input(), dtype, kind), perm=[1, 0, 2])
    weights = [emit.cast(name, dtype, kind) for name in _weights(node, emit, order)]
    states = [
        emit(
            "Unsqueeze", emit.cast(emit.value(state, Layout.LAST), dtype, kind), emit.integers([0])
        )
        for state in node.inputs[4:]
    ]
    found = [item for function in _functions(operation) if (item := _activation(function))]
    units = node.inputs[2].shape[0]
    results = emit.several(
        op_type,
        [x, *weights, "", *states],
        1 + operation.states,
        hidden_size=units,
        direction="reverse" if operation.steps.reverse else None,
        activations=[name for name, _, _ in found],
        activation_alpha=[float(alpha) for name, alpha, _ in found if name in _WITH_ALPHA] or None,
        activation_beta=[float(beta) for name, _, beta in found if name in _WITH_BETA] or None,
        linear_before_reset=int(operation.reset_after) if isinstance(operation, Gru) else None,
    )
    finals = [emit("Squeeze", name, emit.integers([0])) for name in results[1:]]
    if operation.steps.result == "sequence":
        stepwise = emit("Squeeze", results[0], emit.integers([1]))
        finals.insert(0, emit("Transpose", stepwise, perm=[1, 0, 2]))
    else:
        emit.steps[-1 - len(finals)].outputs[0] = ""  # not asked for
        if operation.steps.result == "last":
            finals.insert(0, finals[0])
    return [emit.cast(name, kind, dtype) for name in finals]


def _weights(node: Node, emit: Emitter, order: list[int]) -> list[str]:
    """Kernel, recurrent kernel and biases as ONNX wants them: gate by gate, units by inputs."""
    gates = len(order)
    names = []
    for value in node.inputs[1:3]:
        inputs, columns = value.array.shape
        by_gate = value.array.reshape(inputs, gates, -1)[:, order].transpose(1, 2, 0)
        names.append(emit.weights.variant(value, by_gate, ("gates", gates), (1, columns, inputs)))
    bias = node.inputs[3]
    both = bias.array if bias.rank == 2 else np.stack([bias.array, np.zeros_like(bias.array)])
    by_gate = both.reshape(2, gates, -1)[:, order]
    names.append(emit.weights.variant(bias, by_gate, ("gates", gates), (1, both.size)))
    return names


@writes(Scan)
def scan(node: Node, emit: Emitter) -> list[str]:
    """Scan; what is the same in every step its body takes from around it."""
    operation = node.operation
    assert isinstance(operation, Scan)
    states, slices = operation.states, operation.slices
    names = [emit.value(value, Layout.LAST) for value in node.inputs]
    inner = operation.body
    body = replace(inner, inputs=inner.inputs[: states + slices])
    fixed = dict(zip(inner.inputs[states + slices :], names[states + slices :], strict=True))
    steps = names[states : states + slices]
    if not slices:  # the number of steps is the length of a sequence
        zero, one = (emit.constant(np.asarray(number), "int64") for number in (0, 1))
        steps = [emit("Range", zero, emit.shapes.scalar(operation.length), one)]
        counter = Value("number", TensorType((), "int64"))
        body = replace(body, inputs=[*body.inputs, counter])
    stacked = len(node.outputs) - states
    backwards = 1 if operation.reverse else 0
    return emit.loop(
        "Scan",
        [*names[:states], *steps],
        emit_graph(with_loops(body), emit.opset, emit, fixed),
        num_scan_inputs=len(steps),
        scan_input_axes=[operation.axis] * slices or [0],
        scan_input_directions=[backwards] * len(steps),
        scan_output_axes=[operation.axis] * stacked or None,
        scan_output_directions=[backwards] * stacked or None,
    )
