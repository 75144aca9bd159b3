"""Arguments of ``keras.ops`` at random: dtypes that are mixed, axes that are folded, keys."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from keras import ops
from ops_harness import Array, Case, carries

#: Each example is a conversion: what fails is shown as it is found, and explained by nobody.
_QUICK = settings(
    max_examples=6,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
_LONG = settings(_QUICK, max_examples=60)

_DTYPES = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "float16", "float32")
_BINARY = (
    "add", "multiply", "maximum", "minimum", "divide", "equal", "not_equal", "less", "less_equal",
    "greater", "greater_equal", "logical_and", "logical_or",
)  # fmt: skip
#: What neither of two booleans has (or Keras disagrees with itself about).
_NUMBERS = ("subtract", "floor_divide", "mod")


def _array(dtype: str, shape: tuple[int, ...], number: int) -> Array:
    random = np.random.default_rng(number)
    if dtype == "bool":
        return random.integers(0, 2, shape).astype(bool)
    low = 1 if dtype.startswith("u") else -5
    numbers = random.integers(low, 6, shape).astype(dtype)
    if dtype.startswith("float"):
        numbers = (numbers + random.integers(0, 4, shape) / 4).astype(dtype)
    # Nothing is divided by zero.
    return np.where(numbers == 0, np.asarray(1, dtype), numbers)


def _carried(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        carries(case, Path(folder))


def _mixed(first: str, second: Any, shapes: tuple[Any, Any]) -> None:
    if first.startswith("u") and not isinstance(second, str):
        # (A negative number becomes one near 2**32, where TFLite's division is not at home.)
        second = abs(second)
    x = _array(first, (3, *shapes[0]), 1)
    is_number = not isinstance(second, str)
    arrays = (x,) if is_number else (x, _array(second, (3, *shapes[1]), 2))
    names = list(_BINARY)
    if first != "bool" and (is_number or second != "bool"):
        names += _NUMBERS
    if is_number:
        # As the second argument, and for some as the first.
        def function(x: Any) -> Any:
            ahead = [getattr(ops, name)(second, x) for name in ("add", "maximum", "less")]
            return [getattr(ops, name)(x, second) for name in names] + ahead
    else:

        def function(x: Any, y: Any) -> Any:
            return [getattr(ops, name)(x, y) for name in names]

    half = "float16" in (first, second)
    _carried(Case(f"{first} and {second}", function, arrays, tolerance=2e-3 if half else 1e-5))


_SHAPES = st.sampled_from([((4,), (4,)), ((2, 1), (1, 3)), ((2, 3), (2, 1)), ((1,), (5,))])
_MIXED = {
    "first": st.sampled_from(_DTYPES),
    "second": st.one_of(st.sampled_from(_DTYPES), st.sampled_from([2, 3, -2, 1.5, -0.5])),
    "shapes": _SHAPES,
}


@seed(1)
@_QUICK
@given(**_MIXED)
def test_mixed_dtypes(first: str, second: Any, shapes: tuple[Any, Any]) -> None:
    _mixed(first, second, shapes)


@pytest.mark.slow
@seed(2)
@_LONG
@given(**_MIXED)
def test_mixed_dtypes_at_length(first: str, second: Any, shapes: tuple[Any, Any]) -> None:
    _mixed(first, second, shapes)


@st.composite
def _folds(draw: st.DrawFn) -> tuple[tuple[int, ...], Any, bool, str]:
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    rank = len(shape) + 1
    # The batch stays, or it would be free and folded, which each row alone would not show.
    axis = draw(st.one_of(
        st.integers(1, rank - 1), st.integers(1 - rank, -1),
        st.lists(st.integers(1, rank - 1), min_size=1, unique=True).map(tuple),
    ))  # fmt: skip
    return (
        shape,
        axis,
        draw(st.booleans()),
        draw(st.sampled_from(["float32", "int32", "bool", "uint8"])),
    )


def _fold(shape: tuple[int, ...], axis: Any, keepdims: bool, dtype: str) -> None:
    names = ["sum", "mean", "max", "min", "prod", "any", "all", "var", "std"]
    single = isinstance(axis, int)

    def function(x: Any) -> Any:
        results = [getattr(ops, name)(x, axis=axis, keepdims=keepdims) for name in names]
        if single:
            x = ops.cast(x, "int32") if dtype == "bool" else x
            results += [ops.argmax(x, axis=axis, keepdims=keepdims), ops.sort(x, axis=axis),
                        ops.argsort(x, axis=axis), ops.cumsum(x, axis=axis)]  # fmt: skip
        return results

    _carried(Case("folds", function, (_array(dtype, (3, *shape), 3),)))


@seed(3)
@_QUICK
@given(_folds())
def test_folded_axes(fold: tuple[tuple[int, ...], Any, bool, str]) -> None:
    _fold(*fold)


@pytest.mark.slow
@seed(4)
@_LONG
@given(_folds())
def test_folded_axes_at_length(fold: tuple[tuple[int, ...], Any, bool, str]) -> None:
    _fold(*fold)


_SIZES = (4, 5)


def _slices(size: int) -> st.SearchStrategy[slice]:
    ends = st.one_of(st.none(), st.integers(-size - 1, size + 1))
    return st.builds(slice, ends, ends, st.sampled_from([None, 1, 2, -1, -2]))


@st.composite
def _keys(draw: st.DrawFn) -> tuple[Any, ...]:
    """A key of ``[batch, 4, 5]`` that leaves the batch, and something of the rest."""
    key: list[Any] = [slice(None)]
    for size in _SIZES[: draw(st.integers(0, 2))]:
        part = draw(st.one_of(
            _slices(size).filter(lambda s, n=size: len(range(*s.indices(n))) > 0),
            st.integers(-size, size - 1),
            st.lists(st.integers(-size, size - 1), min_size=1, max_size=3).map(np.array),
        ))  # fmt: skip
        key.append(part)
        if draw(st.booleans()):
            key.append(None)
    if draw(st.booleans()):
        key.append(Ellipsis)
    return tuple(key)


def _indexed(key: tuple[Any, ...]) -> None:
    arrays = [k for k in key if isinstance(k, np.ndarray)]
    if len({a.shape for a in arrays}) > 1:
        key = tuple(k[:1] if isinstance(k, np.ndarray) else k for k in key)
    x = _array("float32", (3, *_SIZES), 5)
    _carried(Case(f"x[{key}]", lambda x: x[key], (x,), inside=True, fixed=True))


@seed(5)
@_QUICK
@given(_keys())
def test_keys(key: tuple[Any, ...]) -> None:
    _indexed(key)


@pytest.mark.slow
@seed(6)
@_LONG
@given(_keys())
def test_keys_at_length(key: tuple[Any, ...]) -> None:
    _indexed(key)
