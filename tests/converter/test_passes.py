"""Passes: each does what it says, says what it did, and changes nothing that the model computes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hornbeam.converter import onnx
from hornbeam.converter.passes import DEFAULT, improve
from hornbeam.converter.passes.bias import fold_bias
from hornbeam.converter.passes.channelwise import channelwise_to_affine
from hornbeam.converter.passes.duplicates import merge_duplicates
from hornbeam.converter.passes.fold_affine import fold_affine
from hornbeam.converter.passes.fold_pad import fold_pad
from hornbeam.converter.passes.fuse_activation import fuse_activations
from hornbeam.converter.passes.reshapes import simplify_reshapes
from hornbeam.graph import Graph, GraphError, Value
from hornbeam.graph import operations as op
from hornbeam.graph.dims import symbol

BATCH = symbol("batch")
ONE = (1, 1)

Pass = Callable[[Graph], bool]


class Sketch:
    """A graph under construction, with constants drawn at random."""

    def __init__(self, seed: int = 0, shape: tuple[Any, ...] = (BATCH, 6, 6, 4)) -> None:
        self.graph = Graph("sketch")
        self.random = np.random.default_rng(seed)
        self.x = self.graph.add_input("x", shape, "float32")
        self.graph.symbols["batch"] = (self.x, 0)

    def constant(self, *shape: int, low: float = -1.0, high: float = 1.0) -> Value:
        drawn = self.random.uniform(low, high, shape).astype("float32")
        return self.graph.constant("c", drawn)

    def number(self, value: float) -> Value:
        return self.graph.constant("n", np.float32(value))

    def do(self, operation: op.Operation, *inputs: Value) -> Value:
        (value,) = self.graph.emit(operation, inputs, "layer")
        return value

    def conv(self, x: Value, *, padding: Any = "same", groups: int = 1, bias: bool = True) -> Value:
        channels = x.shape[-1]
        assert isinstance(channels, int)
        weights = [self.constant(3, 3, channels // groups, 4)] + [self.constant(4)] * bias
        return self.do(op.Conv(ONE, padding, ONE, groups), x, *weights)

    def depthwise(self, x: Value, multiplier: int = 1) -> Value:
        channels = x.shape[-1]
        assert isinstance(channels, int)
        kernel = self.constant(3, 3, channels, multiplier)
        return self.do(op.DepthwiseConv(ONE, "same", ONE), x, kernel)

    def upward(self, x: Value) -> Value:
        kernel = self.constant(3, 3, 4, int(x.shape[-1]))  # type: ignore[arg-type]
        return self.do(op.ConvTranspose(ONE, ((1, 1), (1, 1)), ONE), x, kernel, self.constant(4))

    def dense(self, x: Value) -> Value:
        kernel = self.constant(int(x.shape[-1]), 4)  # type: ignore[arg-type]
        return self.do(op.Dense(), x, kernel, self.constant(4))

    def affine(self, x: Value, *, offset: bool = True) -> Value:
        channels = int(x.shape[-1])  # type: ignore[arg-type]
        shift = self.constant(channels) if offset else self.constant(channels, low=0, high=0)
        return self.do(op.Affine(), x, self.constant(channels, low=0.5), shift)

    def returns(self, *values: Value) -> Graph:
        self.graph.outputs = {f"y{index}": value for index, value in enumerate(values)}
        self.graph.prune()
        self.graph.check()
        return self.graph


def run(graph: Graph, batch: int = 2) -> list[np.ndarray]:
    """What the graph computes, by onnxruntime without rewrites of its own."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    data = onnx.to_model(graph).SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    shape = [batch if not isinstance(dim, int) else dim for dim in graph.inputs[0].shape]
    x = np.random.default_rng(1).standard_normal(shape).astype("float32")
    return session.run(None, {"x": x})


def fingerprint(graph: Graph) -> list[Any]:
    nodes = [(n.operation, [*map(id, n.inputs)], [*map(id, n.outputs)]) for n in graph.nodes]
    return [*nodes, {name: id(value) for name, value in graph.outputs.items()}]


def labels(graph: Graph) -> Counter[str]:
    return Counter(node.operation.label for node in graph.nodes)


def apply(step: Pass, graph: Graph, *, changes: bool = True) -> Counter[str]:
    """Run one pass; it says the truth, computes the same, and has nothing left to do."""
    before, expected = fingerprint(graph), run(graph)
    said = step(graph)
    assert said == (fingerprint(graph) != before), "the pass does not say what it did"
    assert said == changes
    graph.prune()
    graph.check()
    _agree(expected, run(graph))
    return labels(graph)


