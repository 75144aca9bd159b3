"""Multiply-adds of each operation that has any, counted by hand, and symbolic where sizes are."""

from __future__ import annotations

import numpy as np
import pytest

from hornbeam.graph import Dim, Graph, Node
from hornbeam.graph.cost import count, free_sizes, multiply_adds
from hornbeam.graph.dims import symbol
from hornbeam.graph.operations import (
    Binary,
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    Gru,
    Lstm,
    MatMul,
    Operation,
    Scan,
    SimpleRnn,
    Softmax,
    Steps,
    Unary,
)

BATCH, TIME, WIDTH = symbol("batch"), symbol("time"), symbol("width")
TANH, SIGMOID = Unary("tanh"), Unary("sigmoid")
NO_CROPPING = ((0, 0), (0, 0))

CASES = {
    # Each of 6*6*5 results sums 3*3*4 products.
    "conv": (
        Conv((1, 1), "valid", (1, 1)),
        [(BATCH, 8, 8, 4), (3, 3, 4, 5)],
        BATCH * (6 * 6 * 5 * 3 * 3 * 4),
    ),
    # Strides halve each side; of 4 channels a group sees 2.
    "grouped conv": (
        Conv((2, 2), "same", (1, 1), groups=2),
        [(BATCH, 8, 8, 4), (3, 3, 2, 6)],
        BATCH * (4 * 4 * 6 * 3 * 3 * 2),
    ),
    "conv of a free width": (
        Conv((1, 1), "same", (1, 1)),
        [(1, 8, WIDTH, 4), (1, 1, 4, 5)],
        WIDTH * (8 * 5 * 4),
    ),
    "depthwise conv": (
        DepthwiseConv((1, 1), "same", (1, 1)),
        [(BATCH, 8, 8, 4), (3, 3, 4, 2)],
        BATCH * (8 * 8 * 4 * 2 * 3 * 3),
    ),
    # Each of 8*8*4 elements is spread over 2*2*3 others.
    "conv transpose": (
        ConvTranspose((2, 2), NO_CROPPING, (1, 1)),
        [(BATCH, 8, 8, 4), (2, 2, 3, 4)],
        BATCH * (8 * 8 * 4 * 2 * 2 * 3),
    ),
    "dense": (Dense(), [(BATCH, 7, 4), (4, 5)], BATCH * (7 * 4 * 5)),
    "matmul": (MatMul(), [(BATCH, 2, 3, 4), (BATCH, 2, 4, 5)], BATCH * (2 * 3 * 4 * 5)),
    "matmul of transposed": (
        MatMul(transpose_a=True, transpose_b=True),
        [(BATCH, 4, 3), (BATCH, 5, 4)],
        BATCH * (3 * 4 * 5),
    ),
    # 7 steps; four gates of 5 units see 3 features and 5 states.
    "lstm": (
        Lstm(TANH, Steps(), SIGMOID),
        [(BATCH, 7, 3), (3, 20), (5, 20), (20,)],
        BATCH * (7 * 20 * (3 + 5)),
    ),
    "gru of free length": (
        Gru(TANH, Steps(), SIGMOID, True),
        [(1, TIME, 3), (3, 15), (5, 15), (2, 15)],
        TIME * (15 * (3 + 5)),
    ),
    "simple rnn": (
        SimpleRnn(TANH, Steps(result="last")),
        [(BATCH, 7, 3), (3, 5), (5, 5), (5,)],
        BATCH * (7 * 5 * (3 + 5)),
    ),
    "softmax": (Softmax(1), [(BATCH, 5)], 0),
}


@pytest.mark.parametrize("name", CASES)
def test_counted_by_hand(name: str) -> None:
    operation, shapes, expected = CASES[name]
    assert multiply_adds(node_of(operation, shapes)) == expected


def node_of(operation: Operation, shapes: list[tuple[Dim, ...]]) -> Node:
    graph = Graph("one")
    x, *rest = shapes
    values = [graph.add_input("x", x, "float32")]
    for i, shape in enumerate(rest):
        if all(isinstance(dim, int) for dim in shape):
            values.append(graph.constant(f"w{i}", np.zeros(shape, np.float32)))
        else:
            values.append(graph.add_input(f"y{i}", shape, "float32"))
    return graph.make(operation, values, "layer")


def test_a_loop_costs_its_body_at_every_step() -> None:
    body = Graph("body")
    state = body.add_input("state", (BATCH, 4), "float32")
    x = body.add_input("x", (BATCH, 4), "float32")
    (sum_,) = body.emit(Binary("add"), [state, x], "cell")
    kernel = body.constant("kernel", np.zeros((4, 4), np.float32))
    (new,) = body.emit(Dense(), [sum_, kernel], "cell")
    body.outputs = {"state": new, "step": new}
    node = node_of(Scan(body, states=1, slices=1, length=TIME), [(BATCH, 4), (BATCH, TIME, 4)])
    assert multiply_adds(node) == BATCH * TIME * 16


def test_free_sizes_are_one_unless_given() -> None:
    node = node_of(Dense(), [(BATCH, WIDTH, 4), (4, 5)])
    cost = multiply_adds(node)
    assert count(cost) == 20
    assert count(cost, {"width": 7}) == 140
    assert free_sizes([node]) == ["batch", "width"]


def test_a_window_that_does_not_fit_computes_nothing() -> None:
    node = node_of(Conv((1, 1), "valid", (1, 1)), [(BATCH, 8, WIDTH, 4), (3, 3, 4, 5)])
    assert count(multiply_adds(node)) == 0
    assert count(multiply_adds(node), {"width": 3}) == 6 * 1 * 5 * 3 * 3 * 4
