"""Loops over time: how one is built around a cell, and recurrent operations taken apart into one.

Formats without an operator for a recurrent layer get it as a `Scan`. The product of the input with
its kernel does not depend on the state, so it is taken out of the loop, for all steps at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from hornbeam.converter.lowering.builder import Builder, KerasSide
from hornbeam.graph import Dim, Graph, Node, Value
from hornbeam.graph import operations as op

__all__ = ["Cell", "Over", "Step", "as_loop", "gru_step", "lstm_step", "rnn_step", "scan", "zeros"]

#: One step: from the slices of the sequences and the states to the output and the new states.
Step = Callable[[list[Value], list[Value]], tuple[Value, list[Value]]]
#: One step on a projected input: from its slice and the states to the new states.
Cell = Callable[[Builder, Any, Value, list[Value]], list[Value]]


@dataclass(frozen=True)
class Over:
    """What a loop goes over.

    Sequences ``[n, t, ...]``, states to begin with, a mask ``[n, t]`` or none, and which state
    stands for the output where a step is masked and `Steps.at_masked` is "state".
    """

    sequences: Sequence[Value]
    initial: Sequence[Value]
    mask: Value | None
    repeated: int = 0


def scan(b: Builder, over: Over, steps: op.Steps, step: Step) -> list[Value]:
    """``step`` over time: the result that ``steps`` asks for, and the final states.

    What ``step`` uses, it gets as arguments, or it is a constant.
    """
    sequences, initial, mask = over.sequences, over.initial, over.mask
    given = list(sequences)
    if mask is not None:
        given.append(b.reshape(mask, (*mask.shape, 1)))
    body = Graph(f"{b.path}/step")
    before = [body.add_input(f"{b.path}/state", x.shape, x.dtype) for x in initial]
    slices = [body.add_input(f"{b.path}/slice", (x.shape[0], *x.shape[2:]), x.dtype) for x in given]
    keep = slices.pop() if mask is not None else None
    with b.inside(body):
        output, states = step(slices, before)
        previous = body.add_input(f"{b.path}/output", output.shape, output.dtype)
        if keep is not None:
            states = [_kept(b, keep, new, old) for new, old in zip(states, before, strict=True)]
            pair = states[over.repeated], before[over.repeated]
            output = _masked_output(b, keep, (output, previous, *pair), steps)
    body.inputs.remove(previous)
    begin = list(initial)
    # An output that a later step, or the caller, asks for is carried along like a state.
    same = output is states[0]
    repeated = keep is not None and steps.at_masked == "output"
    if repeated or (steps.result == "last" and not same):
        body.inputs.insert(len(before), previous)
        begin.append(zeros(b, output.shape, output.dtype))
        states = [*states, output]
    results = [*states, *([output] if steps.result == "sequence" else [])]
    body.outputs = {f"output_{i}": value for i, value in enumerate(results)}
    body.prune()
    length = sequences[0].shape[1]
    loop = op.Scan(body, len(begin), len(given), length, reverse=steps.reverse)
    made = b.emit_all(loop, *begin, *given)
    final, rest = made[: len(initial)], made[len(initial) :]
    if steps.result == "none":
        return final
    if steps.result == "sequence":
        return [rest[-1], *final]
    return [rest[0] if rest else final[0], *final]


def _kept(b: Builder, keep: Value, new: Value, old: Value) -> Value:
    return b.select(_spread(b, keep, new.rank), new, old)


def _masked_output(
    b: Builder, keep: Value, values: tuple[Value, Value, Value, Value], steps: op.Steps
) -> Value:
    output, previous, state, old_state = values
    if steps.at_masked == "state":
        # The usual cell gives its first state as its output.
        maker = b.graph.producers().get(state)
        if maker is not None and maker.inputs[1] is output:
            return state
        return _kept(b, keep, output, old_state)
    if steps.at_masked == "output":
        return _kept(b, keep, output, previous)
    return b.select(_spread(b, keep, output.rank), output, b.scalar(0.0, output))


def _spread(b: Builder, keep: Value, rank: int) -> Value:
    return b.reshape(keep, (*keep.shape, *(1,) * (rank - keep.rank)))


def zeros(b: Builder, shape: Sequence[Dim], dtype: str) -> Value:
    """Zeros of a shape that may have free sizes."""
    target = tuple(shape)
    return b.broadcast(b.constant(np.zeros((1,) * len(target)), dtype), target)


def as_loop(node: Node) -> Graph:
    """What a recurrent operation computes, as a graph with a `Scan`.

    Its inputs are those of the node that are not constant, its outputs those of the node.
    """
    operation = cast(op.Recurrence, node.operation)
    graph = Graph(node.path)
    b = Builder(graph, cast(KerasSide, None))
    inputs = [
        value if value.is_constant else graph.add_input(value.name, value.shape, value.dtype)
        for value in node.inputs
    ]
    x, kernel, recurrent, bias, *rest = inputs
    with b.at(node.path, x.dtype):
        projection, cell = _CELLS[type(operation)](b, operation, (kernel, recurrent, bias))
        projected = b.emit(op.Dense(), x, *projection)
        units = recurrent.shape[0]
        if operation.steps.initial:
            initial = rest[: operation.states]
        else:
            initial = [zeros(b, (x.shape[0], units), x.dtype)] * operation.states
        mask = rest[-1] if operation.steps.masked else None

        def step(slices: list[Value], states: list[Value]) -> tuple[Value, list[Value]]:
            new = cell(slices[0], states)
            return new[0], new

        results = scan(b, Over([projected], initial, mask), operation.steps, step)
    graph.outputs = {f"output_{i}": value for i, value in enumerate(results)}
    graph.prune()
    return graph


_Prepared = tuple[list[Value], Callable[[Value, list[Value]], list[Value]]]
_Weights = tuple[Value, Value, Value]


def _lstm(b: Builder, operation: Any, weights: _Weights) -> _Prepared:
    kernel, recurrent, bias = weights

    def cell(z: Value, states: list[Value]) -> list[Value]:
        inner = b.emit(op.Dense(), states[0], recurrent)
        return lstm_step(b, operation, b.binary("add", z, inner), states)

    return [kernel, bias], cell


def lstm_step(b: Builder, operation: Any, z: Value, states: list[Value]) -> list[Value]:
    """New ``h`` and ``c`` from the four gates before their activations, along the last axis."""
    units = states[0].shape[-1]
    parts = b.emit_all(op.Split(z.rank - 1, (cast(int, units),) * 4), z)
    i, f, o = (activate(b, operation.recurrent_activation, parts[k]) for k in (0, 1, 3))
    g = activate(b, operation.activation, parts[2])
    c = b.binary("add", b.binary("multiply", f, states[1]), b.binary("multiply", i, g))
    return [b.binary("multiply", o, activate(b, operation.activation, c)), c]


def _gru(b: Builder, operation: Any, weights: _Weights) -> _Prepared:
    kernel, recurrent, bias = weights
    path, units = b.path, cast(int, recurrent.shape[0])
    if operation.reset_after:
        outer = b.constant(bias.array[0], bias.dtype, name=bias.name)
        inner = [b.constant(bias.array[1], bias.dtype, name=bias.name)]
        products = [[recurrent, *inner]]
    else:
        outer = bias
        gates, candidate = recurrent.array[:, : 2 * units], recurrent.array[:, 2 * units :]
        products = [
            [b.constant(np.ascontiguousarray(part), recurrent.dtype, name=f"{path}/recurrent")]
            for part in (gates, candidate)
        ]

    def cell(z: Value, states: list[Value]) -> list[Value]:
        return gru_step(b, operation, z, states, products)

    return [kernel, outer], cell


def gru_step(
    b: Builder, operation: Any, x: Value, states: list[Value], products: list[list[Value]]
) -> list[Value]:
    """The new ``h``; ``x`` is the projected input, ``products`` are kernels (and biases) of ``h``.

    One product for all gates where the reset comes after it, else one for two gates and one for
    the candidate.
    """
    (h,) = states
    units = cast(int, h.shape[-1])
    inner = b.emit(op.Dense(), h, *products[0])
    x_gates, x_candidate = b.emit_all(op.Split(1, (2 * units, units)), x)
    if operation.reset_after:
        inner, candidate = b.emit_all(op.Split(1, (2 * units, units)), inner)
    gates = b.binary("add", x_gates, inner)
    z, r = (
        activate(b, operation.recurrent_activation, part)
        for part in b.emit_all(op.Split(1, (units, units)), gates)
    )
    if operation.reset_after:
        candidate = b.binary("multiply", r, candidate)
    else:
        candidate = b.emit(op.Dense(), b.binary("multiply", r, h), *products[1])
    new = activate(b, operation.activation, b.binary("add", x_candidate, candidate))
    # z * h + (1 - z) * new, with one operation less.
    return [b.binary("add", new, b.binary("multiply", z, b.binary("subtract", h, new)))]


def _simple(b: Builder, operation: Any, weights: _Weights) -> _Prepared:
    kernel, recurrent, bias = weights

    def cell(z: Value, states: list[Value]) -> list[Value]:
        return rnn_step(b, operation, z, states, recurrent)

    return [kernel, bias], cell


def rnn_step(
    b: Builder, operation: Any, x: Value, states: list[Value], recurrent: Value
) -> list[Value]:
    """The new ``h`` from the projected input and the old."""
    inner = b.emit(op.Dense(), states[0], recurrent)
    return [activate(b, operation.activation, b.binary("add", x, inner))]


def activate(b: Builder, activation: Any, x: Value) -> Value:
    """An activation that is an operation, none, or a function of Keras."""
    if isinstance(activation, op.Operation):
        return b.emit(activation, x)
    return b.activation(activation, x)


_CELLS: dict[type[op.Operation], Callable[[Builder, Any, _Weights], _Prepared]] = {
    op.Gru: _gru,
    op.Lstm: _lstm,
    op.SimpleRnn: _simple,
}
