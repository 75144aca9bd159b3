"""Recurrent cells: those that engines have an operator for, and one step of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from hornbeam.converter.loops import gru_step, lstm_step, rnn_step
from hornbeam.converter.lowering.arguments import spread
from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Graph, Value
from hornbeam.graph import operations as op

__all__ = ["KnownCell", "conv_lstm_projection", "conv_lstm_step", "is_cell", "known_cell"]

_GATES = {"GRUCell": 3, "LSTMCell": 4, "SimpleRNNCell": 1}
_Stepped = tuple[Value, list[Value]]


@dataclass(frozen=True)
class KnownCell:
    """A cell that is an operation of the graph: all of it but how it walks, and its weights."""

    cell: Any
    activations: dict[str, op.Operation | None]
    weights: list[Value]
    states: int

    def operation(self, steps: op.Steps) -> op.Recurrence:
        """The operation that walks as ``steps`` says."""
        kind = {"GRUCell": op.Gru, "LSTMCell": op.Lstm}.get(type(self.cell).__name__, op.SimpleRnn)
        options: dict[str, Any] = dict(self.activations)
        if kind is op.Gru:
            options["reset_after"] = bool(self.cell.reset_after)
        made: op.Recurrence = kind(steps=steps, **options)
        return made


def is_cell(cell: Any, *names: str) -> bool:
    """Whether ``cell`` is one of Keras's own classes of these names (not a subclass)."""
    kind = type(cell)
    return kind.__name__ in names and kind.__module__.partition(".")[0] == "keras"


def known_cell(b: Builder, cell: Any) -> KnownCell | None:
    """The cell as an operation, if it is Keras's own and its activations are operations."""
    if not is_cell(cell, *_GATES):
        return None
    activations: dict[str, op.Operation | None] = {}
    names = ["activation", "recurrent_activation"]
    for name in names[: 1 if is_cell(cell, "SimpleRNNCell") else 2]:
        found = _as_operation(b, getattr(cell, name), int(cell.units))
        if len(found) > 1:
            return None
        activations[name] = found[0] if found else None
    weights = [b.weight(cell.kernel), b.weight(cell.recurrent_kernel), _bias(b, cell)]
    return KnownCell(cell, activations, weights, 2 if is_cell(cell, "LSTMCell") else 1)


def _as_operation(b: Builder, function: Any, units: int) -> list[op.Operation]:
    """The operations that an activation function consists of."""
    trial = Graph("activation")
    x = trial.add_input("x", (3, units), b.dtype or "float32")
    with b.inside(trial):
        y = b.activation(function, x)
    trial.outputs = {"y": y}
    trial.prune()
    if any(node.inputs != [x] or len(node.outputs) > 1 for node in trial.nodes):
        return [op.Cast("float32")] * 2
    return [node.operation for node in trial.nodes]


def _bias(b: Builder, cell: Any) -> Value:
    if cell.bias is not None:
        return b.weight(cell.bias)
    size = _GATES[type(cell).__name__] * int(cell.units)
    shape = (2, size) if getattr(cell, "reset_after", False) else (size,)
    return b.constant(np.zeros(shape), b.weight(cell.kernel).dtype, name=f"{b.path}/bias")


# One step of each of Keras's cells, for loops over a cell that is not an operation.


@lowers("layers.LSTMCell")
def lstm_cell(b: Builder, cell: Any, inputs: Value, states: Sequence[Value]) -> _Stepped:
    """One step of LSTM."""
    inner = b.emit(op.Dense(), states[0], b.weight(cell.recurrent_kernel))
    new = lstm_step(b, cell, b.binary("add", _project(b, cell, inputs), inner), list(states))
    return new[0], new


@lowers("layers.GRUCell")
def gru_cell(b: Builder, cell: Any, inputs: Value, states: Any) -> tuple[Value, Any]:
    """One step of GRU; the new state comes in the structure of the old."""
    nested = isinstance(states, (list, tuple))
    recurrent, units = b.weight(cell.recurrent_kernel), int(cell.units)
    kernel = b.weight(cell.kernel)
    biases = list(b.weight(cell.bias).array) if cell.reset_after and cell.bias is not None else []
    x = b.emit(op.Dense(), inputs, kernel, *map(b.constant, biases[:1]))
    if cell.bias is not None and not biases:
        x = b.binary("add", x, b.weight(cell.bias))
    if cell.reset_after:
        products = [[recurrent, *map(b.constant, biases[1:])]]
    else:
        parts = recurrent.array[:, : 2 * units], recurrent.array[:, 2 * units :]
        products = [[b.constant(np.ascontiguousarray(p), recurrent.dtype)] for p in parts]
    (new,) = gru_step(b, cell, x, list(states) if nested else [states], products)
    return new, [new] if nested else new


@lowers("layers.SimpleRNNCell")
def simple_rnn_cell(b: Builder, cell: Any, sequence: Value, states: Any) -> tuple[Value, Any]:
    """One step of SimpleRNN."""
    nested = isinstance(states, (list, tuple))
    before = list(states) if nested else [states]
    x = _project(b, cell, sequence)
    (new,) = rnn_step(b, cell, x, before, b.weight(cell.recurrent_kernel))
    return new, [new] if nested else new


def _project(b: Builder, cell: Any, x: Value) -> Value:
    return b.emit(op.Dense(), x, b.weight(cell.kernel), *b.weights(cell.bias))


@lowers("layers.ConvLSTMCell")
def conv_lstm_cell(b: Builder, cell: Any, inputs: Value, states: Sequence[Value]) -> _Stepped:
    """One step of ConvLSTM."""
    return conv_lstm_step(b, cell, conv_lstm_projection(b, cell, inputs), list(states))


def conv_lstm_projection(b: Builder, cell: Any, x: Value) -> Value:
    """The convolution of the input for all gates, channels-last."""
    rank = int(cell.rank)
    kernel = b.weight(cell.kernel)
    strides, dilation = spread(cell.strides, rank), spread(cell.dilation_rate, rank)
    groups = cast(int, x.shape[-1]) // cast(int, kernel.shape[-2])
    conv = op.Conv(strides, cell.padding, dilation, groups)
    return b.emit(conv, x, kernel, *b.weights(cell.bias))


def conv_lstm_step(b: Builder, cell: Any, z: Value, states: list[Value]) -> _Stepped:
    """One step on a projected input; values are channels-last."""
    ones = (1,) * int(cell.rank)
    inner = b.emit(op.Conv(ones, "same", ones), states[0], b.weight(cell.recurrent_kernel))
    new = lstm_step(b, cell, b.binary("add", z, inner), states)
    return new[0], new
