"""Operations on places and bits that are known when the file runs, beside numpy doing the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_harness import BATCH, Arg, Array, Case, build, check

from hornbeam.errors import UnsupportedFormatError
from hornbeam.graph import operations as op
from hornbeam.graph.graph import GraphError

_UFUNCS: dict[str, Any] = {
    "add": np.add, "multiply": np.multiply, "max": np.maximum, "min": np.minimum,
}  # fmt: skip
#: The opset that brought each, where not the oldest.
_SINCE = {"add": 16, "multiply": 16, "max": 18, "min": 18}


def scattered(function: str) -> Any:
    """What `Scatter` computes, by the definition."""

    def reference(x: Array, indices: Array, updates: Array) -> Array:
        result = x.copy()
        places = tuple(indices.T)
        if function == "update":
            result[places] = updates
        else:
            _UFUNCS[function].at(result, places, updates)
        return result

    return reference


def _scatter(function: str, kind: str, depth: int) -> Case:
    # Places that are named twice, unless it is open which of them wins.
    high = 3 if function != "update" else 0
    inputs = (
        Arg((4, 4, BATCH)[3 - depth - 1 :], kind, -9, 9),
        Arg((5 if high else 1, depth), "int32", 0, 3),
        Arg((5 if high else 1, BATCH), kind, -9, 9),
    )
    return Case(f"{function}-{kind}-{depth}", op.Scatter(function), inputs, scattered(function))  # type: ignore[arg-type]


_CASES = [
    _scatter(function, kind, depth)
    for function in ("update", *_UFUNCS)
    for kind in ("float32", "int32", "uint8")
    for depth in (1, 2)
]


@pytest.mark.parametrize("case", _CASES, ids=str)
def test_scatter(case: Case) -> None:
    check(case, build(case))


@pytest.mark.parametrize("kind", ["int32", "int64", "int8", "uint8", "uint32"])
@pytest.mark.parametrize("function", ["and", "or", "xor"])
def test_bits(function: str, kind: str) -> None:
    reference = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}[function]
    inputs = (Arg((BATCH, 5), kind, -128, 127), Arg((5,), kind, -128, 127))
    case = Case(function, op.Bitwise(function), inputs, reference)  # type: ignore[arg-type]
    check(case, build(case))


def test_the_largest_of_a_free_number() -> None:
    def reference(x: Array) -> tuple[Array, Array]:
        order = np.argsort(-x, axis=-1, kind="stable")
        return np.take_along_axis(x, order, -1), order

    case = Case("sorted", op.TopK(BATCH), (Arg((2, BATCH)),), reference)
    check(case, build(case))


@pytest.mark.parametrize("function", sorted(_SINCE))
def test_scatter_in_older_opsets(function: str) -> None:
    case = _scatter(function, "float32", 1)
    check(case, build(case), _SINCE[function])
    with pytest.raises(UnsupportedFormatError, match=f"opset {_SINCE[function]}"):
        check(case, build(case), _SINCE[function] - 1)


def test_bits_in_older_opsets() -> None:
    inputs = (Arg((BATCH, 5), "int32"), Arg((5,), "int32"))
    case = Case("and", op.Bitwise("and"), inputs, np.bitwise_and)
    check(case, build(case), 18)
    with pytest.raises(UnsupportedFormatError, match="opset 18"):
        check(case, build(case), 17)


def test_what_does_not_fit_is_refused() -> None:
    case = Case("bad", op.Scatter("add"), (Arg((4, 3)), Arg((2, 1), "int32"), Arg((2, 4))), np.add)
    with pytest.raises(GraphError, match="does not fit"):
        build(case)
    floats = Case("floats", op.Bitwise("and"), (Arg((4,)), Arg((4,))), np.bitwise_and)
    with pytest.raises(GraphError, match="bitwise and of float32"):
        build(floats)
