"""Division of sizes: what is a product of sizes divides evenly by any of its factors."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hornbeam.graph.dims import Dim, symbol

_ATOMS = [symbol("batch"), symbol("time"), (symbol("height") + 5) // 7]


@st.composite
def sizes(draw: st.DrawFn) -> Dim:
    """A polynomial that is not zero."""
    total: Dim = draw(st.integers(1, 9))
    for _ in range(draw(st.integers(0, 3))):
        term: Dim = draw(st.integers(-9, 9))
        for atom in draw(st.lists(st.sampled_from(_ATOMS), max_size=2)):
            term = term * atom
        total = total + term
    return total if total != 0 else 1


@given(sizes(), sizes())
def test_a_product_divides_by_its_factors(a: Dim, b: Dim) -> None:
    if isinstance(b, int):
        assert (a * b) // b == a
    elif not isinstance(a * b, int):
        assert (a * b) // b == a, f"({a}) * ({b})"


def test_a_sum_that_is_no_multiple_is_refused() -> None:
    batch, time = symbol("batch"), symbol("time")
    with pytest.raises(ValueError, match="cannot be divided"):
        (batch * time + 1) // (time + 1)
