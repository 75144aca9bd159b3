"""Free sizes, several at once: what is computed at run time is what the graph says."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_harness import session, weight
from onnx_references import conv, depthwise, pool, resize_bilinear

from hornbeam.converter.onnx import to_model
from hornbeam.graph import Dim, Graph, GraphError, Shape, Value
from hornbeam.graph import operations as op
from hornbeam.graph.dims import Expression, evaluate, symbol

BATCH, HEIGHT, WIDTH = symbol("batch"), symbol("height"), symbol("width")
SIZES = ({"batch": 1, "height": 8, "width": 6}, {"batch": 3, "height": 13, "width": 9})


def picture(channels: int = 4) -> tuple[Graph, Value]:
    graph = Graph("free")
    x = graph.add_input("x", (BATCH, HEIGHT, WIDTH, channels), "float32")
    graph.symbols = {"batch": (x, 0), "height": (x, 1), "width": (x, 2)}
    return graph, x


def run(graph: Graph, reference: Callable[[np.ndarray], np.ndarray], opset: int = 21) -> None:
    """Compare at two assignments of the free sizes, and the shape with the declared one."""
    graph.check()
    (value,) = graph.outputs.values()
    model = to_model(graph, opset=opset)
    onnx.checker.check_model(model, full_check=True)
    running = session(model)
    for sizes in SIZES:
        shape = [evaluate(dim, sizes) for dim in graph.inputs[0].shape]
        x = np.random.default_rng(0).normal(size=shape).astype("float32")
        (found,) = running.run(None, {"x": x})
        assert found.shape == tuple(evaluate(dim, sizes) for dim in value.shape)
        np.testing.assert_allclose(found, reference(x), rtol=1e-4, atol=1e-5)


def one(operation: op.Operation, *constants: np.ndarray) -> Graph:
    graph, x = picture()
    values = [x, *(graph.constant("constant", array) for array in constants)]
    graph.outputs["y"] = graph.emit(operation, values, "layer")[0]
    return graph


@pytest.mark.parametrize("opset", [13, 21])
@pytest.mark.parametrize(
    ("name", "shape", "reference"),
    [
        ("tokens", (BATCH, HEIGHT * WIDTH, 4), lambda x: x.reshape(len(x), -1, 4)),
        ("flat", (BATCH, HEIGHT * WIDTH * 4), lambda x: x.reshape(len(x), -1)),
        ("rows", (BATCH * HEIGHT, WIDTH, 4), lambda x: x.reshape(-1, *x.shape[2:])),
        ("heads", (BATCH, HEIGHT, WIDTH, 2, 2), lambda x: x.reshape(*x.shape[:3], 2, 2)),
        ("shifted", (4, BATCH, HEIGHT, WIDTH), lambda x: x.reshape(4, *x.shape[:3])),
        ("swapped", (WIDTH, 4, BATCH, HEIGHT), lambda x: x.reshape(x.shape[2], 4, *x.shape[:2])),
    ],
)
def test_reshape(
    name: str, shape: Shape, reference: Callable[[np.ndarray], np.ndarray], opset: int
) -> None:
    graph = one(op.Reshape(shape))
    run(graph, reference, opset)
    # What stays at its place, and one size more, is left to the engine.
    computed = any(node.op_type == "Shape" for node in to_model(graph).graph.node)
    assert computed == (name in ("rows", "shifted", "swapped"))


@pytest.mark.parametrize("opset", [13, 21])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (2, 1)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_windows(padding: op.Padding, strides: tuple[int, int], opset: int) -> None:
    kernel = weight(3, 2, 4, 5)
    convolution = op.Conv(strides, padding, (1, 1))
    run(one(convolution, kernel), lambda x: conv(convolution)(x, kernel), opset)
    deep, wide = weight(3, 3, 4, 1), op.DepthwiseConv(strides, padding, (1, 1))
    run(one(wide, deep), lambda x: depthwise(wide)(x, deep), opset)
    for function in ("max", "average"):
        pooling = op.Pool("max" if function == "max" else "average", (3, 2), strides, padding)
        run(one(pooling), pool(pooling), opset)


def test_dilated_windows_of_free_size() -> None:
    kernel, operation = weight(3, 3, 4, 5), op.Conv((1, 1), "same", (2, 3))
    run(one(operation, kernel), lambda x: conv(operation)(x, kernel))


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_upsampling(interpolation: str) -> None:
    mode = "nearest" if interpolation == "nearest" else "bilinear"
    graph = one(op.Resize((HEIGHT * 2, WIDTH * 3), mode))

    def reference(x: np.ndarray) -> np.ndarray:
        if interpolation == "nearest":
            return x.repeat(2, 1).repeat(3, 2)
        return resize_bilinear((x.shape[1] * 2, x.shape[2] * 3))(x)

    run(graph, reference)
    assert not any(node.op_type == "Shape" for node in to_model(graph).graph.node)


def test_resize_to_a_known_and_a_computed_size() -> None:
    run(one(op.Resize((5, 7), "bilinear")), resize_bilinear((5, 7)))
    graph = one(op.Resize(((HEIGHT + 1) // 2, WIDTH + 3), "bilinear"))
    run(graph, lambda x: resize_bilinear(((x.shape[1] + 1) // 2, x.shape[2] + 3))(x))


def test_slices_of_free_size() -> None:
    half = HEIGHT // 2
    operation = op.Slice((0, half, 1, 0), (BATCH, half, WIDTH - 2, 4), (1, 1, 1, 1))
    run(one(operation), lambda x: x[:, x.shape[1] // 2 : 2 * (x.shape[1] // 2), 1:-1])
    operation = op.Slice(
        (0, HEIGHT - 1, WIDTH - 2, 0), (BATCH, HEIGHT, WIDTH // 2, 4), (1, -1, -2, 1)
    )
    run(one(operation), lambda x: x[:, ::-1, -2::-2][:, :, : x.shape[2] // 2])
    operation = op.Slice((0, 0, 0, 0), (BATCH, (HEIGHT + 1) // 2, WIDTH, 4), (1, 2, 1, 1))
    run(one(operation), lambda x: x[:, ::2])


def test_broadcast_to_free_sizes() -> None:
    graph, x = picture()
    token = graph.constant("token", weight(1, 1, 4))
    wide = graph.emit(op.Broadcast((BATCH, HEIGHT, 4)), [token], "tokens")[0]
    rows = graph.emit(op.Reduce("sum", (2,), False), [x], "rows")[0]
    graph.outputs["y"] = graph.emit(op.Concat(1), [wide, rows], "join")[0]
    array = token.array

    def reference(x: np.ndarray) -> np.ndarray:
        repeated = np.broadcast_to(array, (len(x), x.shape[1], 4))
        return np.concatenate([repeated, x.sum(2)], 1)

    run(graph, reference)


def test_each_size_is_computed_once() -> None:
    graph, x = picture()
    for index in range(4):
        scalar = graph.emit(op.DimensionOf(HEIGHT * WIDTH, "float32"), [], f"size_{index}")[0]
        x = graph.emit(op.Binary("multiply"), [x, scalar], f"scale_{index}")[0]
    graph.outputs["y"] = x
    run(graph, lambda x: x * float(x.shape[1] * x.shape[2]) ** 4)
    assert sum(node.op_type == "Shape" for node in to_model(graph).graph.node) == 2


def test_a_size_that_no_input_has() -> None:
    graph, x = picture()
    scalar = graph.emit(op.DimensionOf(symbol("time"), "float32"), [], "size")[0]
    graph.outputs["y"] = graph.emit(op.Binary("multiply"), [x, scalar], "scale")[0]
    with pytest.raises(GraphError, match="time"):
        to_model(graph)


_DIMS = st.recursive(
    st.sampled_from([HEIGHT, WIDTH, BATCH]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1]),
        st.tuples(inner, st.integers(-9, 9)).map(lambda pair: pair[0] * pair[1] + pair[1]),
        st.tuples(inner, st.integers(1, 7)).map(lambda pair: pair[0] // pair[1]),
    ),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None)
@given(_DIMS)
def test_any_expression(dim: Dim) -> None:
    if not isinstance(dim, Expression):
        return
    graph, x = picture()
    graph.outputs["y"] = graph.emit(op.DimensionOf(dim, "int64"), [], "size")[0]
    running = session(to_model(graph))
    for sizes in SIZES:
        shape = [evaluate(axis, sizes) for axis in x.shape]
        (found,) = running.run(None, {"x": np.zeros(shape, "float32")})
        assert found == evaluate(dim, sizes)


_WINDOW = st.integers(1, 4)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_window(data: st.DataObject) -> None:
    """Convolutions and pools of any arguments, on known sizes, beside jax."""
    rank = data.draw(st.integers(1, 3))
    each = st.tuples(*[_WINDOW] * rank)
    sizes, window, strides = (
        data.draw(st.tuples(*[st.integers(7, 11)] * rank)),
        data.draw(each),
        (data.draw(each)),
    )
    ones = (1,) * rank
    dilation = data.draw(st.tuples(*[st.integers(1, 2)] * rank)) if strides == ones else ones
    pads = st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * rank)
    padding = data.draw(st.one_of(st.sampled_from(["same", "valid"]), pads))
    groups = data.draw(st.sampled_from([1, 2]))
    graph = Graph("window")
    x = graph.add_input("x", (BATCH, *sizes, 4), "float32")
    graph.symbols["batch"] = (x, 0)
    kind = data.draw(st.sampled_from(["conv", "depthwise", "max", "average"]))
    operation: op.Operation
    if kind == "conv":
        operation = op.Conv(strides, padding, dilation, groups)
        constants, reference = [weight(*window, 4 // groups, 6), weight(6)], conv(operation)
    elif kind == "depthwise":
        operation = op.DepthwiseConv(strides, padding, dilation)
        constants, reference = [weight(*window, 4, 2), weight(8)], depthwise(operation)
    else:
        if not isinstance(padding, str):  # a window may not lie in the padding altogether
            padding = tuple((min(a, k - 1), 0) for (a, _), k in zip(padding, window, strict=True))
        operation = op.Pool("max" if kind == "max" else "average", window, strides, padding)
        constants, reference = [], pool(operation)
    values = [x, *(graph.constant("weight", array) for array in constants)]
    graph.outputs["y"] = graph.emit(operation, values, "layer")[0]
    array = np.random.default_rng(1).normal(size=(2, *sizes, 4)).astype("float32")
    (found,) = session(to_model(graph)).run(None, {"x": array})
    expected = reference(array, *constants)
    assert math.isfinite(float(np.abs(expected).max(initial=0)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
