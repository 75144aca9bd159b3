"""Reshapes, slices, joins, look-ups, reductions and sizes in LiteRT against numpy."""

from __future__ import annotations

from typing import Any

import jax
import litert_references as ref
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from litert_harness import (
    BATCH,
    ENGINES,
    HEIGHT,
    SIZES,
    TIME,
    Arg,
    Array,
    Case,
    build,
    check,
    constant,
    sizes_of,
)

from hornbeam.converter.tflite import to_bytes
from hornbeam.errors import UnsupportedFormatError
from hornbeam.graph import Shape
from hornbeam.graph.operations import (
    ArgReduce,
    Binary,
    Broadcast,
    Concat,
    Cumulate,
    Dense,
    DimensionOf,
    Gather,
    LayerNorm,
    OneHot,
    Pad,
    Range,
    Reduce,
    Reshape,
    Resize,
    Reverse,
    Slice,
    Softmax,
    Split,
    Tile,
    TopK,
    Transpose,
)

ROWS = Arg((BATCH, 6, 4))
TOKENS = Arg((BATCH, TIME, 4))
IMAGE = Arg((BATCH, 5, 6, 3))
INDICES = Arg((BATCH, 3), "int32", 0, 5)


def _batch(x: Array) -> int:
    """Which of the two batches an array belongs to."""
    return x.shape[0]


def _reshape(name: str, arg: Arg, shape: Shape, operators: tuple[str, ...] | None = None) -> Case:
    return Case(
        name,
        Reshape(shape),
        (arg,),
        lambda x: x.reshape(sizes_of(shape, _batch(x))),
        operators=operators,
    )


def _slice(name: str, arg: Arg, begin: Shape, sizes: Shape, strides: tuple[int, ...]) -> Case:
    operation = Slice(begin, sizes, strides)
    return Case(
        name,
        operation,
        (arg,),
        ref.take(operation, lambda x: sizes_of((*begin, *sizes), _batch(x))),
        operators=None,
    )


def _pad(name: str, arg: Arg, *arguments: Any) -> Case:
    operation = Pad(*arguments)
    return Case(name, operation, (arg,), ref.pad(operation))


def _split(name: str, arg: Arg, axis: int, sizes: tuple[int, ...], *operators: str) -> Case:
    ends = np.cumsum(sizes)[:-1]
    return Case(
        name,
        Split(axis, sizes),
        (arg,),
        lambda x: tuple(np.split(x, ends, axis)),
        operators=operators,
    )


