"""``keras.ops`` on the bits and divisors of integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam.converter.lowering.builder import Builder
from hornbeam.converter.lowering.ops_elementwise import dtype_of, promoted
from hornbeam.converter.lowering.registry import lowers
from hornbeam.graph import Graph, Value
from hornbeam.graph import operations as op
from hornbeam.graph.types import numpy_dtype

__all__: list[str] = []


@lowers("ops.BitwiseAnd", "ops.BitwiseOr", "ops.BitwiseXor")
def bitwise(b: Builder, operation: Any, x: Any, y: Any) -> Value:
    """Bit by bit; of booleans, masks are joined by ``&``."""
    a, c = promoted(b, x, y)
    function: Any = type(operation).__name__[7:].lower()
    operands = b.aligned(a, c)
    if a.dtype == "bool":
        logical: Any = f"logical_{function}"
        return b.binary(logical, *operands)
    return b.emit(op.Bitwise(function), *operands)


@lowers("ops.BitwiseInvert", "ops.BitwiseNot")
def bitwise_not(b: Builder, _: Any, x: Value) -> Value:
    """``~x``: minus one less x, and without a sign, what is missing from the largest number."""
    if x.dtype == "bool":
        return b.unary("logical_not", x)
    ones = -1 if not x.dtype.startswith("u") else int(np.iinfo(numpy_dtype(x.dtype)).max)
    return b.binary("subtract", b.constant(ones, x.dtype), x)


@lowers("ops.BitwiseLeftShift", "ops.LeftShift")
def left_shift(b: Builder, _: Any, x: Any, y: Any) -> Value:
    """Times a power of two, which wraps around."""
    value, powers = _powers(b, x, y)
    return b.binary("multiply", value, powers)


@lowers("ops.BitwiseRightShift", "ops.RightShift")
def right_shift(b: Builder, _: Any, x: Any, y: Any) -> Value:
    """Over a power of two, rounded down."""
    bits = np.iinfo(numpy_dtype(_integer(b, x, y))).bits
    if not isinstance(y, Value):
        shift = np.asarray(y)
        # The sign bit alone is no power of two: half of it, twice.
        first = np.minimum(shift, bits - 2)
        value, powers = _powers(b, x, first)
        value = b.binary("floor_divide", value, powers)
        if (shift != first).any():
            value = b.binary("floor_divide", value, _powers(b, x, shift - first)[1])
        return value
    dtype = _integer(b, x, y)
    shift_value = b.cast(y, "int32")
    first_value = b.binary("minimum", shift_value, bits - 2)
    rest = b.binary("subtract", shift_value, first_value)
    value = b.binary("floor_divide", b.value(x, dtype), _table(b, first_value, dtype))
    return b.binary("floor_divide", value, _table(b, rest, dtype))


def _integer(b: Builder, x: Any, y: Any) -> str:
    dtype = b.keras.result_type(dtype_of(x), dtype_of(y))
    return "int32" if dtype == "bool" else dtype


def _powers(b: Builder, x: Any, y: Any) -> tuple[Value, Value]:
    """``x``, and two to the power of ``y``, in their common dtype."""
    dtype = _integer(b, x, y)
    if isinstance(y, Value):
        return b.value(x, dtype), _table(b, b.cast(y, "int32"), dtype)
    powers = np.left_shift(np.uint64(1), np.asarray(y).astype(np.uint64))
    return b.value(x, dtype), b.constant(powers.astype(numpy_dtype(dtype)), dtype)


def _table(b: Builder, exponents: Value, dtype: str) -> Value:
    bits = np.iinfo(numpy_dtype(dtype)).bits
    powers = np.left_shift(np.uint64(1), np.arange(bits, dtype=np.uint64))
    table = b.constant(powers.astype(numpy_dtype(dtype)), dtype)
    return b.emit(op.Gather(0), table, exponents)


@lowers("ops.Gcd", "ops.Lcm")
def divisor(b: Builder, operation: Any, x1: Any, x2: Any) -> Value:
    """The greatest common divisor by Euclid's algorithm, in as many steps as it can take.

    The worst case are neighbouring Fibonacci numbers (Lamé, 1844): 46 steps for 32 bits.
    """
    x, y = promoted(b, x1, x2)
    x, y = b.aligned(*(v if v.dtype != "bool" else b.cast(v, "int32") for v in (x, y)))
    shape = b.binary("add", x, y).shape
    first, second = (b.broadcast(b.unary("abs", v), shape) for v in (x, y))
    steps = {8: 14, 16: 24, 32: 46, 64: 92}[np.iinfo(numpy_dtype(first.dtype)).bits]
    result = _euclid(b, first, second, steps)
    if type(operation).__name__ == "Gcd":
        return result
    safe = b.binary("maximum", result, 1)
    return b.binary("multiply", b.binary("floor_divide", first, safe), second)


def _euclid(b: Builder, x: Value, y: Value, steps: int) -> Value:
    body = Graph(f"{b.path}/step")
    large, small = (body.add_input(f"{b.path}/{name}", x.shape, x.dtype) for name in ("a", "b"))
    with b.inside(body):
        done = b.compare("equal", small, 0)
        safe = b.binary("maximum", small, 1)
        rest = b.select(done, small, b.binary("mod", large, safe))
        new = b.select(done, large, small)
    body.outputs = {"output_0": new, "output_1": rest}
    body.prune()
    return b.emit_all(op.Scan(body, 2, 0, steps), x, y)[0]
