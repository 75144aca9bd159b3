"""Einstein summation as one matrix product between reshapes: ``einsum`` of one or two operands.

Every axis label of two operands is of one of four kinds: shared and kept (a batch axis), shared and
summed, or kept from the left or the right operand only. Grouped in that order, the contraction is
``[batch, left, summed] @ [batch, summed, right]``; labels that only one operand has and the result
has not are summed first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hornbeam.converter.lowering.builder import Builder
from hornbeam.graph import Dim, Value
from hornbeam.graph import operations as op
from hornbeam.graph.dims import product

__all__ = ["einsum"]


def einsum(b: Builder, equation: str, *operands: Value) -> Value:
    """``einsum(equation, *operands)``; the operands have one dtype."""
    terms, result = _parse(equation, [operand.rank for operand in operands])
    labels, value = terms[0], operands[0]
    if len(operands) == 1:
        value, labels = _sum_out(b, value, _diagonal_free(labels, equation), set(result))
        return b.transpose(value, [labels.index(label) for label in result])
    for index in range(1, len(operands)):
        later = {label for term in terms[index + 1 :] for label in term} | set(result)
        pair = _Pair(labels, terms[index], later)
        wanted = result if index == len(operands) - 1 else pair.natural
        value = _contract(b, pair, value, operands[index], wanted)
        labels = wanted
    return value


@dataclass(frozen=True)
class _Pair:
    """The axis labels of two operands, and those that anything later still needs."""

    left: str
    right: str
    kept: set[str]

    @property
    def batch(self) -> str:
        return "".join(x for x in self.left if x in self.right and x in self.kept)

    @property
    def summed(self) -> str:
        return "".join(x for x in self.left if x in self.right and x not in self.kept)

    @property
    def free_left(self) -> str:
        return "".join(x for x in self.left if x not in self.right and x in self.kept)

    @property
    def free_right(self) -> str:
        return "".join(x for x in self.right if x not in self.left and x in self.kept)

    @property
    def natural(self) -> str:
        """The order of axes in which the matrix product leaves its result."""
        return self.batch + self.free_left + self.free_right


def _contract(b: Builder, pair: _Pair, x: Value, y: Value, wanted: str) -> Value:
    x, left = _sum_out(b, x, pair.left, pair.kept | set(pair.right))
    y, right = _sum_out(b, y, pair.right, pair.kept | set(pair.left))
    pair = _Pair(left, right, pair.kept)
    size = dict(zip(left, x.shape, strict=True))
    for label, dim in zip(right, y.shape, strict=True):
        # An axis of size 1 goes along with the other operand's.
        size[label] = size.get(label, dim) if dim == 1 else dim
    rows, columns = [size[c] for c in pair.free_left], [size[c] for c in pair.free_right]
    if y.is_constant and not pair.batch and pair.free_right and pair.summed:
        result = _by_weights(b, pair, x, y)
    elif x.is_constant and not pair.batch and pair.free_left and pair.summed:
        swapped = _Pair(right, left, pair.kept)
        result = _by_weights(b, swapped, y, x)
        pair, rows, columns = swapped, columns, rows
    else:
        result = _matrix_product(b, pair, x, y)
    result = b.reshape(result, [*(size[c] for c in pair.batch), *rows, *columns])
    return b.transpose(result, [pair.natural.index(label) for label in wanted])


def _by_weights(b: Builder, pair: _Pair, x: Value, y: Value) -> Value:
    """A contraction with constant weights: a Dense over the summed axes."""
    x = _ordered(b, x, pair.left, pair.free_left + pair.summed)
    y = _ordered(b, y, pair.right, pair.summed + pair.free_right)
    inner = product(x.shape[len(pair.free_left) :])
    kernel = b.reshape(y, (inner, product(y.shape[len(pair.summed) :])))
    return b.emit(op.Dense(), b.reshape(x, (*x.shape[: len(pair.free_left)], inner)), kernel)


def _matrix_product(b: Builder, pair: _Pair, x: Value, y: Value) -> Value:
    x = _ordered(b, x, pair.left, pair.batch + pair.free_left + pair.summed)
    y = _ordered(b, y, pair.right, pair.batch + pair.summed + pair.free_right)
    at = len(pair.batch)
    x = b.reshape(x, _grouped(x.shape, at, len(pair.free_left)))
    y = b.reshape(y, _grouped(y.shape, at, len(pair.summed)))
    return b.emit(op.MatMul(), x, y)


def _grouped(shape: Sequence[Dim], batch: int, first: int) -> tuple[Dim, ...]:
    """Batch axes as they are, then two axes: the ``first`` following ones, and the rest."""
    middle = batch + first
    return (*shape[:batch], product(shape[batch:middle]), product(shape[middle:]))


def _ordered(b: Builder, x: Value, labels: str, order: str) -> Value:
    return b.transpose(x, [labels.index(label) for label in order])


def _sum_out(b: Builder, x: Value, labels: str, kept: set[str]) -> tuple[Value, str]:
    """``x`` summed over the labels that nobody else has."""
    axes = [axis for axis, label in enumerate(labels) if label not in kept]
    if not axes:
        return x, labels
    rest = "".join(label for label in labels if label in kept)
    return b.reduce("sum", x, axes, keepdims=False), rest


def _diagonal_free(labels: str, equation: str) -> str:
    if len(set(labels)) < len(labels):
        raise ValueError(f"einsum '{equation}' takes a diagonal, which has no lowering")
    return labels


def _parse(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The labels of each operand and of the result, with ellipses written out."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    spare = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation]
    widest = max(
        (rank - len(term) + 3 for term, rank in zip(terms, ranks, strict=True) if "..." in term),
        default=0,
    )
    shared = "".join(spare[:widest])
    full = []
    for term, rank in zip(terms, ranks, strict=True):
        count = rank - len(term.replace("...", ""))
        full.append(_diagonal_free(term.replace("...", shared[widest - count :]), equation))
    if not arrow:
        everything = "".join(full)
        once = sorted(c for c in set(everything) if everything.count(c) == 1 and c not in shared)
        return full, shared + "".join(once)
    return full, result.replace("...", shared)
