"""Graphs in float16, bfloat16 and float64 run, with kernels where there are some."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx_cases import all_cases
from onnx_harness import Arg, Case, named, passes_convolution, same, session

from hornbeam.converter.onnx import to_model
from hornbeam.converter.onnx.dtypes import kernel_dtype, onnx_dtype
from hornbeam.errors import UnsupportedFormatError
from hornbeam.graph import Graph, Value
from hornbeam.graph import operations as op
from hornbeam.graph.types import numpy_dtype

#: Results that jump where their argument is rounded: nothing to compare in half precision.
_JUMPS = ("mod", "floor_divide")
_TOLERANCES = {"float16": 5e-3, "bfloat16": 4e-2, "float64": 1e-5}


def in_kind(case: Case, kind: str) -> Graph:
    """The case with every float32 in another dtype, between casts."""
    graph = Graph(case.name)
    values = []
    for name, item in named(case):
        value: Value
        if isinstance(item, Arg):
            value = graph.add_input(name, item.shape, item.dtype)
            if "batch" in map(str, item.shape):
                axis = [str(dim) for dim in item.shape].index("batch")
                graph.symbols.setdefault("batch", (value, axis))
            if item.dtype == "float32":
                value = graph.emit(op.Cast(kind), [value], "cast")[0]
        elif item.dtype == np.float32:
            value = graph.constant(name, item.astype(numpy_dtype(kind)), kind)
        else:
            value = graph.constant(name, item)
        values.append(value)
    results = graph.emit(case.operation, values[: len(case.inputs)], "layer")
    for index, result in enumerate(results):
        is_kind = result.dtype == kind
        shown = graph.emit(op.Cast("float32"), [result], "cast")[0] if is_kind else result
        graph.outputs[f"y{index}"] = shown
    return graph


def compare(case: Case, kind: str) -> None:
    graph = in_kind(case, kind)
    model = to_model(graph)
    onnx.checker.check_model(model)
    generator = np.random.default_rng(1)
    arrays = []
    for _, item in named(case):
        array = item.draw(generator, 2) if isinstance(item, Arg) else item
        if array.dtype == np.float32:
            array = array.astype(numpy_dtype(kind)).astype("float32")
        arrays.append(array)
    feeds = {
        name: array
        for (name, item), array in zip(named(case), arrays, strict=True)
        if isinstance(item, Arg)
    }
    expected = case.reference(*arrays)
    expected = expected if isinstance(expected, tuple) else (expected,)
    found = session(model, severity=3).run(None, feeds)  # it warns that it cannot fold float16
    for array, wanted, value in zip(found, expected, graph.outputs.values(), strict=True):
        same(array, np.asarray(wanted), value, _TOLERANCES[kind], 2)


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_floats(kind: str) -> None:
    """All cases at once: failures come by the kind."""
    failed = {}
    tried = 0
    for case in all_cases():
        floats = [item for _, item in named(case) if str(item.dtype) == "float32"]
        mixed = isinstance(case.operation, op.Cast | op.DimensionOf | op.Range | op.OneHot)
        if mixed or not floats or case.name.startswith(_JUMPS):
            continue
        tried += 1
        try:
            compare(case, kind)
        except (AssertionError, RuntimeError, ValueError) as error:
            failed[case.name] = str(error)
    assert not failed
    assert tried > 200


def test_mixed_precision_between_convolutions() -> None:
    """A float32 picture in float16 layers: one transpose, in whichever dtype is cheaper."""
    graph = Graph("mixed")
    x = graph.add_input("x", (1, 8, 8, 3), "float32")
    assert passes_convolution(x)
    half = graph.emit(op.Cast("float16"), [x], "cast")[0]
    kernel = graph.constant("kernel", np.ones((3, 3, 3, 4), "float16"))
    maps = graph.emit(op.Conv((1, 1), "same", (1, 1)), [half, kernel], "conv")[0]
    pooled = graph.emit(op.Reduce("mean", (1, 2), False), [maps], "pool")[0]
    graph.outputs["y"] = graph.emit(op.Cast("float32"), [pooled], "out")[0]
    model = to_model(graph)
    assert [node.op_type for node in model.graph.node].count("Transpose") == 1
    (found,) = session(model).run(None, {"x": np.ones((1, 8, 8, 3), "float32")})
    np.testing.assert_allclose(found, np.full((1, 4), 27 * 22**2 / 24**2), rtol=1e-2)


def test_dtypes_without_kernels() -> None:
    assert kernel_dtype("Conv", "bfloat16") == "float32"
    assert kernel_dtype("Relu", "int32") == "float64"
    assert kernel_dtype("Transpose", "bfloat16") == "bfloat16"
    with pytest.raises(UnsupportedFormatError, match="Add of string"):
        kernel_dtype("Add", "string")
    with pytest.raises(UnsupportedFormatError, match="float8_e4m3fn"):
        onnx_dtype("float8_e4m3fn")
