"""Graph and shapes: what must always hold, and what the operations say of their results."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hornbeam.graph import Graph, GraphError, Node, Value
from hornbeam.graph import operations as op
from hornbeam.graph.dims import evaluate, symbol
from hornbeam.graph.types import TensorType

BATCH, TIME = symbol("batch"), symbol("time")


def _graph() -> tuple[Graph, Value, Value, Value]:
    """Two steps in a row: x → relu → y → exp → z."""
    graph = Graph("two steps")
    x = graph.add_input("x", (BATCH, 4), "float32")
    (y,) = graph.emit(op.Unary("relu"), [x], "first")
    (z,) = graph.emit(op.Unary("exp"), [y], "second")
    graph.outputs["z"] = z
    return graph, x, y, z


def test_names_are_unique() -> None:
    graph, x, *_ = _graph()
    names = {x.name} | {graph.emit(op.Unary("relu"), [x], "first")[0].name for _ in range(5)}
    names |= {graph.constant("x", 1.0).name, graph.constant("x_1", 1.0).name}
    assert len(names) == 8


def test_readers_and_makers_are_found() -> None:
    graph, x, y, z = _graph()
    first, second = graph.nodes
    assert graph.producers() == {y: first, z: second}
    assert graph.consumers() == {x: [first], y: [second]}
    assert graph.is_output(z)
    assert not graph.is_output(y)


def test_constants_come_once_in_the_order_of_their_use() -> None:
    graph, x, *_ = _graph()
    a, b = graph.constant("a", np.float32([1, 2, 3, 4])), graph.constant("b", np.float32(2))
    (y,) = graph.emit(op.Binary("add"), [x, b], "")
    (y,) = graph.emit(op.Binary("multiply"), [y, a], "")
    (y,) = graph.emit(op.Binary("add"), [y, b], "")
    graph.outputs["y"] = y
    assert list(graph.constants()) == [b, a]


def test_pruning_drops_what_nobody_reads_and_says_so() -> None:
    graph, x, y, _ = _graph()
    assert not graph.prune()
    graph.emit(op.Unary("tanh"), [y], "unread")
    graph.emit(op.Unary("tanh"), [x], "unread")
    assert graph.prune()
    assert [node.path for node in graph.nodes] == ["first", "second"]


def test_substitution_reaches_readers_and_outputs_along_chains() -> None:
    graph, x, y, z = _graph()
    graph.substitute({y: x})
    assert graph.nodes[1].inputs == [x]
    graph.substitute({z: y, y: x})
    assert graph.outputs["z"] is x


# -- what check finds ----------------------------------------------------------------------


def test_sound_graph_passes() -> None:
    _graph()[0].check()


def test_value_that_is_read_before_it_is_made_is_found() -> None:
    graph, *_ = _graph()
    graph.nodes.reverse()
    with pytest.raises(GraphError, match="before it is made"):
        graph.check()


def test_output_that_nobody_makes_is_found() -> None:
    graph, *_ = _graph()
    graph.nodes.pop()
    with pytest.raises(GraphError, match="never made"):
        graph.check()


def test_wrong_type_of_a_result_is_found() -> None:
    for wrong in (TensorType((BATCH, 4), "int32"), TensorType((BATCH, 4, 1), "float32")):
        graph, x, *_ = _graph()
        value = Value("wrong", wrong)
        graph.nodes.insert(0, Node(op.Unary("relu"), [x], [value], "layer"))
        with pytest.raises(GraphError, match="declared"):
            graph.check()


def test_two_values_of_one_name_are_found() -> None:
    graph, x, y, _ = _graph()
    y.name = x.name
    with pytest.raises(GraphError, match="share a name"):
        graph.check()


def test_operation_on_what_does_not_fit_names_the_layer() -> None:
    graph, x, *_ = _graph()
    kernel = graph.constant("kernel", np.zeros((5, 2), "float32"))
    with pytest.raises(GraphError, match=r"encoder/dense.*Dense"):
        graph.emit(op.Dense(), [x, kernel], "encoder/dense")


# -- shapes --------------------------------------------------------------------------------


def _type(*shape: Any, dtype: str = "float32") -> TensorType:
    return TensorType(shape, dtype)


ONE = (1, 1)
CONV = op.Conv((2, 2), "same", ONE)


@pytest.mark.parametrize(
    ("operation", "inputs", "expected"),
    [
        (op.Unary("isnan"), [_type(BATCH, 4)], _type(BATCH, 4, dtype="bool")),
        (op.Cast("int8"), [_type(BATCH)], _type(BATCH, dtype="int8")),
        (op.Compare("less"), [_type(BATCH, 1), _type(4)], _type(BATCH, 4, dtype="bool")),
        (op.Binary("add"), [_type(BATCH, 1, 3), _type(5, 1)], _type(BATCH, 5, 3)),
        (CONV, [_type(BATCH, 7, 8, 3), _type(3, 3, 3, 6)], _type(BATCH, 4, 4, 6)),
        (
            op.Conv((2, 2), ((1, 0), (0, 1)), (2, 1)),
            [_type(BATCH, 9, 9, 3), _type(3, 3, 3, 6)],
            _type(BATCH, 3, 4, 6),
        ),
        (
            op.DepthwiseConv(ONE, "valid", ONE),
            [_type(BATCH, 5, 5, 3), _type(3, 2, 3, 4)],
            _type(BATCH, 3, 4, 12),
        ),
        (
            op.ConvTranspose((2, 2), ((0, 1), (1, 0)), ONE),
            [_type(BATCH, 4, 5, 3), _type(3, 3, 6, 3)],
            _type(BATCH, 8, 10, 6),
        ),
        (op.Dense(), [_type(BATCH, TIME, 3), _type(3, 5)], _type(BATCH, TIME, 5)),
        (
            op.MatMul(transpose_b=True),
            [_type(BATCH, 2, TIME, 8), _type(BATCH, 2, TIME, 8)],
            _type(BATCH, 2, TIME, TIME),
        ),
        (
            op.Pool("max", (3, 3), (2, 2), "valid"),
            [_type(BATCH, 9, 8, 2)],
            _type(BATCH, 4, 3, 2),
        ),
        (op.Reduce("sum", (1, 2), False), [_type(BATCH, 3, 4, 5)], _type(BATCH, 5)),
        (op.Reduce("sum", (1,), True), [_type(BATCH, 3, 4)], _type(BATCH, 1, 4)),
        (op.ArgReduce("max", 1, False), [_type(BATCH, 3)], _type(BATCH, dtype="int32")),
        (op.Concat(1), [_type(BATCH, TIME, 2), _type(BATCH, 1, 2)], _type(BATCH, TIME + 1, 2)),
        (op.Transpose((0, 2, 1)), [_type(BATCH, TIME, 2)], _type(BATCH, 2, TIME)),
        (op.Reshape((BATCH * TIME, 2)), [_type(BATCH, TIME, 2)], _type(BATCH * TIME, 2)),
        (op.Tile((1, 3)), [_type(BATCH, TIME)], _type(BATCH, 3 * TIME)),
        (op.Pad(((0, 0), (2, 1))), [_type(BATCH, TIME)], _type(BATCH, TIME + 3)),
        (
            op.Gather(1),
            [_type(BATCH, 9, 4), _type(2, 3, dtype="int32")],
            _type(BATCH, 2, 3, 4),
        ),
        (op.OneHot(5, "float32"), [_type(BATCH, dtype="int32")], _type(BATCH, 5)),
        (op.Resize((8, TIME), "nearest"), [_type(BATCH, 2, 2, 3)], _type(BATCH, 8, TIME, 3)),
        (op.Range(0, 1, TIME, "int32"), [], _type(TIME, dtype="int32")),
        (op.DimensionOf(TIME, "float32"), [], _type()),
    ],
    ids=lambda thing: str(thing) if isinstance(thing, op.Operation) else "",
)
def test_type_of_a_result(operation: Any, inputs: list[TensorType], expected: TensorType) -> None:
    assert operation.infer(*inputs) == (expected,)


@pytest.mark.parametrize(
    ("operation", "inputs"),
    [
        (op.Binary("add"), [_type(3), _type(3, dtype="int32")]),
        (op.Binary("add"), [_type(3), _type(4)]),
        (op.Dense(), [_type(BATCH, 3), _type(4, 2)]),
        (op.MatMul(), [_type(2, 3), _type(4, 2)]),
        (op.Reshape((BATCH, 5)), [_type(BATCH, 4)]),
        (op.Transpose((0, 0)), [_type(BATCH, 4)]),
        (op.Split(1, (2, 3)), [_type(BATCH, 4)]),
        (op.Slice((0,), (1,), (1,)), [_type(BATCH, 4)]),
    ],
    ids=lambda thing: str(thing) if isinstance(thing, op.Operation) else "",
)
def test_inputs_that_do_not_fit_are_an_error(operation: Any, inputs: list[TensorType]) -> None:
    with pytest.raises(ValueError, match=r"."):
        operation.infer(*inputs)


@pytest.mark.parametrize("padding", ["same", "valid", (2, 1)])
@pytest.mark.parametrize(("window", "stride"), [(1, 1), (3, 1), (3, 2), (2, 3), (5, 4)])
def test_windows_are_counted_for_every_size(padding: Any, window: int, stride: int) -> None:
    """The formula against counting the places where a window fits."""
    for size in range(window, 30):
        before, after = padding if isinstance(padding, tuple) else (0, 0)
        places = len(range(0, size + before + after - window + 1, stride))
        expected = len(range(0, size, stride)) if padding == "same" else places
        free = op.window_size(TIME, window, stride, padding)
        assert op.window_size(size, window, stride, padding) == expected
        assert evaluate(free, {"time": size}) == expected


def test_every_operation_is_frozen_and_named() -> None:
    """Writers match on types, passes compare and hash operations."""
    kinds = [
        kind for kind in vars(op).values()
        if isinstance(kind, type) and issubclass(kind, op.Operation) and kind is not op.Operation
    ]  # fmt: skip
    assert len(kinds) > 30
    for kind in kinds:
        assert kind.__dataclass_params__.frozen, kind  # type: ignore[attr-defined]
        assert kind.__doc__, kind
        assert kind.__name__ in op.__all__, kind
