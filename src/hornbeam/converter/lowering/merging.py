"""Layers that merge several inputs into one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.einsum import einsum
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Value
from hornbeam.graph import operations as op

__all__: list[str] = []

_FOLDED: dict[str, op.BinaryFunction] = {
    "Add": "add",
    "Subtract": "subtract",
    "Maximum": "maximum",
    "Minimum": "minimum",
}


def _register(layer: str, function: op.BinaryFunction) -> None:
    @lowers(f"layers.{layer}")
    def lower(b: Builder, _: Any, inputs: Sequence[Value]) -> Value:
        values = _one_rank(b, inputs)
        return reduce(lambda x, y: b.binary(function, x, y), values)


for _layer, _function in _FOLDED.items():
    _register(_layer, _function)


@lowers("layers.Multiply")
def multiply(b: Builder, _: Any, inputs: Sequence[Value]) -> Value:
    """The product; a masked step of an input counts as 1, and is 0 where every input masks it."""
    values = _one_rank(b, inputs)
    masks = [b.keras.mask(value) for value in values]
    wide = [None if mask is None else b.reshape(mask, (*mask.shape, 1)) for mask in masks]
    one = b.constant(1.0, values[0].dtype)
    factors = [
        value if mask is None else b.select(mask, value, one)
        for value, mask in zip(values, wide, strict=True)
    ]
    result = reduce(lambda x, y: b.binary("multiply", x, y), factors)
    kept = [mask for mask in wide if mask is not None]
    if len(kept) < len(wide):
        return result
    somewhere = reduce(lambda x, y: b.binary("logical_or", x, y), kept)
    return b.select(somewhere, result, b.constant(0.0, result.dtype))


@lowers("layers.Average")
def average(b: Builder, _: Any, inputs: Sequence[Value]) -> Value:
    """The mean of the inputs, element by element."""
    values = _one_rank(b, inputs)
    add: Callable[[Value, Value], Value] = lambda x, y: b.binary("add", x, y)  # noqa: E731
    return b.binary("multiply", reduce(add, values), 1.0 / len(values))


@lowers("layers.Concatenate")
def concatenate(b: Builder, layer: Any, inputs: Sequence[Value]) -> Value:
    """The inputs joined along one axis."""
    return b.concat(list(inputs), layer.axis)


@lowers("layers.Dot")
def dot(b: Builder, layer: Any, inputs: Sequence[Value]) -> Value:
    """The product of two inputs, summed along one axis of each, batch by batch."""
    x, y = inputs
    first, second = (layer.axes,) * 2 if isinstance(layer.axes, int) else layer.axes
    first, second = first % x.rank, second % y.rank
    if layer.normalize:
        x, y = _unit(b, x, first), _unit(b, y, second)
    left = ["z"] + [chr(ord("a") + i) for i in range(1, x.rank)]
    right = ["z"] + [chr(ord("n") + i) for i in range(1, y.rank)]
    right[second] = left[first]
    rest = [c for c in left[1:] if c != left[first]] + [c for c in right[1:] if c != left[first]]
    result = einsum(b, f"{''.join(left)},{''.join(right)}->z{''.join(rest)}", x, y)
    return b.reshape(result, (*result.shape, 1)) if result.rank == 1 else result


def _unit(b: Builder, x: Value, axis: int) -> Value:
    square = b.reduce("sum", b.unary("square", x), axis, keepdims=True)
    return b.binary("multiply", x, b.unary("rsqrt", b.binary("maximum", square, 1e-12)))


def _one_rank(b: Builder, values: Sequence[Value]) -> list[Value]:
    """Keras adds the missing axes behind the batch."""
    rank = max(value.rank for value in values)
    return [
        b.reshape(v, (v.shape[0], *(1,) * (rank - v.rank), *v.shape[1:])) if v.rank else v
        for v in values
    ]
