"""Symbolic sizes: whatever is computed with them holds for every number put in their place."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbeam.graph.dims import (
    Expression,
    broadcast,
    ceil_div,
    evaluate,
    is_known,
    known,
    product,
    quotient,
    symbol,
    symbols,
)

NAMES = ("batch", "time", "height")

numbers = st.integers(-20, 20)
positive = st.integers(1, 12)
leaves = st.one_of(numbers, st.sampled_from([symbol(name) for name in NAMES]))


def _grown(smaller: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    pairs = st.tuples(smaller, smaller)
    return st.one_of(
        pairs.map(lambda pair: pair[0] + pair[1]),
        pairs.map(lambda pair: pair[0] - pair[1]),
        pairs.map(lambda pair: pair[0] * pair[1]),
        st.tuples(smaller, positive).map(lambda pair: pair[0] // pair[1]),
    )


dims = st.recursive(leaves, _grown, max_leaves=6)
sizes = st.fixed_dictionaries({name: st.integers(1, 50) for name in NAMES})


@given(a=dims, b=dims, at=sizes)
def test_arithmetic_is_that_of_numbers(a: Any, b: Any, at: dict[str, int]) -> None:
    x, y = evaluate(a, at), evaluate(b, at)
    assert evaluate(a + b, at) == x + y
    assert evaluate(a - b, at) == x - y
    assert evaluate(a * b, at) == x * y
    assert evaluate(-a, at) == -x


@given(a=dims, divisor=positive, at=sizes)
def test_division_rounds_as_numbers_do(a: Any, divisor: int, at: dict[str, int]) -> None:
    assert evaluate(a // divisor, at) == evaluate(a, at) // divisor
    assert evaluate(ceil_div(a, divisor), at) == -(-evaluate(a, at) // divisor)


@given(a=dims, b=dims, c=dims)
def test_equal_ways_lead_to_equal_sizes(a: Any, b: Any, c: Any) -> None:
    """The normal form: laws of arithmetic hold for ``==`` and for hashes."""
    assert a + b == b + a
    assert a * b == b * a
    assert (a + b) + c == a + (b + c)
    assert a * (b + c) == a * b + a * c
    assert a - a == 0
    assert hash(a * 2) == hash(a + a)


@given(a=dims, divisor=positive, times=st.integers(-5, 5))
def test_whole_multiples_come_out_of_a_division(a: Any, divisor: int, times: int) -> None:
    assert (a + divisor * times) // divisor == a // divisor + times
    assert (a * divisor) // divisor == a


@given(a=dims, b=dims)
def test_exact_division_undoes_multiplication(a: Any, b: Any) -> None:
    if isinstance(b, Expression) and len(b.terms) == 1 and not isinstance(a, int):
        assert quotient(a * b, b) == a


@given(a=dims, at=sizes)
def test_symbols_are_those_that_matter(a: Any, at: dict[str, int]) -> None:
    assert symbols(a) <= set(NAMES)
    assert evaluate(a, {name: at[name] for name in symbols(a)}) == evaluate(a, at)
    assert is_known(a) == (not symbols(a))


@given(shape=st.lists(dims, max_size=4), at=sizes)
def test_product_of_a_shape(shape: list[Any], at: dict[str, int]) -> None:
    expected = 1
    for dim in shape:
        expected *= evaluate(dim, at)
    assert evaluate(product(shape), at) == expected


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (symbol("time") * 2 + 1, "2*time + 1"),
        (1 - symbol("time"), "-time + 1"),
        (symbol("time") * symbol("batch"), "batch*time"),
        (symbol("time") - 3, "time - 3"),
        ((symbol("height") + 1) // 2, "((height + 1)//2)"),
    ],
)
def test_text_reads_as_a_formula(dim: Any, text: str) -> None:
    assert str(dim) == text


def test_division_that_cannot_be_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot be divided"):
        quotient(12, symbol("time"))
    with pytest.raises(ValueError, match="cannot be divided"):
        quotient(symbol("batch"), symbol("time"))
    with pytest.raises(ZeroDivisionError):
        symbol("time") // 0


def test_size_that_has_to_be_known_says_what_it_is() -> None:
    assert known(3, "the number of channels") == 3
    with pytest.raises(ValueError, match="the number of channels must be known, and is time"):
        known(symbol("time"), "the number of channels")


# -- broadcasting --------------------------------------------------------------------------

BATCH, TIME = symbol("batch"), symbol("time")


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([(BATCH, 3), (3,)], (BATCH, 3)),
        ([(BATCH, 1, 4), (TIME, 1)], (BATCH, TIME, 4)),
        ([(BATCH, TIME), (BATCH, TIME)], (BATCH, TIME)),
        ([(BATCH, 1), (1, TIME), ()], (BATCH, TIME)),
        ([(2, TIME), (2, 5)], (2, 5)),
    ],
)
def test_shapes_broadcast_by_the_rule_of_numpy(shapes: list[Any], expected: Any) -> None:
    assert broadcast(*shapes) == expected
    assert broadcast(*reversed(shapes)) == expected


def test_shapes_that_do_not_broadcast_are_an_error() -> None:
    with pytest.raises(ValueError, match="do not broadcast"):
        broadcast((2, 3), (2, 4))
    with pytest.raises(ValueError, match="must be equal"):
        broadcast((BATCH,), (TIME,))