def _agree(expected: list[np.ndarray], found: list[np.ndarray]) -> None:
    for a, b in zip(expected, found, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        scale = max(float(np.abs(a).max(initial=0.0)), 1e-3)
        assert float(np.abs(a - b).max(initial=0.0)) <= 1e-4 * scale


# -- affine maps ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["conv", "depthwise", "upward", "dense", "grouped", "multiplied"])
def test_affine_folds_into_the_weights_before_it(kind: str) -> None:
    sketch = Sketch()
    y = {
        "conv": lambda: sketch.conv(sketch.x),
        "depthwise": lambda: sketch.depthwise(sketch.x),
        "upward": lambda: sketch.upward(sketch.x),
        "dense": lambda: sketch.dense(sketch.x),
        "grouped": lambda: sketch.conv(sketch.x, groups=2, bias=False),
        "multiplied": lambda: sketch.depthwise(sketch.x, 3),
    }[kind]()
    graph = sketch.returns(sketch.affine(sketch.affine(y)))
    assert apply(fold_affine, graph)["Affine"] == 0


@pytest.mark.parametrize("kind", ["valid", "depthwise", "dense"])
def test_affine_folds_into_the_weights_behind_it(kind: str) -> None:
    sketch = Sketch()
    x = sketch.affine(sketch.x, offset=kind != "depthwise")
    y = {
        "valid": lambda: sketch.conv(x, padding="valid"),
        "depthwise": lambda: sketch.depthwise(x),
        "dense": lambda: sketch.dense(x),
    }[kind]()
    assert apply(fold_affine, sketch.returns(y))["Affine"] == 0


def test_affine_with_an_offset_stays_before_padding() -> None:
    """The border would bring zeros where the offset should be."""
    sketch = Sketch()
    graph = sketch.returns(sketch.conv(sketch.affine(sketch.x)))
    assert apply(fold_affine, graph, changes=False)["Affine"] == 1


def test_affine_of_a_value_that_others_read_stays() -> None:
    sketch = Sketch()
    y = sketch.conv(sketch.x)
    graph = sketch.returns(sketch.affine(y), y)
    assert apply(fold_affine, graph, changes=False)["Affine"] == 1


def test_weights_that_two_layers_share_are_scaled_for_one_only() -> None:
    sketch = Sketch()
    kernel = sketch.constant(4, 4)
    first, second = (sketch.do(op.Dense(), sketch.x, kernel) for _ in range(2))
    graph = sketch.returns(sketch.affine(first), second)
    assert apply(fold_affine, graph)["Affine"] == 0


@pytest.mark.parametrize("function", ["add", "subtract", "multiply", "divide"])
@pytest.mark.parametrize("shape", [(4,), (1, 1, 1, 4), (), (1,)])
@pytest.mark.parametrize("swapped", [False, True])
def test_arithmetic_by_channel_becomes_affine(
    function: Any, shape: tuple[int, ...], swapped: bool
) -> None:
    sketch = Sketch()
    y, c = sketch.conv(sketch.x), sketch.constant(*shape, low=0.5)
    graph = sketch.returns(sketch.do(op.Binary(function), *((c, y) if swapped else (y, c))))
    possible = not (function == "divide" and swapped)
    left = apply(channelwise_to_affine, graph, changes=possible)
    assert left["Affine"] == possible
    assert left[function] == (not possible)


@pytest.mark.parametrize("shape", [(6, 4), (6, 6, 1), (1, 6, 1, 4)])
def test_arithmetic_by_place_stays(shape: tuple[int, ...]) -> None:
    sketch = Sketch()
    graph = sketch.returns(sketch.do(op.Binary("add"), sketch.conv(sketch.x),
                                     sketch.constant(*shape)))  # fmt: skip
    apply(channelwise_to_affine, graph, changes=False)


# -- the others ----------------------------------------------------------------------------


def test_bias_behind_a_split_of_heads_folds() -> None:
    sketch = Sketch(shape=(BATCH, 5, 6))
    y = sketch.do(op.Dense(), sketch.x, sketch.constant(6, 8))
    y = sketch.do(op.Reshape((BATCH, 5, 2, 4)), y)
    graph = sketch.returns(sketch.do(op.Binary("add"), y, sketch.constant(2, 4)))
    assert apply(fold_bias, graph)["add"] == 0


def test_bias_that_differs_from_place_to_place_stays() -> None:
    sketch = Sketch(shape=(BATCH, 5, 6))
    y = sketch.do(op.Dense(), sketch.x, sketch.constant(6, 8))
    y = sketch.do(op.Reshape((BATCH, 5, 2, 4)), y)
    graph = sketch.returns(sketch.do(op.Binary("add"), y, sketch.constant(5, 2, 4)))
    apply(fold_bias, graph, changes=False)


def test_equal_nodes_become_one() -> None:
    sketch = Sketch()
    branches = [sketch.do(op.Unary("exp"), sketch.do(op.Unary("tanh"), sketch.x)) for _ in "abc"]
    other = sketch.do(op.Unary("tanh"), branches[0])
    graph = sketch.returns(*branches, other)
    assert apply(merge_duplicates, graph) == {"exp": 1, "tanh": 2}
    apply(merge_duplicates, graph, changes=False)


def test_padding_folds_into_the_convolution_behind_it() -> None:
    sketch = Sketch()
    x = sketch.do(op.Pad(((0, 0), (1, 2), (0, 1), (0, 0))), sketch.x)
    graph = sketch.returns(sketch.conv(x, padding="valid"))
    assert apply(fold_pad, graph)["Pad"] == 0
    assert graph.nodes[0].operation == op.Conv(ONE, ((1, 2), (0, 1)), ONE)


@pytest.mark.parametrize(("function", "folds"), [("relu", True), ("tanh", False)])
def test_padding_folds_into_a_maximum_of_what_is_not_negative(function: Any, folds: bool) -> None:
    sketch = Sketch()
    x = sketch.do(op.Unary(function), sketch.x)
    x = sketch.do(op.Pad(((0, 0), (1, 1), (1, 1), (0, 0))), x)
    graph = sketch.returns(sketch.do(op.Pool("max", (3, 3), (2, 2), "valid"), x))
    assert apply(fold_pad, graph, changes=folds)["Pad"] == (not folds)


@pytest.mark.parametrize(
    "pad",
    [
        op.Pad(((0, 0), (1, 1), (1, 1), (0, 0)), "reflect"),
        op.Pad(((0, 0), (1, 1), (1, 1), (0, 0)), "constant", 1.0),
        op.Pad(((0, 0), (1, 1), (1, 1), (1, 0))),
        op.Pad(((0, 0), (-1, 1), (1, 1), (0, 0))),
    ],
    ids=["reflected", "ones", "channels", "cropped"],
)
def test_padding_that_is_not_a_border_of_zeros_stays(pad: op.Pad) -> None:
    sketch = Sketch()
    graph = sketch.returns(sketch.conv(sketch.do(pad, sketch.x), padding="valid"))
    apply(fold_pad, graph, changes=False)


def test_padding_before_an_average_stays() -> None:
    sketch = Sketch()
    x = sketch.do(op.Pad(((0, 0), (1, 1), (1, 1), (0, 0))), sketch.do(op.Unary("relu"), sketch.x))
    graph = sketch.returns(sketch.do(op.Pool("average", (3, 3), (2, 2), "valid"), x))
    apply(fold_pad, graph, changes=False)


def test_activations_get_their_names_back() -> None:
    sketch = Sketch()
    x = sketch.do(op.Unary("tanh"), sketch.x)
    moved = sketch.do(op.Binary("add"), x, sketch.number(3.0))
    gate = sketch.do(op.Binary("multiply"), sketch.do(op.Unary("relu6"), moved),
                     sketch.number(1 / 6))  # fmt: skip
    hard = sketch.do(op.Binary("multiply"), x, gate)
    soft = sketch.do(op.Binary("multiply"), sketch.do(op.Unary("sigmoid"), x), x)
    graph = sketch.returns(hard, soft)
    assert apply(fuse_activations, graph) == {"tanh": 1, "hard_silu": 1, "silu": 1}


def test_other_numbers_are_no_hard_sigmoid() -> None:
    sketch = Sketch()
    moved = sketch.do(op.Binary("add"), sketch.x, sketch.number(2.0))
    y = sketch.do(op.Binary("divide"), sketch.do(op.Unary("relu6"), moved), sketch.number(6.0))
    apply(fuse_activations, sketch.returns(y), changes=False)


def test_reshapes_and_transposes_that_undo_each_other_disappear() -> None:
    sketch = Sketch()
    y = sketch.do(op.Transpose((0, 3, 1, 2)), sketch.x)
    y = sketch.do(op.Transpose((0, 2, 3, 1)), y)
    y = sketch.do(op.Reshape((BATCH, 36, 4)), y)
    y = sketch.do(op.Reshape((BATCH, 6, 6, 4)), y)
    graph = sketch.returns(sketch.do(op.Unary("relu"), y))
    improve(graph, [simplify_reshapes])
    assert labels(graph) == {"relu": 1}


def test_mean_that_is_reshaped_keeps_its_axes() -> None:
    sketch = Sketch()
    y = sketch.do(op.Reduce("mean", (1, 2), keepdims=False), sketch.x)
    graph = sketch.returns(sketch.do(op.Reshape((BATCH, 1, 1, 4)), y))
    assert apply(simplify_reshapes, graph) == {"reduce_mean": 1}


# -- all of them ---------------------------------------------------------------------------

Step = Callable[[Sketch, Value, Any], Value]

CONSTANTS = [(4,), (), (1, 1, 1, 4), (6, 1), (6, 6, 4), (1,)]
STEPS: dict[str, Step] = {
    "conv": lambda s, x, n: s.conv(x, groups=1 + n % 2, bias=bool(n % 3)),
    "valid conv": lambda s, x, n: s.conv(
        s.do(op.Pad(((0, 0), (1, 1), (1, 1), (0, 0)), "constant", float(n == 0)), x),
        padding="valid",
    ),
    "depthwise": lambda s, x, _: s.depthwise(x),
    "upward": lambda s, x, _: s.upward(x),
    "dense": lambda s, x, _: s.dense(x),
    "affine": lambda s, x, n: s.affine(x, offset=bool(n % 2)),
    "arithmetic": lambda s, x, n: s.do(
        op.Binary(("add", "subtract", "multiply", "divide")[n % 4]),  # type: ignore[arg-type]
        x, s.constant(*CONSTANTS[n % 6], low=0.5),
    ),
    "swapped": lambda s, x, n: s.do(
        op.Binary(("add", "subtract", "multiply")[n % 3]),  # type: ignore[arg-type]
        s.constant(*CONSTANTS[n % 6]), x,
    ),
    "unary": lambda s, x, n: s.do(
        op.Unary(("relu", "relu6", "tanh", "sigmoid")[n % 4]), x  # type: ignore[arg-type]
    ),
    "pool": lambda s, x, n: s.do(
        op.Pool(("max", "average")[n % 2], (3, 3), ONE, "valid"),  # type: ignore[arg-type]
        s.do(op.Pad(((0, 0), (1, 1), (1, 1), (0, 0))), x),
    ),
    "gate": lambda s, x, _: s.do(op.Binary("multiply"), x, s.do(op.Unary("sigmoid"), x)),
    "turn": lambda s, x, _: s.do(op.Transpose((0, 2, 1, 3)), s.do(op.Transpose((0, 2, 1, 3)), x)),
    "reshape": lambda s, x, _: s.do(
        op.Reshape((BATCH, 6, 6, 4)), s.do(op.Reshape((BATCH, 144)), x)
    ),
    "residual": lambda s, x, _: s.do(op.Binary("add"), x, s.x),
    "squeeze": lambda s, x, _: s.do(
        op.Binary("multiply"), x,
        s.do(op.Reshape((BATCH, 1, 1, 4)), s.do(op.Reduce("mean", (1, 2), keepdims=False), x)),
    ),
    "twice": lambda s, x, _: s.do(
        op.Binary("add"), s.do(op.Unary("tanh"), x), s.do(op.Unary("tanh"), x)
    ),
}  # fmt: skip

recipes = st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 11)), max_size=9)
random_graphs = settings(
    max_examples=40,
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)


