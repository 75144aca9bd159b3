"""Symbolic dimensions: integers, or integer polynomials in free sizes with floor divisions.

A dimension is a plain ``int`` where it is known. Where it is not, it is an `Expression` such as
``batch``, ``4*time`` or ``(height + 1)//2``, kept in a normal form, so that equal sizes that were
reached by different ways compare equal. That is all the algebra that the shape rules of
neural-network operations need.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias, Union

__all__ = [
    "Dim",
    "Expression",
    "Quotient",
    "Shape",
    "broadcast",
    "ceil_div",
    "evaluate",
    "is_known",
    "known",
    "product",
    "quotient",
    "symbol",
    "symbols",
]

Dim: TypeAlias = Union[int, "Expression"]
Shape: TypeAlias = tuple[Dim, ...]
#: A product of atoms, sorted; the empty product is 1.
Monomial: TypeAlias = tuple["Atom", ...]


@dataclass(frozen=True)
class Quotient:
    """``numerator // denominator``, rounded down, where the division is not exact."""

    numerator: Expression
    denominator: int

    def __str__(self) -> str:
        return f"(({self.numerator})//{self.denominator})"


#: What an expression is built of: a free size, by name, or a rounded quotient.
Atom: TypeAlias = str | Quotient


@dataclass(frozen=True)
class Expression:
    """A sum of monomials with integer coefficients; never constant (that is an ``int``)."""

    terms: tuple[tuple[Monomial, int], ...]

    def __add__(self, other: Dim) -> Dim:
        return _normalize((*self.terms, *_terms(other)))

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + other * -1

    def __rsub__(self, other: Dim) -> Dim:
        return self * -1 + other

    def __mul__(self, other: Dim) -> Dim:
        return _normalize(
            (tuple(sorted((*a, *b), key=str)), m * n)
            for a, m in self.terms
            for b, n in _terms(other)
        )

    __rmul__ = __mul__

    def __floordiv__(self, other: Dim) -> Dim:
        exact = _exact_quotient(self, other)
        if exact is not None:
            return exact
        if not isinstance(other, int):
            raise ValueError(f"{self} cannot be divided by {other}")
        # Whole multiples come out, so that (n - 1)//2 + 1 and (n + 1)//2 are the same.
        whole = _normalize((monomial, factor // other) for monomial, factor in self.terms)
        rest = _normalize((monomial, factor % other) for monomial, factor in self.terms)
        if isinstance(rest, int):
            return whole + rest // other
        return whole + Expression((((Quotient(rest, other),), 1),))

    def __str__(self) -> str:
        text = " + ".join(_term_text(monomial, factor) for monomial, factor in self.terms)
        return text.replace("+ -", "- ")

    __repr__ = __str__


def symbol(name: str) -> Expression:
    """The free size called ``name``."""
    return Expression((((name,), 1),))


def is_known(dim: Dim) -> bool:
    """Whether the dimension is a number."""
    return isinstance(dim, int)


def symbols(dim: Dim) -> set[str]:
    """The names of the free sizes that ``dim`` depends on."""
    if isinstance(dim, int):
        return set()
    found: set[str] = set()
    for monomial, _ in dim.terms:
        for atom in monomial:
            found |= {atom} if isinstance(atom, str) else symbols(atom.numerator)
    return found


def evaluate(dim: Dim, sizes: Mapping[str, int]) -> int:
    """The value of ``dim`` when each free size has the value given for it."""
    if isinstance(dim, int):
        return dim
    return sum(
        factor * math.prod(_atom_value(atom, sizes) for atom in monomial)
        for monomial, factor in dim.terms
    )


def product(dims: Iterable[Dim]) -> Dim:
    """The product of all dimensions; 1 for none."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def quotient(dim: Dim, divisor: Dim) -> Dim:
    """``dim / divisor``, rounded down; a free divisor must divide without a rest."""
    if isinstance(dim, int) and not isinstance(divisor, int):
        raise ValueError(f"{dim} cannot be divided by {divisor}")
    return dim // divisor  # type: ignore[operator]


def known(dim: Dim, what: str) -> int:
    """A size that must be a number, such as "the number of channels"; `ValueError` if it is not."""
    if not isinstance(dim, int):
        raise ValueError(f"{what} must be known, and is {dim}")
    return dim


def ceil_div(dim: Dim, divisor: int) -> Dim:
    """``dim / divisor`` rounded up."""
    return (dim + (divisor - 1)) // divisor


def broadcast(*shapes: Shape) -> Shape:
    """The shape that ``shapes`` broadcast to, by numpy's rule.

    Sizes that may differ are taken to be equal (the engine will object if they are not), and a
    free size against a number greater than one is that number; but two free sizes of inputs with
    different names are a `ValueError`: then they should have had one name.
    """
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    return tuple(reduce(_broadcast_pair, dims) for dims in zip(*padded, strict=True))


def _broadcast_pair(a: Dim, b: Dim) -> Dim:
    if a == b or b == 1:
        return a
    if a == 1:
        return b
    if isinstance(a, int) and isinstance(b, int):
        raise ValueError(f"sizes {a} and {b} do not broadcast")
    if _is_symbol(a) and _is_symbol(b):
        raise ValueError(f"free sizes {a} and {b} must be equal")
    return b if isinstance(b, int) else a


def _is_symbol(dim: Dim) -> bool:
    return isinstance(dim, Expression) and str(dim).isidentifier()


def _terms(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    return dim.terms if isinstance(dim, Expression) else (((), dim),)


def _normalize(terms: Iterable[tuple[Monomial, int]]) -> Dim:
    total: dict[Monomial, int] = {}
    for monomial, factor in terms:
        total[monomial] = total.get(monomial, 0) + factor
    kept = {monomial: factor for monomial, factor in total.items() if factor}
    if not kept.keys() - {()}:
        return kept.get((), 0)
    # Constants last, longer products first: "2*time + 1", never "1 + 2*time".
    order = sorted(kept.items(), key=lambda item: (-len(item[0]), str(item[0])))
    return Expression(tuple(order))


def _exact_quotient(dim: Expression, divisor: Dim) -> Dim | None:
    """``dim / divisor`` where every term divides evenly, else None."""
    terms = _terms(divisor)
    if len(terms) != 1:
        return _long_division(dim, terms)
    (atoms, factor) = terms[0]
    if factor == 0:
        raise ZeroDivisionError(f"{dim} divided by zero")
    quotient = []
    for monomial, coefficient in dim.terms:
        rest = list(monomial)
        for atom in atoms:
            if atom not in rest:
                return None
            rest.remove(atom)
        if coefficient % factor:
            return None
        quotient.append((tuple(rest), coefficient // factor))
    return _normalize(quotient)


def _long_division(dim: Expression, divisor: tuple[tuple[Monomial, int], ...]) -> Dim | None:
    """``dim / divisor`` term by term from the longest, else None: ``(a*b + b) / (a + 1)`` is b."""
    (lead, *_), total, rest = divisor, _normalize(()), dim
    first = Expression((lead,))
    for _ in dim.terms:
        piece = _exact_quotient(Expression(rest.terms[:1]), first)
        if piece is None:
            return None
        total = total + piece
        left = rest - Expression(divisor) * piece
        if isinstance(left, int):
            return total if left == 0 else None
        rest = left
    return None


def _atom_value(atom: Atom, sizes: Mapping[str, int]) -> int:
    if isinstance(atom, str):
        return sizes[atom]
    return evaluate(atom.numerator, sizes) // atom.denominator


def _term_text(monomial: Monomial, factor: int) -> str:
    if not monomial:
        return str(factor)
    text = "*".join(map(str, monomial))
    return text if factor == 1 else f"-{text}" if factor == -1 else f"{factor}*{text}"
