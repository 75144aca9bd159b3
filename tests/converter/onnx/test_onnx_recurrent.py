"""Recurrent layers and loops compute what numpy computes step by step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_harness import session, weight

from hornbeam.converter.onnx import to_model
from hornbeam.graph import Graph, Value
from hornbeam.graph import operations as op
from hornbeam.graph.dims import evaluate, symbol

BATCH, TIME = symbol("batch"), symbol("time")
FEATURES, UNITS = 3, 4
Array = Any


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


_FUNCTIONS: dict[op.Operation | None, Callable[[Array], Array]] = {
    None: lambda x: x,
    op.Unary("tanh"): np.tanh,
    op.Unary("sigmoid"): sigmoid,
    op.Unary("relu"): lambda x: np.maximum(x, 0),
    op.Unary("softsign"): lambda x: x / (1 + np.abs(x)),
    op.Unary("softplus"): lambda x: np.log1p(np.exp(x)),
    op.Unary("hard_sigmoid"): lambda x: np.clip(x + 3, 0, 6) / 6,
    op.Unary("gelu_tanh"): lambda x: (
        x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))) / 2
    ),
    op.LeakyRelu(0.3): lambda x: np.where(x > 0, x, 0.3 * x),
    op.Elu(0.6): lambda x: np.where(x > 0, x, 0.6 * np.expm1(x)),
}


def step(
    operation: op.Recurrence, x: Array, states: list[Array], weights: list[Array]
) -> list[Array]:
    """The new states of one cell."""
    kernel, recurrent, bias = weights
    act = _FUNCTIONS[operation.activation]
    h = states[0]
    if isinstance(operation, op.Lstm):
        gate = _FUNCTIONS[operation.recurrent_activation]
        i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4, -1)
        c = gate(f) * states[1] + gate(i) * act(g)
        return [gate(o) * act(c), c]
    if isinstance(operation, op.Gru):
        gate = _FUNCTIONS[operation.recurrent_activation]
        outer, inner = bias if operation.reset_after else (bias, np.zeros_like(bias))
        xz, xr, xh = np.split(x @ kernel + outer, 3, -1)
        hz, hr, hh = np.split(h @ recurrent + inner, 3, -1)
        z, r = gate(xz + hz), gate(xr + hr)
        if not operation.reset_after:
            hh, r = (r * h) @ recurrent[:, 2 * UNITS :], 1
        return [z * h + (1 - z) * act(xh + r * hh)]
    return [act(x @ kernel + h @ recurrent + bias)]


def walk(
    operation: op.Recurrence, x: Array, weights: list[Array], rest: list[Array]
) -> list[Array]:
    steps = operation.steps
    mask = rest[-1] if steps.masked else np.ones(x.shape[:2], bool)
    zeros = np.zeros((len(x), UNITS))
    states = list(rest[: operation.states]) if steps.initial else [zeros] * operation.states
    output, outputs = zeros, np.zeros((*x.shape[:2], UNITS))
    times = range(x.shape[1])
    for t in reversed(times) if steps.reverse else times:
        keep = mask[:, t, None]
        new = step(operation, x[:, t], states, weights)
        elsewhere = {"zero": zeros, "state": states[0], "output": output}[steps.at_masked]
        output = np.where(keep, new[0], elsewhere)
        states = [np.where(keep, a, b) for a, b in zip(new, states, strict=True)]
        outputs[:, t] = output
    results = {"sequence": [outputs], "last": [output], "none": []}
    return [*results[steps.result], *states]


def network(operation: op.Recurrence) -> tuple[Graph, list[Array]]:
    graph = Graph("recurrent")
    x = graph.add_input("x", (BATCH, TIME, FEATURES), "float32")
    graph.symbols = {"batch": (x, 0), "time": (x, 1)}
    columns = operation.gates * UNITS
    double = isinstance(operation, op.Gru) and operation.reset_after
    weights = [
        weight(FEATURES, columns),
        weight(UNITS, columns),
        weight(2, columns) if double else weight(columns),
    ]
    values: list[Value] = [x, *(graph.constant("weight", array) for array in weights)]
    if operation.steps.initial:
        values += [
            graph.add_input(f"state_{i}", (BATCH, UNITS), "float32")
            for i in range(operation.states)
        ]
    if operation.steps.masked:
        values.append(graph.add_input("mask", (BATCH, TIME), "bool"))
    made = graph.emit(operation, values, "encoder/rnn")
    graph.outputs = {f"y{index}": value for index, value in enumerate(made)}
    graph.check()
    return graph, weights


def check(operation: op.Recurrence, opset: int = 21) -> Counter[str]:
    graph, weights = network(operation)
    model = to_model(graph, opset=opset)
    onnx.checker.check_model(model, full_check=True)
    running = session(model)
    for sizes in ({"batch": 1, "time": 6}, {"batch": 3, "time": 2}):
        random = np.random.default_rng(4)
        feeds = {}
        for value in graph.inputs:
            shape = [evaluate(dim, sizes) for dim in value.shape]
            drawn = random.normal(size=shape).astype("float32")
            feeds[value.name] = drawn > 0 if value.dtype == "bool" else drawn
        x, *rest = feeds.values()
        expected = walk(operation, x, weights, rest)
        for wanted, found in zip(expected, running.run(None, feeds), strict=True):
            # Without an activation that bounds them, steps grow, and cancel to small numbers.
            scale = max(1.0, float(np.abs(wanted).max(initial=0.0)))
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-5 * scale)
    return Counter(node.op_type for node in model.graph.node)


TANH, SIGMOID = op.Unary("tanh"), op.Unary("sigmoid")


def cells(steps: op.Steps) -> list[op.Recurrence]:
    return [
        op.Lstm(TANH, steps, SIGMOID),
        op.Gru(TANH, steps, SIGMOID, reset_after=True),
        op.Gru(TANH, steps, SIGMOID, reset_after=False),
        op.SimpleRnn(TANH, steps),
    ]


_STEPS = [
    op.Steps(reverse, result, initial)
    for reverse in (False, True)
    for result in ("sequence", "last", "none")
    for initial in (False, True)
]
_MASKED = [
    op.Steps(steps.reverse, steps.result, steps.initial, True, at_masked)
    for steps in _STEPS
    for at_masked in ("zero", "state", "output")
]


@pytest.mark.parametrize("steps", _STEPS, ids=str)
def test_the_engines_own(steps: op.Steps) -> None:
    for operation in cells(steps):
        found = check(operation)
        assert "Scan" not in found, operation
        assert found["LSTM"] + found["GRU"] + found["RNN"] == 1, operation


@pytest.mark.parametrize("steps", _MASKED, ids=str)
def test_masked(steps: op.Steps) -> None:
    for operation in cells(steps):
        assert check(operation)["Scan"] == 1, operation


@pytest.mark.parametrize("function", list(_FUNCTIONS), ids=str)
def test_activations(function: op.Operation | None) -> None:
    steps = op.Steps(result="sequence")
    for operation in (
        op.Lstm(function, steps, op.Unary("hard_sigmoid")),
        op.Gru(TANH, steps, function, reset_after=True),
        op.Gru(function, steps, SIGMOID, reset_after=False),
        op.SimpleRnn(function, steps),
    ):
        known = function != op.Unary("gelu_tanh")
        assert ("Scan" in check(operation)) != known, operation


@pytest.mark.parametrize("opset", [13, 15, 18])
def test_older_opsets(opset: int) -> None:
    for steps in (op.Steps(True, "sequence", True), op.Steps(masked=True, at_masked="zero")):
        for operation in cells(steps):
            check(operation, opset)


# Loops


def run(graph: Graph, feeds: dict[str, Array]) -> list[Array]:
    graph.check()
    model = to_model(graph)
    onnx.checker.check_model(model, full_check=True)
    return list(session(model).run(None, feeds))


def test_a_loop_with_convolutions() -> None:
    """The body has layouts of its own, free sizes from around it, and a value that is the same."""
    graph = Graph("video")
    x = graph.add_input("x", (BATCH, TIME, 4, 5, 2), "float32")
    gain = graph.add_input("gain", (BATCH, 1, 1, 2), "float32")
    graph.symbols = {"batch": (x, 0), "time": (x, 1)}
    begin = graph.emit(op.Reduce("max", (1,), False), [x], "begin")[0]
    body = Graph("step")
    state = body.add_input("state", (BATCH, 4, 5, 2), "float32")
    frame = body.add_input("frame", (BATCH, 4, 5, 2), "float32")
    factor = body.add_input("gain", (BATCH, 1, 1, 2), "float32")
    kernel = body.constant("kernel", weight(3, 3, 2, 2))
    mixed = body.emit(op.Conv((1, 1), "same", (1, 1)), [state, kernel], "conv")[0]
    total = body.emit(op.Binary("add"), [mixed, frame], "add")[0]
    size = body.emit(op.DimensionOf(BATCH * TIME, "float32"), [], "size")[0]
    gained = body.emit(op.Binary("multiply"), [total, factor], "gain")[0]
    new = body.emit(op.Binary("divide"), [gained, size], "divide")[0]
    body.outputs = {"state": new, "frame": frame, "sum": total}
    made = graph.emit(op.Scan(body, 1, 1, TIME, reverse=True), [begin, x, gain], "loop")
    graph.outputs = dict(zip(("last", "frames", "sums"), made, strict=True))
    random = np.random.default_rng(0)
    feeds = {
        "x": random.normal(size=(2, 3, 4, 5, 2)).astype("float32"),
        "gain": random.normal(size=(2, 1, 1, 2)).astype("float32"),
    }
    last, frames, sums = run(graph, feeds)
    np.testing.assert_array_equal(frames, feeds["x"])
    assert sums.shape == feeds["x"].shape
    np.testing.assert_allclose(last, sums[:, 0] * feeds["gain"] / 6, rtol=1e-5)


def test_a_loop_in_a_loop_over_nothing() -> None:
    """No sequences: only a number of steps; and a loop in the body."""
    graph = Graph("powers")
    x = graph.add_input("x", (BATCH, 2), "float32")
    graph.symbols = {"batch": (x, 0)}
    inner = Graph("inner")
    value = inner.add_input("value", (BATCH, 2), "float32")
    one = inner.constant("one", np.ones((1, 1), "float32"))
    inner.outputs = {"value": inner.emit(op.Binary("add"), [value, one], "add")[0]}
    outer = Graph("outer")
    start = outer.add_input("start", (BATCH, 2), "float32")
    counted = outer.emit(op.Scan(inner, 1, 0, BATCH), [start], "count")[0]
    outer.outputs = {"value": counted, "each": counted}
    made = graph.emit(op.Scan(outer, 1, 0, 3), [x], "outer")
    graph.outputs = dict(zip(("last", "each"), made, strict=True))
    data = np.zeros((2, 2), "float32")
    last, each = run(graph, {"x": data})
    np.testing.assert_array_equal(last, data + 6)
    np.testing.assert_array_equal(each[:, :, 0], [[2, 4, 6]] * 2)


def test_layers_one_above_the_other() -> None:
    graph, _ = network(op.Lstm(TANH, op.Steps(), SIGMOID))
    sequence = graph.outputs["y0"]
    kernel, recurrent, bias = (graph.constant("w", weight(*s)) for s in ((4, 8), (2, 8), (8,)))
    steps = op.Steps(result="last")
    made = graph.emit(op.Lstm(TANH, steps, SIGMOID), [sequence, kernel, recurrent, bias], "decoder")
    graph.outputs = {"y": made[0]}
    found = run(graph, {"x": np.zeros((2, 5, FEATURES), "float32")})
    assert found[0].shape == (2, 2)