MOVEMENT = [
    _reshape("flatten", ROWS, (BATCH, 24), ("RESHAPE",)),
    _reshape("merge batch", ROWS, (BATCH * 6, 4), ("RESHAPE",)),
    _reshape("keep two free", TOKENS, (BATCH, TIME, 2, 2)),
    _reshape("merge two free", TOKENS, (BATCH * TIME, 4), ("RESHAPE",)),
    _reshape("to the same shape", ROWS, (BATCH, 6, 4)),
    Case("transpose", Transpose((0, 2, 1)), (TOKENS,), lambda x: x.transpose(0, 2, 1)),
    Case("transpose six", Transpose((0, 2, 4, 1, 3, 5)), (Arg((BATCH, 2, 3, 4, 2, 3)),),
         lambda x: x.transpose(0, 2, 4, 1, 3, 5)),
    Case("transpose bool", Transpose((1, 0)), (Arg((BATCH, 3), "bool"),), np.transpose),
    Case("broadcast", Broadcast((BATCH, 5, 4)), (Arg((BATCH, 1, 4)),),
         lambda x: np.broadcast_to(x, (len(x), 5, 4))),
    Case("tile", Tile((1, 2, 3)), (TOKENS,), lambda x: np.tile(x, (1, 2, 3))),
    Case("tile nothing", Tile((1, 1)), (Arg((BATCH, 4)),), np.copy),
    Case("concat", Concat(1), (TOKENS, ROWS, TOKENS), lambda *xs: np.concatenate(xs, 1)),
    Case("concat integers", Concat(1), (INDICES, INDICES), lambda a, b: np.concatenate([a, b], 1)),
    _slice("part of a row", ROWS, (0, 1, 0), (BATCH, 3, 4), (1, 1, 1)),
    _slice("the last", TOKENS, (0, TIME - 1, 0), (BATCH, 1, 4), (1, 1, 1)),
    _slice("all but the first", TOKENS, (0, 1, 0), (BATCH, TIME - 1, 4), (1, 1, 1)),
    _slice("all but the last two", TOKENS, (0, 0, 0), (BATCH, TIME - 2, 4), (1, 1, 1)),
    _slice("every other", TOKENS, (0, 1, 0), (BATCH, TIME // 2, 4), (1, 2, 1)),
    _slice("backwards", TOKENS, (0, TIME - 1, 3), (BATCH, TIME, 4), (1, -1, -1)),
    _slice("backwards, some", TOKENS, (0, TIME - 2, 3), (BATCH, 3, 2), (1, -2, -2)),
    _slice("first half", TOKENS, (0, 0, 0), (BATCH, TIME // 2, 4), (1, 1, 1)),
    _slice("second half", TOKENS, (0, TIME // 2, 0), (BATCH, TIME - TIME // 2, 4), (1, 1, 1)),
    _slice("bool", Arg((BATCH, 6), "bool"), (0, 1), (BATCH, 2), (1, 1)),
    _slice("five axes", Arg((BATCH, 2, 3, 4, 5)), (0, 0, 1, 0, 2), (BATCH, 2, 2, 4, 2),
           (1, 1, 1, 1, 1)),
    _split("split evenly", ROWS, 1, (2, 2, 2), "SPLIT"),
    _split("split unevenly", ROWS, 1, (1, 3, 2), *["STRIDED_SLICE"] * 3),
    _split("split into many", ROWS, 1, (1,) * 6, *["STRIDED_SLICE"] * 6),
    Case("concat many", Concat(2), (TOKENS,) * 7, lambda *xs: np.concatenate(xs, 2),
         operators=("CONCATENATION", "CONCATENATION")),
    Case("concat many integers", Concat(1), (INDICES,) * 7, lambda *xs: np.concatenate(xs, 1),
         operators=("CONCATENATION",)),
    _split("split bool", Arg((BATCH, 4), "bool"), 1, (2, 2), *["STRIDED_SLICE"] * 2),
    _pad("pad zeros", TOKENS, ((0, 0), (1, 2), (0, 3))),
    _pad("pad with a value", TOKENS, ((0, 0), (1, 2), (0, 0)), "constant", 2.5),
    _pad("pad integers", INDICES, ((0, 0), (1, 2)), "constant", 7),
    _pad("pad bool", Arg((BATCH, 4), "bool"), ((0, 0), (1, 0)), "constant", 1),
    _pad("pad six axes", Arg((BATCH, 2, 1, 2, 3, 4)), ((0, 0), (1, 2), (0, 0), (0, 0), (1, 0),
                                                       (0, 1)), "constant", 1.5),
    _pad("reflect", TOKENS, ((0, 0), (2, 1), (0, 0)), "reflect"),
    _pad("symmetric", TOKENS, ((0, 0), (2, 1), (4, 0)), "symmetric"),
    _pad("edge", TOKENS, ((0, 0), (2, 1), (0, 3)), "edge"),
    Case("reverse", Reverse((1,)), (TOKENS,), lambda x: np.flip(x, 1)),
    Case("reverse two apart", Reverse((1, 3)), (IMAGE,), lambda x: np.flip(x, (1, 3))),
    Case("embedding", Gather(), (constant(6, 4), INDICES), lambda t, i: t[i],
         operators=("GATHER",)),
    Case("embedding of int64", Gather(), (constant(6, 4), Arg((BATCH, 3), "int64", 0, 5)),
         lambda t, i: t[i]),
    Case("embedding of uint8", Gather(), (constant(6, 4), Arg((BATCH, 3), "uint8", 0, 5)),
         lambda t, i: t[i]),
    Case("gather columns", Gather(1), (ROWS, np.array([3, 0, 5, 1], np.int32)),
         lambda x, i: x[:, i]),
    Case("one hot", OneHot(5, "float32"), (Arg((BATCH, 3), "int32", -1, 6),),
         lambda i: (i[..., None] == np.arange(5)).astype(np.float32)),
    Case("one hot bool", OneHot(5, "bool"), (Arg((BATCH,), "int64", 0, 4),),
         lambda i: i[..., None] == np.arange(5)),
    *(Case(f"{method} to {size}", Resize(size, method), (IMAGE,), ref.resize(size, method))
      for method in ("nearest", "bilinear") for size in [(10, 12), (7, 4), (5, 6), (13, 9)]),
    *(Case(f"{method} of free size", Resize((HEIGHT * 2, 9), method),
           (Arg((BATCH, HEIGHT, 4, 2)),),
           lambda x, method=method: ref.resize((x.shape[1] * 2, 9), method)(x))
      for method in ("nearest", "bilinear")),
    Case("nearest integers", Resize((8, 9), "nearest"), (Arg((BATCH, 4, 3, 2), "uint8", 0, 255),),
         lambda x: x.repeat(2, 1).repeat(3, 2)),
]  # fmt: skip


def _reductions() -> list[Case]:
    cases = []
    for name in ("mean", "sum", "max", "min", "prod"):
        for axes in ((1,), (2, 3), (0, 1, 2, 3)):
            for keepdims in (True, False):
                operation = Reduce(name, axes, keepdims)  # type: ignore[arg-type]
                function = getattr(np, name)
                cases.append(
                    Case(
                        f"{name} {axes} {keepdims}",
                        operation,
                        (IMAGE,),
                        lambda x, f=function, a=axes, k=keepdims: f(x, axis=a, keepdims=k),
                    )
                )
    for name in ("any", "all"):
        truth = Arg((BATCH, TIME, 2), "bool")
        function = getattr(np, name)
        cases.append(Case(name, Reduce(name, (1,), False), (truth,), lambda x, f=function: f(x, 1)))  # type: ignore[arg-type]
    return cases


REDUCTION = [
    *_reductions(),
    Case("no axes", Reduce("sum", (), False), (ROWS,), np.copy),
    Case("sum of integers", Reduce("sum", (1,), False), (INDICES,), lambda x: x.sum(1)),
    Case("max of bool", Reduce("max", (1,), False), (Arg((BATCH, 3), "bool"),),
         lambda x: x.any(1)),
    Case("argmax", ArgReduce("max", 1, False), (TOKENS,), lambda x: x.argmax(1)),
    Case("argmin kept", ArgReduce("min", 2, True), (TOKENS,),
         lambda x: x.argmin(2)[..., None]),
    Case("first of equals", ArgReduce("max", 1, False), (Arg((BATCH, 9), "int32", 0, 1),),
         lambda x: x.argmax(1)),
    *(Case(f"cumsum {reverse} {exclusive}", Cumulate(1, reverse, exclusive), (TOKENS,),
           lambda x, r=reverse, e=exclusive: _cumulated(x, r, e))
      for reverse in (False, True) for exclusive in (False, True)),
    Case("cumsum of integers", Cumulate(1), (INDICES,), lambda x: x.cumsum(1)),
    Case("top k", TopK(3), (TOKENS,),
         lambda x: (-np.sort(-x)[..., :3], np.argsort(-x, kind="stable")[..., :3])),
]  # fmt: skip


def _cumulated(x: Array, reverse: bool, exclusive: bool) -> Array:
    turned = np.flip(x, 1) if reverse else x
    total = turned.cumsum(1) - (turned if exclusive else 0)
    return np.flip(total, 1) if reverse else total


SEVEN = Arg((BATCH, 2, 1, 2, 1, 2, 3))
MANY_AXES = [
    Case("softmax", Softmax(6), (SEVEN,), ref.softmax(6)),
    Case("softmax inside", Softmax(3), (SEVEN,), ref.softmax(3)),
    Case("dense", Dense(), (SEVEN, constant(3, 4)), np.matmul),
    Case("max", Reduce("max", (1, 3), False), (SEVEN,), lambda x: x.max((1, 3))),
    Case("mean kept", Reduce("mean", (1, 6), True), (SEVEN,),
         lambda x: x.mean((1, 6), keepdims=True)),
    Case("concat", Concat(3), (SEVEN, SEVEN), lambda a, b: np.concatenate([a, b], 3)),
    Case("split", Split(3, (1, 1)), (SEVEN,), lambda x: tuple(np.split(x, 2, 3))),
    _pad("pad", SEVEN, ((0, 0), (1, 2), (0, 0), (0, 0), (0, 0), (1, 0), (0, 1))),
    Case("transpose", Transpose((0, 6, 5, 4, 3, 2, 1)), (SEVEN,),
         lambda x: x.transpose(0, 6, 5, 4, 3, 2, 1)),
    Case("add", Binary("add"), (SEVEN, constant(2, 1, 3)), np.add),
    Case("layer norm", LayerNorm(0.1), (SEVEN, constant(3), constant(3)), ref.layer_norm(0.1)),
]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", MANY_AXES, ids=str)
def test_more_axes_than_xnnpack_has(case: Case, engine: str) -> None:
    check(case, engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", MOVEMENT + REDUCTION, ids=str)
def test_as_numpy_computes_it(case: Case, engine: str) -> None:
    check(case, engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("operation", "value"),
    [
        (DimensionOf(TIME * 2 + 1, "int32"), lambda n: 2 * n["time"] + 1),
        (DimensionOf((TIME + 1) // 2, "float32"), lambda n: (n["time"] + 1) // 2),
        (DimensionOf(TIME * BATCH - 3, "int64"), lambda n: n["time"] * n["batch"] - 3),
        (Range(1, 2, TIME, "int32"), lambda n: 1 + 2 * np.arange(n["time"])),
        (Range(0, 1, TIME - 1, "float32"), lambda n: np.arange(n["time"] - 1)),
        (Range(5, -1, 4, "int64"), lambda _: 5 - np.arange(4)),
        (Broadcast((BATCH, TIME, 4)), lambda n: np.ones((n["batch"], n["time"], 4))),
    ],
    ids=lambda part: None if callable(part) else str(part),
)
def test_values_made_of_sizes(operation: Any, value: Any, engine: str) -> None:
    from litert_harness import Model, add_arg

    from hornbeam.graph import Graph

    graph = Graph("sizes")
    add_arg(graph, "x", TOKENS)
    inputs = [graph.constant("one", np.ones((1, 4)))] if isinstance(operation, Broadcast) else []
    (result,) = graph.emit(operation, inputs, "sizes")
    graph.outputs = {"y": result}
    graph.check()
    model = Model(to_bytes(graph), engine)
    for batch in (1, 3):
        x = TOKENS.draw(np.random.default_rng(), SIZES[batch])
        actual = model.run({"x": x})["y"]
        np.testing.assert_array_equal(actual, value(SIZES[batch]))


def test_a_reflection_longer_than_the_axis_is_refused() -> None:
    case = Case("far", Pad(((0, 0), (4, 0)), "reflect"), (Arg((BATCH, 4)),), np.copy)
    with pytest.raises(UnsupportedFormatError, match="mirrors an axis once"):
        to_bytes(build(case))


@st.composite
def _slices(draw: Any) -> Case:
    """Any slice of a free axis, its ends counted from the front or from the back."""
    stride = draw(st.sampled_from([-3, -2, -1, 1, 2, 3]))
    size: Any = draw(st.integers(1, 7)) if draw(st.booleans()) else TIME - draw(st.integers(0, 6))
    begin: Any = draw(st.integers(0, 6)) if draw(st.booleans()) else TIME - draw(st.integers(1, 7))
    for numbers in SIZES.values():
        n = numbers["time"]
        first, count = (dim if isinstance(dim, int) else dim + n - TIME for dim in (begin, size))
        assume(count > 0)
        assume(0 <= first < n)
        assume(0 <= first + (count - 1) * stride < n)
    return _slice("any", TOKENS, (0, begin, 0), (BATCH, size, 4), (1, stride, 1))


@given(_slices())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_any_slice(case: Case) -> None:
    for engine in ENGINES:
        check(case, engine)


def test_resizing_in_jax_is_what_the_graph_says() -> None:
    """``floor((i + 0.5) * scale)``, for sizes where rounding could differ."""
    for old, new in [(5, 7), (6, 4), (7, 3), (10, 13)]:
        x = np.arange(old, dtype=np.float32)[None, :, None, None]
        picked = jax.image.resize(x, (1, new, 1, 1), "nearest")[0, :, 0, 0]
        expected = np.floor((np.arange(new) + 0.5) * (old / new))
        np.testing.assert_array_equal(picked, expected)
