"""Operations on places and bits that are known when the file runs, in LiteRT, beside numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from litert_harness import BATCH, Arg, Array, Case, check

from hornbeam.graph.operations import Bitwise, Scatter, TopK

_UFUNCS: dict[str, Any] = {
    "add": np.add, "multiply": np.multiply, "max": np.maximum, "min": np.minimum,
}  # fmt: skip
ENGINES = ("builtin", "xnnpack")


def _scattered(function: str) -> Any:
    def reference(x: Array, indices: Array, updates: Array) -> Array:
        result = x.copy()
        if function == "update":
            # One by one, so that the last one stays.
            for place, row in zip(indices, updates, strict=True):
                result[tuple(place)] = row
        else:
            _UFUNCS[function].at(result, tuple(indices.T), updates)
        return result

    return reference


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("kind", ["float32", "int32", "uint8", "int64"])
@pytest.mark.parametrize("function", ["update", *_UFUNCS])
def test_scatter(function: str, kind: str, depth: int, engine: str) -> None:
    inputs = (
        Arg((4, 4, BATCH)[2 - depth :], kind, 0, 3),
        Arg((5, depth), "int32", 0, 3),
        Arg((5, BATCH), kind, 0, 3),
    )
    operation = Scatter(function)  # type: ignore[arg-type]
    check(Case(function, operation, inputs, _scattered(function)), engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_scatter_along_a_free_axis(engine: str) -> None:
    inputs = (Arg((BATCH, 3)), Arg((2, 1), "int32", 0, 0), Arg((2, 3)))
    check(Case("free", Scatter("add"), inputs, _scattered("add")), engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_larger_than_minus_infinity(engine: str) -> None:
    start = np.full((4, 2), -np.inf, np.float32)
    inputs = (start, np.array([[1]], np.int32), Arg((1, 2)))
    check(Case("empty", Scatter("max"), inputs, _scattered("max")), engine)


@pytest.mark.parametrize("kind", ["int32", "int64", "int8", "uint8", "uint32"])
@pytest.mark.parametrize("function", ["and", "or", "xor"])
def test_bits(function: str, kind: str) -> None:
    reference = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}[function]
    low = 0 if kind.startswith("u") else -100
    high = 2**32 - 1 if kind == "uint32" else 100
    inputs = (Arg((BATCH, 5), kind, low, high), Arg((5,), kind, low, high))
    operation = Bitwise(function)  # type: ignore[arg-type]
    check(Case(function, operation, inputs, reference), "builtin")


def test_bits_do_not_overflow() -> None:
    ends = np.array([-(2**31), 2**31 - 1, -1, 0, 1, 0x55555555], np.int32)
    for function, reference in (("and", np.bitwise_and), ("or", np.bitwise_or)):
        pairs = Arg((BATCH, 1), "int32", -1, 1), np.concatenate([ends, ends[::-1]])
        check(Case(function, Bitwise(function), pairs, reference), "builtin")  # type: ignore[arg-type]


def test_the_largest_of_a_free_number() -> None:
    def reference(x: Array) -> tuple[Array, Array]:
        order = np.argsort(-x, axis=-1, kind="stable")
        return np.take_along_axis(x, order, -1), order

    check(Case("sorted", TopK(BATCH), (Arg((2, BATCH)),), reference), "builtin")