def _drawn(recipe: list[tuple[str, int]], early: int) -> Graph:
    """The steps in a row; the value after ``early`` of them is returned as well."""
    sketch = Sketch(seed=len(recipe))
    x = sketch.x
    values = [x]
    for name, number in recipe:
        x = STEPS[name](sketch, x, number)
        values.append(x)
    last = sketch.do(op.Unary("abs"), x)
    middle = values[min(early, len(values) - 1)]
    return sketch.returns(last) if middle is sketch.x else sketch.returns(last, middle)


@random_graphs
@given(recipe=recipes, early=st.integers(0, 9), index=st.integers(0, len(DEFAULT) - 1))
def test_each_pass_tells_the_truth_and_computes_the_same(
    recipe: list[tuple[str, int]], early: int, index: int
) -> None:
    graph = _drawn(recipe, early)
    before, expected = fingerprint(graph), run(graph)
    said = DEFAULT[index](graph)
    assert said == (fingerprint(graph) != before), DEFAULT[index].__name__
    graph.prune()
    graph.check()
    _agree(expected, run(graph))


@random_graphs
@given(recipe=recipes, early=st.integers(0, 9))
def test_all_passes_together_compute_the_same_and_come_to_an_end(
    recipe: list[tuple[str, int]], early: int
) -> None:
    graph = _drawn(recipe, early)
    expected = run(graph)
    improve(graph)
    _agree(expected, run(graph))
    done = fingerprint(graph)
    assert improve(graph) == []
    assert fingerprint(graph) == done


def test_broken_graph_names_the_passes_that_ran() -> None:
    def break_it(graph: Graph) -> bool:
        if len(graph.nodes) == 1:
            return False
        graph.nodes[-1].inputs = [Value("nowhere", graph.inputs[0].type)]
        return True

    sketch = Sketch()
    graph = sketch.returns(sketch.do(op.Unary("exp"), sketch.do(op.Unary("tanh"), sketch.x)))
    with pytest.raises(GraphError, match=r"after break_it"):
        improve(graph, [break_it])
