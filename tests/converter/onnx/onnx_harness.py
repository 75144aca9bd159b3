"""One graph operation at a time: built, written, checked, run, and compared with numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from hornbeam.converter.onnx import DEFAULT_OPSET, to_model
from hornbeam.graph import Graph, Shape, Value, dims
from hornbeam.graph.dims import evaluate, symbol
from hornbeam.graph.operations import Conv, Operation
from hornbeam.graph.types import numpy_dtype

Array = npt.NDArray[Any]

#: The free batch of every case.
BATCH = symbol("batch")


_RANDOM = np.random.default_rng(7)
IMAGE: Shape = (BATCH, 5, 6, 4)
SEQUENCE: Shape = (BATCH, 7, 4)
VOLUME: Shape = (BATCH, 3, 4, 5, 2)
ROWS: Shape = (BATCH, 8)


def weight(*shape: int) -> Array:
    return _RANDOM.normal(0, 0.5, shape).astype("float32")


def literals(operation: type[Operation], field: str) -> tuple[Any, ...]:
    """The members of a field that is one of a few names."""
    return get_args(get_type_hints(operation, localns=vars(dims))[field])


@dataclass(frozen=True)
class Arg:
    """An input of the model: its shape, dtype, and the range that its numbers are drawn from."""

    shape: Shape
    dtype: str = "float32"
    low: float = -3.0
    high: float = 3.0

    def draw(self, generator: np.random.Generator, batch: int) -> Array:
        shape = [evaluate(dim, {"batch": batch}) for dim in self.shape]
        if self.dtype == "bool":
            return generator.integers(0, 2, shape).astype(bool)
        if self.dtype.startswith(("int", "uint")):
            low = max(int(self.low), 0 if self.dtype[0] == "u" else int(self.low))
            return generator.integers(low, int(self.high), shape, endpoint=True).astype(self.dtype)
        drawn = generator.uniform(self.low, self.high, shape).astype("float32")
        return drawn.astype(numpy_dtype(self.dtype))


@dataclass(frozen=True)
class Case:
    """An operation on inputs and constants, and what numpy makes of the same."""

    name: str
    operation: Operation
    inputs: tuple[Arg | Array, ...]
    reference: Callable[..., Any]
    tolerance: float = 1e-5
    #: Further inputs of the model, which only lend their free sizes.
    sizes: tuple[Arg, ...] = ()

    def __str__(self) -> str:
        return self.name


def build(case: Case, *, between_convolutions: bool = False) -> Graph:
    """The case as a graph; between convolutions that change nothing but want channels-first."""
    graph = Graph(case.name)
    values = []
    for name, item in named(case):
        if isinstance(item, Arg):
            value = graph.add_input(name, item.shape, item.dtype)
            for axis, dim in enumerate(item.shape):
                if dim == BATCH:
                    graph.symbols.setdefault("batch", (value, axis))
            if between_convolutions and passes_convolution(item):
                value = convolve(graph, value)
        else:
            value = graph.constant(name, item)
        values.append(value)
    del values[len(case.inputs) :]
    results = graph.emit(case.operation, values, "layer")
    for index, value in enumerate(results):
        wrapped = between_convolutions and passes_convolution(value)
        graph.outputs[f"y{index}"] = convolve(graph, value) if wrapped else value
    graph.check()
    return graph


def named(case: Case) -> list[tuple[str, Arg | Array]]:
    """The case's inputs, constants and sizes, each with its name in the graph."""
    return [(f"x{index}", item) for index, item in enumerate((*case.inputs, *case.sizes))]


def passes_convolution(value: Arg | Value) -> bool:
    return (
        value.dtype == "float32" and 3 <= len(value.shape) <= 5 and isinstance(value.shape[-1], int)
    )


def convolve(graph: Graph, value: Value) -> Value:
    """A convolution with an identity kernel."""
    channels, window = value.shape[-1], (1,) * (value.rank - 2)
    assert isinstance(channels, int)
    kernel = np.eye(channels, dtype="float32").reshape(*window, channels, channels)
    constant = graph.constant("identity", kernel)
    return graph.emit(Conv(window, "valid", window), [value, constant], "identity")[0]


def session(model: onnx.ModelProto, severity: int = 2) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = severity
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def check(case: Case, graph: Graph, opset: int = DEFAULT_OPSET) -> onnx.ModelProto:
    """Write the graph, and compare onnxruntime's answer with the reference's."""
    model = to_model(graph, opset=opset)
    onnx.checker.check_model(model, full_check=opset == DEFAULT_OPSET)
    running = session(model)
    for batch in (1, 3):
        generator = np.random.default_rng(batch)
        arrays = {
            name: item.draw(generator, batch) if isinstance(item, Arg) else item
            for name, item in named(case)
        }
        drawn = {value.name: arrays[value.name] for value in graph.inputs}
        expected = case.reference(*arrays.values())
        if not isinstance(expected, tuple):
            expected = (expected,)
        found = running.run(list(graph.outputs), drawn)
        for key, array, wanted in zip(graph.outputs, found, expected, strict=True):
            same(array, np.asarray(wanted), graph.outputs[key], case.tolerance, batch)
    return model


def same(found: Array, wanted: Array, value: Value, tolerance: float, batch: int) -> None:
    """Equal dtype, shape and, within ``tolerance`` of the largest number, elements."""
    assert str(found.dtype) == str(numpy_dtype(value.dtype)), "dtype"
    sizes = tuple(evaluate(dim, {"batch": batch}) for dim in value.shape)
    assert found.shape == sizes, f"shape {found.shape}, declared {sizes}"
    assert wanted.shape == sizes, f"the reference has shape {wanted.shape}, not {sizes}"
    if wanted.dtype.kind in "biuOS":
        np.testing.assert_array_equal(found, wanted)
        return
    expected = wanted.astype("float64")
    scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=1e-3)
    np.testing.assert_allclose(
        found.astype("float64") / scale, expected / scale, rtol=0, atol=tolerance
    )
