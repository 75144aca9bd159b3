"""One graph operation at a time: built, written, run in LiteRT, and compared with numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from hornbeam.converter.tflite import to_bytes
from hornbeam.graph import Dim, Graph, Shape, Value
from hornbeam.graph.dims import evaluate, symbol, symbols
from hornbeam.graph.operations import Operation
from hornbeam.graph.types import numpy_dtype

Array = npt.NDArray[Any]

#: The free sizes of the cases, and what they are at batch 1 and at batch 3.
BATCH, TIME, HEIGHT = symbol("batch"), symbol("time"), symbol("height")
SIZES = {1: {"batch": 1, "time": 7, "height": 9}, 3: {"batch": 3, "time": 11, "height": 8}}

ENGINES = {
    "xnnpack": {},
    "builtin": {"experimental_op_resolver_type": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES},
}


@dataclass(frozen=True)
class Arg:
    """An input of the model: its shape, dtype, and the range that its numbers are drawn from."""

    shape: Shape
    dtype: str = "float32"
    low: float = -3.0
    high: float = 3.0

    def draw(self, generator: np.random.Generator, sizes: Mapping[str, int]) -> Array:
        """Numbers for given free sizes."""
        shape = [evaluate(dim, sizes) for dim in self.shape]
        if self.dtype == "bool":
            return generator.integers(0, 2, shape).astype(bool)
        if self.dtype.startswith(("int", "uint")):
            low = max(int(self.low), 0) if self.dtype[0] == "u" else int(self.low)
            return generator.integers(low, int(self.high), shape, endpoint=True).astype(self.dtype)
        return generator.uniform(self.low, self.high, shape).astype(self.dtype)


@dataclass(frozen=True)
class Case:
    """An operation on inputs and constants, and what numpy makes of the same.

    ``operators``, where given, are those that the file must have, in order.
    """

    name: str
    operation: Operation
    inputs: tuple[Arg | Array, ...]
    reference: Callable[..., Any]
    tolerance: float = 1e-5
    operators: tuple[str, ...] | None = None

    def __str__(self) -> str:
        return self.name


def constant(*shape: int, low: float = -1.0, high: float = 1.0) -> Array:
    """Fixed numbers for weights; the same for the same shape."""
    generator = np.random.default_rng(sum(shape) + len(shape))
    return generator.uniform(low, high, shape).astype(np.float32)


def add_arg(graph: Graph, name: str, arg: Arg) -> Value:
    """An input, whose free sizes can be read off it."""
    value = graph.add_input(name, arg.shape, arg.dtype)
    for axis, dim in enumerate(arg.shape):
        for found in symbols(dim):
            if dim == symbol(found):
                graph.symbols.setdefault(found, (value, axis))
    return value


def build(case: Case) -> Graph:
    """The case as a graph with outputs ``y0``, ``y1``…."""
    graph = Graph(case.name)
    values = []
    for i, item in enumerate(case.inputs):
        if isinstance(item, Arg):
            values.append(add_arg(graph, f"x{i}", item))
        else:
            values.append(graph.constant(f"c{i}", item))
    results = graph.emit(case.operation, values, f"layers/{case.name}")
    graph.outputs = {f"y{i}": value for i, value in enumerate(results)}
    graph.check()
    return graph


def draw(case: Case, batch: int) -> tuple[list[Array], dict[str, Array]]:
    """All inputs of the operation, and those of them that are fed, by name."""
    generator = np.random.default_rng(batch)
    drawn = [
        item.draw(generator, SIZES[batch]) if isinstance(item, Arg) else item
        for item in case.inputs
    ]
    fed = {
        f"x{i}": array
        for i, (item, array) in enumerate(zip(case.inputs, drawn, strict=True))
        if isinstance(item, Arg)
    }
    return drawn, fed


class Model:
    """A file opened in LiteRT, run by the names of its signature."""

    def __init__(self, contents: bytes | memoryview, engine: str = "xnnpack") -> None:
        self.interpreter = Interpreter(model_content=bytes(contents), **ENGINES[engine])
        signature = self.interpreter._get_full_signature_list()["serving_default"]
        self.inputs: dict[str, int] = signature["inputs"]
        self.outputs: dict[str, int] = signature["outputs"]

    def run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Resize the inputs to ``feeds``, run twice, and see that both results are the same."""
        for name, array in feeds.items():
            self.interpreter.resize_tensor_input(self.inputs[name], array.shape)
        self.interpreter.allocate_tensors()
        first = self.once(feeds)
        for name, array in self.once(feeds).items():
            np.testing.assert_array_equal(first[name], array, f"{name} differs in a second run")
        return first

    def once(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        """Run with inputs of the sizes there are."""
        for name, array in feeds.items():
            self.interpreter.set_tensor(self.inputs[name], array)
        self.interpreter.invoke()
        return {name: self.interpreter.get_tensor(i) for name, i in self.outputs.items()}

    def operators(self) -> list[str]:
        """The names of the file's operators, in order."""
        details = self.interpreter._get_ops_details()
        return [entry["op_name"] for entry in details if entry["op_name"] != "DELEGATE"]

    def undelegated(self) -> list[str]:
        """The operators that XNNPACK did not take (after a run)."""
        details = self.interpreter._get_ops_details()
        own = [entry for entry in details if entry["op_name"] != "DELEGATE"]
        makers = {int(i): entry for entry in own for i in entry["outputs"]}
        taken: set[int] = set()
        for delegate in details:
            if delegate["op_name"] == "DELEGATE":
                border = {int(i) for i in delegate["inputs"]}
                taken |= _behind(delegate["outputs"], border, makers)
        return [entry["op_name"] for entry in own if entry["index"] not in taken]


def _behind(ends: Iterable[int], border: set[int], makers: Mapping[int, Any]) -> set[int]:
    """The operators between the tensors of ``border`` and those of ``ends``."""
    found: set[int] = set()
    waiting = [int(i) for i in ends]
    while waiting:
        tensor = waiting.pop()
        if tensor in border or tensor not in makers or makers[tensor]["index"] in found:
            continue
        found.add(makers[tensor]["index"])
        waiting += [int(i) for i in makers[tensor]["inputs"]]
    return found


def close(actual: Array, expected: Any, tolerance: float, message: str) -> None:
    """Same shape and dtype kind, and the same numbers within ``tolerance`` of their scale."""
    expected = np.asarray(expected)
    assert actual.shape == expected.shape, f"{message}: {actual.shape} for {expected.shape}"
    if expected.dtype.kind != "f":
        np.testing.assert_array_equal(actual, expected, message)
        return
    finite = np.abs(expected[np.isfinite(expected)])
    scale = max(1.0, float(finite.max())) if finite.size else 1.0
    np.testing.assert_allclose(
        actual.astype(np.float64),
        expected.astype(np.float64),
        rtol=tolerance,
        atol=tolerance * scale,
        err_msg=message,
    )


def check(case: Case, engine: str, batches: Sequence[int] = (1, 3)) -> Model:
    """Write the case once and compare it with its reference at each batch size."""
    graph = build(case)
    model = Model(to_bytes(graph), engine)
    for batch in batches:
        drawn, fed = draw(case, batch)
        with np.errstate(all="ignore"):
            expected = case.reference(*drawn)
        expected = expected if isinstance(expected, tuple) else (expected,)
        actual = model.run(fed)
        for i, (array, value) in enumerate(zip(expected, graph.outputs.values(), strict=True)):
            message = f"{case.name} y{i} at batch {batch} in {engine}"
            close(actual[f"y{i}"], array, case.tolerance, message)
            assert actual[f"y{i}"].dtype == numpy_dtype(value.dtype), message
    if case.operators is not None:
        assert tuple(model.operators()) == case.operators
    return model


def sizes_of(shape: Shape, batch: int) -> tuple[int, ...]:
    """The numbers that ``shape`` has at ``batch``."""
    dims: tuple[Dim, ...] = tuple(shape)
    return tuple(evaluate(dim, SIZES[batch]) for dim in dims)
